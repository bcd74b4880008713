"""One of several workers: a process like any other server, whose numbers are in its slot of the shared memory.

One loads at a time: each may have what memory the others have left, and the first one says which files are served. The
others, and whoever takes a dead one's place later, serve those or nothing: an alias or a folder may mean something else
by then, and one server shall not give two answers.
"""

import asyncio
import fcntl
import socket
import time
from collections.abc import AsyncIterator, Callable, MutableSequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, cast
from urllib.parse import quote

import uvloop

from headgate_server import settings
from headgate_server.alone import Alone
from headgate_server.block import ACCEPTING, BEAT, OLDEST_CALL, OPEN_CONNECTIONS, WAITING, Block
from headgate_server.calls import ROW_EDGES
from headgate_server.counts import Counts
from headgate_server.loading import Loaded
from headgate_server.predictor import Predictor
from headgate_server.registry.source import Source
from headgate_server.serving import Process
from headgate_server.settings import Settings
from headgate_server.shares import SharedCounts, SharedState
from headgate_server.state import State
from headgate_server.together import Together

BEAT_SECONDS: Final = 0.25
SLACK: Final = 1.25  # of connections; who looked for none at all would wait at each


class Worker(Alone):
    """The place of worker `number`; `started` and `start_id` are the server's."""

    def __init__(self, block: Block, number: int, started: float, start_id: str) -> None:
        self._block = block
        self._slot = block.slots[number]
        self._started = started
        self._start_id = start_id
        self._whole: Together | None = None
        self._others = [slot for slot in block.slots if slot is not self._slot]
        self.connected = self._connected
        self.fair = self._fair
        # A memory has no `append`; what is asked of it here it does as a list would.
        self.batches = cast("MutableSequence[int]", self._slot.batches[: len(ROW_EDGES) + 2])

    def state(self, config: Settings) -> State:
        return SharedState(config, self._slot, self._started, self._start_id)

    def counts(self) -> Counts:
        return SharedCounts(self._slot)

    def whole(
        self, state: State, counts: Counts, predictor: Predictor, open_connections: Callable[[], int]
    ) -> Together:
        self._whole = Together(state, counts, predictor, open_connections, self._block)
        return self._whole

    @asynccontextmanager
    async def turn(self, state: State, source: Source, executor: Executor) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        # Of the process and not of the thread; a worker that dies lets go of it.
        await loop.run_in_executor(executor, fcntl.lockf, self._block.file, fcntl.LOCK_EX)
        try:
            pin = self._block.pin.read()
            if pin is not None:
                source.stay_with(pin["model"], pin["digest"])
            yield
            if pin is None and state.loaded is not None:
                self._block.pin.write(_pin(state.loaded, state.config))
        finally:
            fcntl.lockf(self._block.file, fcntl.LOCK_UN)

    def may_accept(self, state: State) -> bool:
        """All share one queue of new connections: where others can answer, one that cannot yet takes none away."""
        may = state.loaded is not None or self._whole is None or not self._whole.served_by_another
        self._slot.gauges[ACCEPTING] = may
        return may

    async def beat(self, predictor: Predictor) -> None:
        while True:
            oldest = predictor.calls.oldest
            self._slot.gauges[WAITING] = predictor.waiting
            self._slot.moments[OLDEST_CALL] = time.monotonic() - oldest if oldest else 0.0
            self._slot.moments[BEAT] = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def _fair(self, coming: int) -> bool:
        mine = self._slot.gauges[OPEN_CONNECTIONS] + coming
        least = min((slot.gauges[OPEN_CONNECTIONS] for slot in self._others if slot.gauges[ACCEPTING]), default=mine)
        return mine <= least * SLACK

    def _connected(self, number: int) -> None:
        self._slot.gauges[OPEN_CONNECTIONS] = number


def _pin(loaded: Loaded, config: Settings) -> dict[str, str]:
    """What all workers serve from now on."""
    model = config.model
    if model.startswith("models:") and not config.model_version:
        model = f"models:/{quote(settings.registry_reference(model).name, safe='')}/{loaded.version}"
    return {"model": model, "digest": loaded.located.digest, "name": loaded.name, "version": loaded.version}


def run(
    config: Settings,
    http: socket.socket,
    ops: socket.socket,
    place: Worker,
    lifeline: int,
    named: dict[str, str] | None,
) -> None:
    """Serve until told to end, or until the parent, which holds the other end of the lifeline, is gone."""
    if named is not None:
        # Also while it is loading, and while the registry cannot say it.
        config = replace(config, model_name=named["name"], model_version=named["version"])

    async def serve() -> None:
        process = Process(config, place)
        loop = asyncio.get_running_loop()

        def orphaned() -> None:
            loop.remove_reader(lifeline)
            process.interrupt()

        loop.add_reader(lifeline, orphaned)
        await process.run(http, ops)

    uvloop.run(serve())
