"""Request bodies: bounded, inflated, of a media type that is understood; each failure in the caller's shape.

Straight from ASGI: what a framework's request costs is more than all of this.
"""

import asyncio
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from starlette.types import Receive, Scope

from headgate_server.protocols.call import BINARY, CSV, Content
from headgate_server.protocols.failures import JSON, RequestFailed
from headgate_server.settings import Settings
from headgate_server.shelf import Place

# So much of a body that is too long is read and thrown away: closing on unread bytes would reset the connection
# before the client has seen the 413.
MAX_DISCARDED: Final = 64 << 20
# Of a compressed body, which may become a thousand times as long: that takes a few milliseconds, more is for a thread.
INLINE_BYTES: Final = 1 << 10
MAX_DIGITS: Final = 15
CLOSE: Final = {"connection": "close"}
JSON_LENGTH: Final = b"inference-header-content-length"
# zlib's own choice between its header and gzip's, for each of which clients send either.
ANY_HEADER: Final = zlib.MAX_WBITS | 32


async def content(
    scope: Scope,
    receive: Receive,
    config: Settings,
    place: Place,
    media: frozenset[str] = frozenset({JSON}),
    *,
    type_required: bool = False,
) -> Content:
    """The body and what it is, or RequestFailed with 415, 413, 429, 408 or 400."""
    headers = dict(reversed(scope["headers"]))  # of a header that stands there twice the first one holds
    kind = _media(headers.get(b"content-type"), media, type_required)
    encoding = _encoding(headers)
    try:
        async with asyncio.timeout(config.timeout):
            raw = await _read(headers, receive, config.max_body_bytes, place)
    except TimeoutError:
        # A client that stops in mid body would hold its place, and a drain, for ever.
        raise RequestFailed(408, "bad_request", "the body did not come in time", headers=CLOSE) from None
    if encoding:
        packed = len(raw)
        if packed <= INLINE_BYTES:
            raw = _inflate(raw, config.max_body_bytes)
        else:
            raw = await asyncio.to_thread(_inflate, raw, config.max_body_bytes)
        place.take(max(0, len(raw) - packed))
    return Content(raw, kind, _json_bytes(headers, raw, media), config.max_rows)


def whole(
    headers: Mapping[bytes, bytes],
    raw: bytes,
    config: Settings,
    media: frozenset[str] = frozenset({JSON}),
    *,
    type_required: bool = False,
) -> Content:
    """The same of a body that is all there, neither packed nor longer than the limit."""
    kind = _media(headers.get(b"content-type"), media, type_required)
    return Content(raw, kind, _json_bytes(headers, raw, media), config.max_rows)


@lru_cache(maxsize=64)  # clients send few of them; what they make up shall not fill the memory
def _media(given: bytes | None, media: frozenset[str], required: bool) -> str:
    if given is None:
        if required:
            raise RequestFailed(415, "media_type", f"Content-Type is missing; send {' or '.join(sorted(media))}")
        return JSON
    kind, *parameters = (part.strip().lower() for part in given.decode("latin-1").split(";"))
    if kind not in media:
        raise RequestFailed(415, "media_type", f"only {' and '.join(sorted(media))} are understood here")
    for parameter in filter(None, parameters):
        if kind != BINARY and parameter.replace('"', "") != "charset=utf-8":
            raise RequestFailed(415, "media_type", "the only parameter of Content-Type is charset=utf-8")
    return kind if kind == CSV else JSON


def number(given: bytes | None) -> int | None:
    """The bytes that a header states, None where it states none. More than 15 digits are 10^15: int() raises at
    thousands of them."""
    if given is None or not given.isdigit():
        return None
    if len(given) <= MAX_DIGITS:
        return int(given)
    digits = given.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= MAX_DIGITS else 10**MAX_DIGITS


def _encoding(headers: Mapping[bytes, bytes]) -> str:
    raw = headers.get(b"content-encoding")
    if raw is None:
        return ""
    given = raw.decode("latin-1").strip().lower()
    if given not in {"identity", "gzip", "deflate"}:
        raise RequestFailed(415, "media_type", "Content-Encoding: only gzip, deflate and identity are understood here")
    return "" if given == "identity" else given


def _json_bytes(headers: Mapping[bytes, bytes], raw: bytes, media: frozenset[str]) -> int | None:
    given = headers.get(JSON_LENGTH)
    if given is None:
        return None
    if BINARY not in media:
        raise RequestFailed(400, "bad_request", "binary tensor data is understood at V2's infer only")
    length = number(given)
    if length is None or length > len(raw):
        raise RequestFailed(400, "bad_request", "Inference-Header-Content-Length: expected the length of the JSON part")
    return length


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


async def _read(headers: Mapping[bytes, bytes], receive: Receive, limit: int, place: Place) -> bytes:
    stated = number(headers.get(b"content-length"))
    if stated is not None:
        if stated > limit + MAX_DISCARDED:
            raise _too_large(limit)
        place.expect(min(stated, limit))
    first, body, received = b"", bytearray(), 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestFailed(400, "bad_request", "the client went away")
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        received += len(chunk)
        if received > limit + MAX_DISCARDED:
            raise _too_large(limit)
        if received > limit:
            first, body = b"", bytearray()
            continue
        place.take(len(chunk))
        # Nearly every body comes in one piece. One that comes byte by byte shall not be a list of bytes.
        if received == len(chunk):
            first = chunk
        else:
            body += chunk
    if received > limit:
        raise _too_large(limit)
    return first + body if body else first


def _too_large(limit: int) -> RequestFailed:
    return RequestFailed(413, "too_large", f"the body is longer than {limit} bytes", headers=CLOSE)
