"""Request bodies: bounded, inflated, of a media type that is understood; each failure in the caller's shape."""

import asyncio
import zlib
from typing import Final

from starlette.requests import ClientDisconnect, Request

from headgate_server.protocols.call import BINARY, CSV, Content
from headgate_server.protocols.failures import JSON, RequestFailed
from headgate_server.settings import Settings

# So much of a body that is too long is read and thrown away: closing on unread bytes would reset the connection
# before the client has seen the 413.
MAX_DISCARDED: Final = 64 << 20
CLOSE: Final = {"connection": "close"}
JSON_LENGTH: Final = "inference-header-content-length"
# zlib's own choice between its header and gzip's, for each of which clients send either.
ANY_HEADER: Final = zlib.MAX_WBITS | 32


async def content(
    request: Request, config: Settings, media: frozenset[str] = frozenset({JSON}), *, type_required: bool = False
) -> Content:
    """The body and what it is, or RequestFailed with 415, 413, 408 or 400."""
    kind = _media(request, media, type_required)
    encoding = _encoding(request)
    try:
        async with asyncio.timeout(config.timeout):
            raw = await _read(request, config.max_body_bytes)
    except TimeoutError:
        # A client that stops in mid body would hold its place, and a drain, for ever.
        raise RequestFailed(408, "bad_request", "the body did not come in time", headers=CLOSE) from None
    if encoding:
        raw = _inflate(raw, config.max_body_bytes)
    return Content(raw, kind, _json_bytes(request, raw, media))


def _media(request: Request, media: frozenset[str], required: bool) -> str:
    given = request.headers.get("content-type")
    if given is None:
        if required:
            raise RequestFailed(415, "media_type", f"Content-Type is missing; send {' or '.join(sorted(media))}")
        return JSON
    kind, *parameters = (part.strip().lower() for part in given.split(";"))
    if kind not in media:
        raise RequestFailed(415, "media_type", f"only {' and '.join(sorted(media))} are understood here")
    for parameter in filter(None, parameters):
        if kind != BINARY and parameter.replace('"', "") != "charset=utf-8":
            raise RequestFailed(415, "media_type", "the only parameter of Content-Type is charset=utf-8")
    return kind if kind == CSV else JSON


def _encoding(request: Request) -> str:
    given = request.headers.get("content-encoding", "identity").strip().lower()
    if given not in {"identity", "gzip", "deflate"}:
        raise RequestFailed(415, "media_type", "Content-Encoding: only gzip, deflate and identity are understood here")
    return "" if given == "identity" else given


def _json_bytes(request: Request, raw: bytes, media: frozenset[str]) -> int | None:
    given = request.headers.get(JSON_LENGTH)
    if given is None:
        return None
    if BINARY not in media:
        raise RequestFailed(400, "bad_request", "binary tensor data is understood at V2's infer only")
    if not (given.isascii() and given.isdigit() and len(given) <= 15 and int(given) <= len(raw)):
        raise RequestFailed(400, "bad_request", "Inference-Header-Content-Length: expected the length of the JSON part")
    return int(given)


def _inflate(raw: bytes, limit: int) -> bytes:
    """Never more than the limit in memory, however well it was packed."""
    inflater = zlib.decompressobj(ANY_HEADER)
    try:
        made = inflater.decompress(raw, limit + 1)
    except zlib.error:
        raise RequestFailed(400, "bad_request", "the body is not what Content-Encoding says") from None
    if len(made) > limit:
        raise RequestFailed(413, "too_large", f"the inflated body is longer than {limit} bytes")
    if not inflater.eof or inflater.unused_data:
        raise RequestFailed(400, "bad_request", "the compressed body is cut off, or something follows it")
    return made


async def _read(request: Request, limit: int) -> bytes:
    too_large = RequestFailed(413, "too_large", f"the body is longer than {limit} bytes", headers=CLOSE)
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
