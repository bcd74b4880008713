"""Connections of both ports: how each begins, and how it ends without losing a request.

A Service's selector reaches only new connections: a pooled one stays on its first pod for ever. After its age an
answer carries `Connection: close`, which every HTTP/1.1 client obeys without losing a request. At the end of the
process only connections on which no request has begun are closed by the server. uvicorn leaves it to whoever stands in
front to bound what a client may send and leave unread (see bounds), and nobody stands there.
"""

import asyncio
import fcntl
import math
import random
import struct
import termios
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from headgate_server.bounds import BoundedProtocol

if TYPE_CHECKING:
    from headgate_server.direct import Direct, Held

JITTER: Final = 0.2  # so that connections made together do not end together
SCOPE_KEY: Final = "headgate.connection_ends"
# Above the idle time of any client's pool (90 s in Go, also for connections it opened and never used; 600 s in Google's
# load balancers): the client, which knows when it sends, shall close first.
IDLE_SECONDS: Final = 650
LOOK_AGAIN_SECONDS: Final = 0.1


def protocol(
    max_age: float,
    seconds: float,
    most: float = math.inf,
    counted: Callable[[int], None] | None = None,
    direct: "Direct | None" = None,
) -> type[BoundedProtocol]:
    """uvicorn's protocol, with the end of its connection in every request's scope; an age of 0 = never.

    A head, and whatever else a client has to do at once, may take `seconds`; there is room for `most` connections.
    `counted` is told how many there are whenever that changes. A request that comes in one piece and that `direct`
    knows is answered by it; every other one by the application.
    """

    class EndingProtocol(BoundedProtocol):
        patience, idle, room = seconds, IDLE_SECONDS, most
        _ends = math.inf
        _leaving = False
        _had_one = False  # of these bytes: the requests behind it have their bound, and their turns, in the application
        _held: "Held | None" = None  # a request for `direct`, of which not all has come

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if counted is not None:
                counted(len(self.connections))
            if max_age:
                spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, keeps no secret
                self._ends = self.loop.time() + max_age * spread

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if counted is not None:
                counted(len(self.connections))

        def fed(self) -> None:
            self._had_one = False
            if self._held is not None:
                self._pass_on()

        def begun(self) -> None:
            if self.cycle is not None and self.transport.is_closing():
                return  # sent behind a request that was the last one here: nobody would see its answer
            if direct is not None and self._free():
                self._held = direct.held(self.parser, self.url, self.headers)
            if self._held is None:
                self._begin()

        def part(self, body: bytes) -> None:
            if self._held is None:
                super().part(body)
            else:
                self._held.body += body

        def whole(self) -> None:
            held, self._held = self._held, None
            if held is None:
                super().whole()
            else:
                self._had_one = True
                exchange = held.exchange(self, self._ends)
                self.cycle = exchange  # type: ignore[assignment]
                exchange.begin()

        def _free(self) -> bool:
            """Whether nothing is under way here that an answer would have to wait for."""
            busy = self.cycle is not None and not self.cycle.response_complete
            return not (busy or self._had_one or self._leaving or self.flow.write_paused or self.expect_100_continue)

        def _pass_on(self) -> None:
            """The rest of the body is yet to come: the application waits for it."""
            held, self._held = self._held, None
            if held is not None:
                self._begin()
                if held.body:
                    super().part(held.body)

        def _begin(self) -> None:
            super().begun()
            scope: dict[str, Any] = self.scope  # type: ignore[assignment]
            scope[SCOPE_KEY] = self._ends
            if self._leaving:
                self.cycle.keep_alive = False

        def shutdown(self) -> None:
            """The process ends: a request of which anything has arrived is answered first."""
            if self.transport.is_closing():
                return
            idle = self.cycle is None or self.cycle.response_complete
            if not idle or not (self.in_head or self._unread()):
                super().shutdown()
            elif not self._leaving:
                self._leaving = True
                # Bytes that were not read yet may turn out to begin no request.
                self.loop.call_later(LOOK_AGAIN_SECONDS, self._look_again)

        def _look_again(self) -> None:
            self._leaving = self.in_head
            if not self.in_head:
                self.shutdown()

        def _unread(self) -> int:
            """Bytes that have arrived and that the event loop has not come to yet; closed on, they would be a reset."""
            number = self.transport.get_extra_info("socket").fileno()
            return int(struct.unpack("i", fcntl.ioctl(number, termios.FIONREAD, b"\0" * 4))[0])

    return EndingProtocol
