"""The loop that drives controllers: store changes become keys, keys are synced one at a time, delays come back.

Events are wake-ups only: a sync reads the present. It runs on whatever clock the event loop has, real or virtual.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from headgate_local.controllers.objects import Key
from headgate_local.errors import ApiError
from headgate_local.store import Change, Store

_log = logging.getLogger(__name__)

_FIRST_RETRY, _LONGEST_RETRY = 0.005, 10.0


@dataclass(frozen=True)
class Wiring:
    """One controller: what wakes it, for which key, and what is then called."""

    name: str
    sync: Callable[[str, str], float | None]
    wakes: Mapping[str, Callable[[Change], Iterable[Key]]] = field(default_factory=dict)
    # Asked for every change of any kind; for the few controllers that are about all objects.
    wakes_always: Callable[[Change], Iterable[Key]] | None = None


class ControllerLoop:
    def __init__(self, store: Store, wirings: Iterable[Wiring]) -> None:
        self._store = store
        self._wirings = {wiring.name: wiring for wiring in wirings}
        self._queue: dict[tuple[str, Key], None] = {}
        self._timers: dict[tuple[str, Key], asyncio.TimerHandle] = {}
        self._failures: dict[tuple[str, Key], int] = {}
        self._changes: deque[Change] = deque()
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        self._unsubscribe = self._store.on_change(self._changed)
        self._task = asyncio.create_task(self._run(), name="controllers")

    async def stop(self) -> None:
        if self._unsubscribe:
            self._unsubscribe()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self, name: str, key: Key) -> None:
        """Look at this key soon; safe to call from anywhere in the event loop."""
        item = (name, key)
        timer = self._timers.pop(item, None)
        if timer:
            timer.cancel()
        self._queue[item] = None
        self._awake.set()

    @property
    def idle(self) -> bool:
        """Nothing is queued; timers may still be running."""
        return not self._queue and not self._changes

    def _changed(self, change: Change) -> None:
        # Only noted here: the store is in the middle of a write, and finding keys reads it.
        self._changes.append(change)
        self._awake.set()

    def _enqueue(self, change: Change) -> None:
        for wiring in self._wirings.values():
            keys = wiring.wakes.get(change.kind, wiring.wakes_always)
            if keys:
                for key in keys(change):
                    self.wake(wiring.name, key)

    async def _run(self) -> None:
        while True:
            await self._awake.wait()
            while self._changes or self._queue:
                while self._changes:
                    self._enqueue(self._changes.popleft())
                if not self._queue:
                    break
                item = next(iter(self._queue))
                del self._queue[item]
                self._sync(item)
                # Others (sockets, probes, the API) get their turn between two keys.
                await asyncio.sleep(0)
            self._awake.clear()

    def _sync(self, item: tuple[str, Key]) -> None:
        name, key = item
        try:
            delay = self._wirings[name].sync(*key)
        except ApiError as error:
            # Conflicts and objects that have just gone are everyday: read again, a little later each time.
            _log.debug("%s %s/%s: %s", name, *key, error)
            delay = self._retry_delay(item)
        except Exception:  # noqa: BLE001 - one bad object must not stop the controllers for all others
            _log.exception("controller %s failed on %s/%s and will try again", name, *key)
            delay = self._retry_delay(item)
        else:
            self._failures.pop(item, None)
        if delay is not None and item not in self._queue:
            loop = asyncio.get_running_loop()
            self._timers[item] = loop.call_later(max(0.0, delay), self.wake, name, key)

    def _retry_delay(self, item: tuple[str, Key]) -> float:
        count = self._failures.get(item, 0)
        self._failures[item] = count + 1
        return float(min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(count, 20)))
