"""What one connection may cost: uvicorn's HTTP protocol with every wait and every buffer bounded.

Bounded are the head of a request (bytes, fields, time), what comes in a body's stead (trailers, extensions of chunks),
requests sent ahead of their answers, answers that nobody reads, and connections without a request. What breaks a bound
is answered where an answer can be told from those before it, and the connection ends.
"""

import asyncio
import math
import time
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headgate_server import crowd, logs

MAX_HEAD_BYTES: Final = 64 << 10
MAX_FIELDS: Final = 256
# Of all heads together that are not complete: many connections, each with its 64 KiB, are as bad as one without end.
MAX_PENDING_BYTES: Final = 16 << 20
# Who has sent no more than this is none of those that fill it, and is not refused for them.
SPARED_BYTES: Final = 2 << 10
MAX_AHEAD: Final = 32
# So much of an answer must be taken within the patience, or its reader is none.
LEAST_READ: Final = 64 << 10
LINGER_SECONDS: Final = 2
TELL_AGAIN_SECONDS: Final = 60


def _answer(status: str, text: str, *fields: str) -> bytes:
    kind, length = "content-type: text/plain; charset=utf-8", f"content-length: {len(text) + 1}"
    head = (f"HTTP/1.1 {status}", kind, length, *fields, "connection: close")
    return ("\r\n".join(head) + f"\r\n\r\n{text}\n").encode()


TOO_LARGE: Final = _answer(
    "431 Request Header Fields Too Large", f"the head has more than {MAX_HEAD_BYTES} bytes or {MAX_FIELDS} fields"
)
NO_HTTP: Final = _answer("400 Bad Request", "this is not HTTP/1.1, or not as RFC 9112 has it")
CROWDED: Final = _answer("503 Service Unavailable", "too many connections", "retry-after: 1")


class _Broken(Exception):  # noqa: N818 - an answer on its way through the parser
    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer


class Pending:
    """Bytes of incomplete heads, of all connections of the process."""

    total = 0
    told = -math.inf


class BoundedProtocol(HttpToolsProtocol):
    """A connection; subclasses set how long a client may take."""

    patience = math.inf
    idle = math.inf
    room = math.inf

    in_head = False  # a request has begun, and its head is not complete
    _in_message = False  # a request has begun, and its body is not complete
    _deaf = False  # nothing that comes is looked at any more
    _over = False  # and nothing will be said
    _bytes = 0  # that came since the last of a body, or since a head began
    _uncounted = False  # these bytes hold something else, too
    _not_alone = False  # whatever begins now is not the first in these bytes
    _since = 0.0
    _left = 0
    _impatience: asyncio.TimerHandle | None = None
    _idling: asyncio.TimerHandle | None = None
    _unread_answer: asyncio.TimerHandle | None = None

    # -- the connection ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._wait_idle(self.idle)
        if len(self.connections) > self.room and not crowd.made_room(self.connections, self):  # type: ignore[arg-type]
            self._refuse(CROWDED)

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_patient(None)
        self._counted(0)
        if self._idling is not None:
            self._idling.cancel()
        if self._unread_answer is not None:
            self._unread_answer.cancel()
        super().connection_lost(exc)

    @property
    def since(self) -> float | None:
        """Since when no request is under way here; one whose head is not complete is none."""
        return self._since if self._over or self.cycle is None or self.cycle.response_complete else None

    def leave(self) -> None:
        self.connections.discard(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._uncounted, self._not_alone = False, self._in_message
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            broken = error.__context__
            self._refuse(broken.answer if isinstance(broken, _Broken) else NO_HTTP)
        else:
            self.fed()
            if self._in_message:
                if self.in_head and self._impatience is None:  # most heads come whole and need no timer
                    self._be_patient(self.patience)
                if not self._uncounted:
                    self._counted(self._bytes + len(data))
                    if self._bytes > MAX_HEAD_BYTES:
                        self._refuse(TOO_LARGE)
                    elif self._bytes > SPARED_BYTES and Pending.total > MAX_PENDING_BYTES:
                        self._refuse(CROWDED)

    def fed(self) -> None:
        """What came has been parsed."""

    # -- the parser -------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_AHEAD:
            raise _Broken(b"")
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._uncounted, self._not_alone = self._not_alone, True
        self.in_head = self._in_message = True
        if self._bytes:
            self._counted(0)
        if self._impatience is not None:
            self._be_patient(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:
            return  # a trailer: the request has been taken for what its head says
        if len(self.headers) >= MAX_FIELDS:
            raise _Broken(TOO_LARGE)
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._bytes:
            self._counted(0)
        if not self.parser.should_upgrade():
            if self._impatience is not None:
                self._be_patient(None)
            self.begun()
        self.in_head = False

    def begun(self) -> None:
        """A whole head is there, for a request that needs all that uvicorn makes of it."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the list is the scope's
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._bytes:
            self._counted(0)
        self._uncounted = True
        self.part(body)

    def part(self, body: bytes) -> None:
        """A part of a request's body is there."""
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        if self._bytes:
            self._counted(0)
        if not self.parser.should_upgrade():
            self.whole()

    def whole(self) -> None:
        """A whole request is there."""
        super().on_message_complete()
        if self._impatience is not None:  # the answer was there before the body
            self._be_patient(None)

    def _stay(self, rest: bytes) -> None:
        """The request asks for another protocol (Java's client does so with every first one): here it stays HTTP/1.1.

        The parser gives up on such a request's body, and would take it for the next request.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(NO_HTTP)
            return
        line = b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())
        fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        # As in uvicorn: what follows a request with `Connection: close` is not read, and no reason for a refusal.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"".join([line, *fields, b"\r\n", rest]))

    def _counted(self, count: int) -> None:
        """So many bytes have come since there was something to show for them."""
        if count != self._bytes:
            Pending.total += count - self._bytes
            self._bytes = count

    # -- ends -------------------------------------------------------------------------------------------------

    def _refuse(self, answer: bytes) -> None:
        """Nothing more is read. The answer is given only where it cannot be taken for that of an earlier request."""
        self._deaf = True
        self._counted(0)
        self.parser = httptools.HttpRequestParser(self)  # what the other one had gathered is of no use any more
        if answer == NO_HTTP and time.monotonic() - Pending.told > TELL_AGAIN_SECONDS:
            Pending.told = time.monotonic()
            logs.warning("a client does not speak HTTP/1.1 as RFC 9112 has it; told at most once a minute")
        newest = self.cycle
        body_broken = self._in_message and not self.in_head
        if newest is None or newest.response_complete:
            self._say(b"" if body_broken else answer)
        elif body_broken and not self.pipeline and not newest.response_started:
            newest.disconnected = True
            newest.message_event.set()
            self._say(answer)
        else:
            # With its answer the connection ends. If it is the one whose body is broken, it is 408 in time.
            newest.keep_alive = False

    def _say(self, answer: bytes) -> None:
        """The last words. What still comes is read and dropped for a moment: closing on it would be a reset, which
        takes the answer from a client that has not read it yet."""
        self._over = True
        self.transport.write(answer)
        self.transport.write_eof()
        self.flow.resume_reading()
        self._be_patient(LINGER_SECONDS)

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the timer of idle connections: one that is made and cancelled with each request takes
        as long as reading a small one."""
        self.server_state.total_requests += 1
        self._since = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        if self._in_message and not self.in_head and self.cycle.response_complete:
            self._be_patient(self.patience)  # for the rest of a body that was answered before it was there

    def _be_patient(self, seconds: float | None) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
        finite = seconds is not None and seconds < math.inf
        self._impatience = self.loop.call_later(seconds, self._impatient) if finite else None  # type: ignore[arg-type]

    def _wait_idle(self, seconds: float) -> None:
        self._idling = self.loop.call_later(seconds, self._look_idle) if seconds < math.inf else None

    def _look_idle(self) -> None:
        """Requests that came meanwhile put it off, and so does one of which only a part has come: that has patience."""
        rest = self.idle if self.since is None or self._in_message else self.since + self.idle - self.loop.time()
        if rest > 0:
            self._wait_idle(rest)
        else:
            self._impatient()

    def _impatient(self) -> None:
        # Half a head may stand behind a whole request that is still under way.
        if self.since is None:
            self._be_patient(self.patience)
        elif self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    # -- answers that nobody reads ----------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread_answer is not None:
            self._unread_answer.cancel()

    def _watch(self) -> None:
        self._left = self.transport.get_write_buffer_size()
        if self.patience < math.inf:
            self._unread_answer = self.loop.call_later(self.patience, self._look_at_reader)

    def _look_at_reader(self) -> None:
        if self.transport.get_write_buffer_size() > self._left - LEAST_READ:
            self.transport.abort()
        else:
            self._watch()
