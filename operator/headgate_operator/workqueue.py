"""The work queue: which deployments want a look, each held by one worker at a time.

The semantics are client-go's, because they are what makes wake-ups safe to lose and to repeat: a key waits at most
once however often it is added; a key added while a worker has it comes back when that worker is done; back-off is
counted per key and apart from the delays a healthy pass asks for. Time and chance come from outside.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class BackOff:
    """How long a failing key waits: `first`, doubled up to `longest`, each spread by +- `jitter` of itself."""

    first: float = 0.5
    longest: float = 60.0
    jitter: float = 0.2

    def seconds(self, failures: int, chance: float) -> float:
        """The wait after `failures` failures in a row; `chance` is uniform in [0, 1)."""
        doublings = min(max(failures, 1) - 1, 30)  # 2**30 is far beyond any `longest`, and no overflow
        plain = min(self.longest, self.first * float(2**doublings))
        return plain * (1 + self.jitter * (2 * chance - 1))


class QueueClosedError(Exception):
    """The queue was shut down: no more work is given out."""


class WorkQueue(Generic[Key]):
    """Must be used on one event loop; `clock` is monotonic and only measures how old a waiting key is."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        back_off: BackOff | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._back_off = back_off or BackOff()
        self._chance = chance
        self._ready: deque[Key] = deque()
        self._added: dict[Key, float] = {}  # ready, or wanted again by its worker's end: since when
        self._held: dict[Key, float] = {}  # with a worker: since when
        self._timers: dict[Key, tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[Key, int] = {}
        self._arrived = asyncio.Event()
        self._closed = False
        self.added_total = 0
        self.retried_total = 0

    # -- giving work in -------------------------------------------------------------------------------------

    def add(self, key: Key) -> None:
        """Wants a look now. No effect if it waits already; while it is held it comes back when that pass is done."""
        if self._closed or key in self._added:
            return
        self.added_total += 1
        self._added[key] = self._clock()
        if key not in self._held:
            self._push(key)

    def add_all(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.add(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Wants a look in `seconds`; of several such wishes the earliest counts."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if (waiting := self._timers.get(key)) is not None:
            if waiting[0] <= due:
                return
            waiting[1].cancel()
        self._timers[key] = (due, loop.call_at(due, self._ring, key))

    def retry(self, key: Key, at_least: float = 0.0) -> float:
        """The pass failed: wants a look after this key's back-off, or after `at_least` where that is longer."""
        self._failures[key] = self._failures.get(key, 0) + 1
        self.retried_total += 1
        delay = max(at_least, self._back_off.seconds(self._failures[key], self._chance()))
        self.add_after(key, delay)
        return delay

    def reset(self, key: Key) -> None:
        """The pass succeeded: the next failure begins at the first back-off again."""
        self._failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """The object is gone: drop its timer and its back-off (a key that waits already is still given out)."""
        self.reset(key)
        if (waiting := self._timers.pop(key, None)) is not None:
            waiting[1].cancel()

    # -- taking work out ------------------------------------------------------------------------------------

    async def get(self) -> Key:
        """The next key, now held by the caller, who must call `done` with it."""
        while not self._ready:
            if self._closed:
                raise QueueClosedError
            self._arrived.clear()
            await self._arrived.wait()
        key = self._ready.popleft()
        if not self._ready:
            self._arrived.clear()
        del self._added[key]
        self._held[key] = self._clock()
        # The pass that begins says itself when it wants the next look: an older wish is out of date.
        if (waiting := self._timers.pop(key, None)) is not None:
            waiting[1].cancel()
        return key

    def done(self, key: Key) -> None:
        self._held.pop(key, None)
        if key in self._added and not self._closed:
            self._added[key] = self._clock()
            self._push(key)

    def close(self) -> None:
        """Give out nothing more; whoever waits in `get` is told."""
        self._closed = True
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._ready.clear()
        self._added.clear()
        self._arrived.set()

    # -- what health and metrics ask ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def failing(self) -> int:
        """Keys whose last pass failed."""
        return len(self._failures)

    def oldest_seconds(self) -> float:
        """How long the longest-waiting key has been ready, not counting time with a worker."""
        return self._clock() - self._added[self._ready[0]] if self._ready else 0.0

    def longest_held_seconds(self) -> float:
        """How long the slowest worker has been at its key."""
        return self._clock() - min(self._held.values()) if self._held else 0.0

    def _push(self, key: Key) -> None:
        self._ready.append(key)
        self._arrived.set()

    def _ring(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)
