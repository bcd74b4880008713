"""Request bodies: bounded, of a media type that is understood, parsed as JSON; each failure in the caller's shape."""

import asyncio
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect, Request

from headgate_server.protocols.failures import RequestFailed
from headgate_server.settings import Settings

# So much of a body that is too long is read and thrown away: closing on unread bytes would reset the connection
# before the client has seen the 413.
MAX_DISCARDED: Final = 64 << 20
CLOSE: Final = {"connection": "close"}
SIZE_KEY: Final = "headgate.body_bytes"


async def json_body(request: Request, config: Settings, *, type_required: bool = False) -> Any:
    """The parsed body, or RequestFailed with 415, 413, 408 or 400."""
    _check_media_type(request, type_required)
    try:
        async with asyncio.timeout(config.timeout):
            body = await _read(request, config.max_body_bytes)
    except TimeoutError:
        # A client that stops in mid body would hold its place, and a drain, for ever.
        raise RequestFailed(408, "bad_request", "the body did not come in time", headers=CLOSE) from None
    request.scope[SIZE_KEY] = len(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = f"the body is not JSON (line {error.lineno}, column {error.colno})" if body else "the body is empty"
        raise RequestFailed(400, "bad_json", message) from None


def _check_media_type(request: Request, required: bool) -> None:
    given = request.headers.get("content-type")
    if given is None:
        if required:
            raise RequestFailed(415, "media_type", "Content-Type is missing; send application/json")
    else:
        kind, *parameters = (part.strip().lower() for part in given.split(";"))
        if kind != "application/json":
            raise RequestFailed(415, "media_type", "only application/json is understood here")
        for parameter in filter(None, parameters):
            if parameter.replace('"', "") != "charset=utf-8":
                raise RequestFailed(415, "media_type", "the only parameter of Content-Type is charset=utf-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestFailed(415, "media_type", "a compressed body is not understood here")
    if "inference-header-content-length" in request.headers:
        raise RequestFailed(400, "bad_request", "binary tensor data is not supported, send the data as JSON")


async def _read(request: Request, limit: int) -> bytes:
    too_large = RequestFailed(
        413, "too_large", f"the body is longer than {limit} bytes", headers={"connection": "close"}
    )
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limit + MAX_DISCARDED:
        raise too_large
    chunks: list[bytes] = []
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > limit + MAX_DISCARDED:
                raise too_large
            if received <= limit:
                chunks.append(chunk)
            else:
                chunks.clear()
    except ClientDisconnect:
        raise RequestFailed(400, "bad_request", "the client went away") from None
    if received > limit:
        raise too_large
    return b"".join(chunks)
