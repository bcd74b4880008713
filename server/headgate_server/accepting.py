"""Taking connections from a queue that several workers share, each no more than its part.

Whoever wakes first would take all that is there, and with pooled connections keep it: two workers would do the work of
one. So a worker that has more connections than another leaves the next one for that one, for a moment. If nobody comes
for it, the other is busy or stuck, and it is taken after all: a connection waits no longer than that.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from headgate_server import logs

Fair = Callable[[int], bool]
"""Whether a worker may take one more, with so many that it has taken and not counted yet."""
LOOK_SECONDS: Final = 0.001
LOOKS: Final = 10
GULP: Final = 8  # taken then: a worker that is stuck shall not make the others slow
# After an error like "too many open files" the queue stays; asking again at once would be a loop at full speed.
ERROR_SECONDS: Final = 0.1


class Accepting:
    """Like an asyncio.Server as far as uvicorn asks: `close` and `wait_closed`."""

    def __init__(self, listening: socket.socket, make: Callable[[], asyncio.Protocol], fair: Fair) -> None:
        listening.setblocking(False)
        self._socket = listening
        self._make = make
        self._fair = fair
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[object]] = set()
        self._looks = 0
        self._later: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop.add_reader(listening, self._readable)

    @property
    def coming(self) -> int:
        """Accepted, and not among the connections yet."""
        return len(self._coming)

    def close(self) -> None:
        """What is in the queue by now was accepted by the kernel, and is answered."""
        if self._closed:
            return
        self._closed = True
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._socket)
        while self._take():
            pass
        self._socket.close()

    async def wait_closed(self) -> None:
        if self._coming:
            await asyncio.wait(self._coming)

    def _readable(self) -> None:
        if self._looks >= LOOKS:
            self._looks = 0
            if not all(self._take() for _ in range(GULP)):
                return
        while self._fair(len(self._coming)):
            self._looks = 0
            if not self._take():
                return
        self._looks += 1
        self._pause(LOOK_SECONDS)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._socket)
        self._later = self._loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        self._later = None
        self._loop.add_reader(self._socket, self._readable)

    def _take(self) -> bool:
        try:
            made, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            self._looks = 0  # another one took it
            return False
        except OSError as error:
            logs.failure("a connection could not be accepted", detail=error.strerror)
            if not self._closed:
                self._pause(ERROR_SECONDS)
            return False
        made.setblocking(False)
        task = self._loop.create_task(self._begin(made))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)
        return True

    async def _begin(self, made: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, made)
        except OSError:  # it has gone meanwhile
            made.close()
