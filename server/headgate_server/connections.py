"""Connections of both ports: how each begins, and how it ends without losing a request.

A Service's selector reaches only new connections: a pooled one stays on its first pod for ever. After its age an
answer carries `Connection: close`, which every HTTP/1.1 client obeys without losing a request. At the end of the
process only connections on which no request has begun are closed by the server. The head of a request is bounded in
time and in size: uvicorn leaves both to whoever stands in front, and nobody does.
"""

import asyncio
import fcntl
import math
import random
import struct
import termios
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

JITTER: Final = 0.2  # so that connections made together do not end together
SCOPE_KEY: Final = "headgate.connection_ends"
CAME_KEY: Final = "headgate.came"
BEGAN_KEY: Final = "headgate.began"
# Above the idle time of any client's pool (90 s in Go, also for connections it opened and never used; 600 s in Google's
# load balancers): the client, which knows when it sends, shall close first.
IDLE_SECONDS: Final = 650
MAX_HEAD_BYTES: Final = 64 << 10
LOOK_AGAIN_SECONDS: Final = 0.1
TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Arrivals:
    """Requests that have come whole, bodies included, and that nobody has begun with.

    The event loop starts them one after the other; who finds nobody behind him knows that he is the last of a turn.
    """

    def __init__(self) -> None:
        self.behind = 0


def protocol(max_age: float, head_seconds: float) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, with the end of its connection in every request's scope; an age of 0 = never."""

    arrivals = Arrivals()

    class BoundedProtocol(HttpToolsProtocol):
        _ends = math.inf
        _in_head = False  # a request has begun, and its head is not complete
        _head_bytes = 0
        _leaving = False
        _impatience: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._be_patient(IDLE_SECONDS)
            if max_age:
                spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, keeps no secret
                self._ends = self.loop.time() + max_age * spread

        def connection_lost(self, exc: Exception | None) -> None:
            self._be_patient(None)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self._in_head:
                return
            if self._impatience is None:  # most heads come whole and need no timer
                self._be_patient(head_seconds)
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head, self._head_bytes = True, 0
            if self._impatience is not None:
                self._be_patient(None)

        def on_headers_complete(self) -> None:
            self._in_head = False
            if self._impatience is not None:
                self._be_patient(None)
            scope: dict[str, Any] = self.scope  # type: ignore[assignment]
            scope[SCOPE_KEY] = self._ends
            super().on_headers_complete()
            if self._leaving:
                self.cycle.keep_alive = False

        def on_message_complete(self) -> None:
            super().on_message_complete()
            scope: dict[str, Any] = self.scope  # type: ignore[assignment]
            # One that waits behind another of its connection begins in a later turn.
            if BEGAN_KEY not in scope and not self.pipeline:
                scope[CAME_KEY] = arrivals
                arrivals.behind += 1

        def shutdown(self) -> None:
            """The process ends: a request of which anything has arrived is answered first."""
            if self.transport.is_closing():
                return
            idle = self.cycle is None or self.cycle.response_complete
            if not idle or not (self._in_head or self._unread()):
                super().shutdown()
            elif not self._leaving:
                self._leaving = True
                # Bytes that were not read yet may turn out to begin no request.
                self.loop.call_later(LOOK_AGAIN_SECONDS, self._look_again)

        def _look_again(self) -> None:
            self._leaving = self._in_head
            if not self._in_head:
                self.shutdown()

        def _unread(self) -> int:
            """Bytes that have arrived and that the event loop has not come to yet; closed on, they would be a reset."""
            number = self.transport.get_extra_info("socket").fileno()
            return int(struct.unpack("i", fcntl.ioctl(number, termios.FIONREAD, b"\0" * 4))[0])

        def _be_patient(self, seconds: float | None) -> None:
            if self._impatience is not None:
                self._impatience.cancel()
            self._impatience = None if seconds is None else self.loop.call_later(seconds, self._impatient)

        def _impatient(self) -> None:
            # Half a head may stand behind a whole request that is still under way.
            if self.cycle is not None and not self.cycle.response_complete:
                self._be_patient(head_seconds)
            else:
                self.transport.close()

    return BoundedProtocol
