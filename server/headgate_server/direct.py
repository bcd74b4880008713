"""Predictions straight from the parser: what came in one piece is answered without a task, a scope and messages.

Those cost more than a small model, its validation and its answer together. Only what is simple goes this way: a POST
to a predicting path, with a short body that is as its length says. Whatever else the application answers, by the same
handlers and in the same words.
"""

import asyncio
import http
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import httptools

from headgate_server import bodies, logs
from headgate_server.answering import INLINE_BYTES, Handler
from headgate_server.calls import Result
from headgate_server.counts import Counts
from headgate_server.edge import CONNECTION_CLOSE, ID_HEADER, MODEL_VERSION_HEADER, request_id, version_value
from headgate_server.hot import MOST_KNOWN, Found, Paths, failure
from headgate_server.loading import Loaded
from headgate_server.predictor import outputs_of
from headgate_server.protocols import failures
from headgate_server.protocols.call import Call
from headgate_server.shelf import Place
from headgate_server.state import State

STATUS_LINES: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in http.HTTPStatus}
# A path with anything to decode or to cut off is no simple one.
PLAIN: Final = re.compile(rb"/[A-Za-z0-9._~:/-]*")
Fields = Sequence[tuple[bytes, bytes]]


class Connection(Protocol):
    """What an answer needs of uvicorn's protocol."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    server_state: Any

    def on_response_complete(self) -> None: ...


class Direct:
    """The handlers by path, for connections that ask for one before a request has come whole."""

    def __init__(self, paths: Paths, state: State, counts: Counts) -> None:
        self.state, self.counts = state, counts
        self._paths = paths
        self._known: dict[bytes, Found] = {}
        self._version: tuple[str, bytes] = ("", b"")
        self._common: tuple[object, bytes] = (None, b"")

    def held(self, parser: httptools.HttpRequestParser, url: bytes, fields: Fields) -> "Held | None":
        """The request whose head has come, if it is one that can be answered here."""
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return None
        found = self._known.get(url) or self._search(url)
        if found is None:
            return None
        headers = dict(reversed(fields))  # of a header that stands there twice the first one holds
        length = bodies.number(headers.get(b"content-length"))
        if length is None or not 0 < length <= min(INLINE_BYTES, self.state.config.max_body_bytes):
            return None
        if b"content-encoding" in headers or b"transfer-encoding" in headers:
            return None
        return Held(self, found.handler, found.params, url, headers, keep_alive=parser.should_keep_alive())

    def _search(self, url: bytes) -> Found | None:
        found = self._paths.find(url.decode("ascii")) if PLAIN.fullmatch(url) else None
        if found is not None and len(self._known) < MOST_KNOWN:
            self._known[url] = found
        return found

    def version_line(self, version: str) -> bytes:
        """The header that names the model's version; made once a version."""
        if self._version[0] != version:
            line = b"%b: %b\r\n" % (MODEL_VERSION_HEADER, version_value(version)) if version else b""
            self._version = (version, line)
        return self._version[1]

    def common_lines(self, fields: Fields) -> bytes:
        """The headers of every answer, as uvicorn keeps them: it makes a new list each second."""
        if self._common[0] is not fields:
            self._common = (fields, _lines(fields))
        return self._common[1]


class Held:
    """A head whose body is coming."""

    __slots__ = ("body", "direct", "handler", "headers", "keep_alive", "params", "url")

    def __init__(
        self,
        direct: Direct,
        handler: Handler,
        params: Mapping[str, str],
        url: bytes,
        headers: Mapping[bytes, bytes],
        *,
        keep_alive: bool,
    ) -> None:
        self.direct, self.handler, self.params = direct, handler, params
        self.url, self.headers, self.keep_alive = url, headers, keep_alive
        self.body = b""

    def exchange(self, connection: Connection, ends: float) -> "Exchange":
        """Now that all of it is there."""
        return Exchange(self, connection, ends)


class _Nobody:
    """Waits for messages of a request that has none to come."""

    def set(self) -> None:
        pass


_NOBODY: Final = _Nobody()


class Exchange:
    """One request, from its last byte to its answer. To uvicorn's protocol it is what it calls a cycle; to the queue of
    the model it is who waits for the result."""

    __slots__ = (
        "_began",
        "_call",
        "_connection",
        "_ends",
        "_held",
        "_id",
        "_loaded",
        "_place",
        "_version",
        "disconnected",
        "keep_alive",
        "response_complete",
        "response_started",
    )

    message_event: Final = _NOBODY

    def __init__(self, held: Held, connection: Connection, ends: float) -> None:
        self._held, self._connection, self._ends = held, connection, ends
        self.keep_alive = held.keep_alive
        self._call: Call | None = None
        self._loaded: Loaded | None = None
        self.disconnected = self.response_started = self.response_complete = False

    def begin(self) -> None:
        """Ask the model; the answer goes out now or later."""
        held, state = self._held, self._held.direct.state
        self._began = time.perf_counter()
        self._id = request_id(held.headers.get(ID_HEADER))
        # A model that takes this one's place meanwhile did not make this answer.
        self._version = state.model_version
        self._place = Place(held.handler.shelf)
        state.began(held.handler.group)
        try:
            self._loaded = loaded = held.handler.loaded(held.params)
            self._call = call = held.handler.call(held.headers, held.body, loaded, self._place)
            held.body = b""  # it may be long until the model has time
            held.handler.ask(call, loaded, self)
        except Exception as error:  # noqa: BLE001
            self._failed(error)

    # -- what the queue asks ----------------------------------------------------------------------------------

    def done(self) -> bool:
        return self.response_complete

    def set_result(self, result: Result, /) -> None:
        call, loaded = self._call, self._loaded
        assert call is not None  # noqa: S101
        assert loaded is not None  # noqa: S101
        try:
            reply = self._held.handler.answer(call, loaded, outputs_of(result), self._id, self._began)
            more = [(name.encode(), value.encode()) for name, value in reply.headers.items()] if reply.headers else ()
        except Exception as error:  # noqa: BLE001
            self._failed(error)
        else:
            self._answer(200, reply.media.encode(), more, reply.body)

    def set_exception(self, _: TimeoutError, /) -> None:
        self._failed(self._held.handler.late())

    # -- the answer -------------------------------------------------------------------------------------------

    def _failed(self, error: Exception) -> None:
        failed = failure(error, self._held.direct.counts)
        if failed.kind == "internal":
            # A mistake of ours. The log gets the place and not the message, which may repeat the data.
            logs.failure("a request failed unexpectedly", error=type(error).__name__, where=logs.place(error))
        answer = failures.answer(self._held.url.decode("ascii"), failed)
        known = {b"content-length", b"content-type"}
        more = [field for field in answer.raw_headers if field[0] not in known]
        self._answer(failed.status, failures.JSON.encode(), more, bytes(answer.body))

    def _answer(self, status: int, media: bytes, more: Fields, body: bytes) -> None:
        connection = self._connection
        try:
            self._write(connection, status, media, more, body)
        except Exception as error:  # noqa: BLE001
            # A mistake of ours, and no telling what of the answer has gone out.
            logs.failure("a request failed unexpectedly", error=type(error).__name__, where=logs.place(error))
            connection.transport.abort()
        # The connection keeps this until its next request: neither it nor the input shall wait for the collector then.
        self._call = self._loaded = None
        del self._connection, self._held
        connection.on_response_complete()

    def _write(self, connection: Connection, status: int, media: bytes, more: Fields, body: bytes) -> None:
        direct = self._held.direct
        state = direct.state
        # Also while the model is being loaded: whoever keeps a connection would stay with 503 where others can answer.
        old = connection.loop.time() >= self._ends
        if old or state.not_ready is not None or CONNECTION_CLOSE in more:
            self.keep_alive = False
        self.response_started = self.response_complete = True
        self._place.give_back()
        state.ended(self._held.handler.group)
        direct.counts.answered(self._held.handler.group, status, time.perf_counter() - self._began)
        if self.disconnected or connection.transport.is_closing():
            return
        parts = (
            STATUS_LINES[status],
            direct.common_lines(connection.server_state.default_headers),
            b"content-length: %d\r\ncontent-type: %b\r\n%b: %b\r\n" % (len(body), media, ID_HEADER, self._id.encode()),
            direct.version_line(self._version),
            _lines([field for field in more if field[0] != b"connection"]) if more else b"",
            b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n",
            body,
        )
        connection.transport.write(b"".join(parts))
        if not self.keep_alive:
            connection.transport.close()


def _lines(fields: Fields) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields)
