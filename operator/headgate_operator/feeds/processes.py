"""The server processes behind a ModelDeployment, and what each has answered since the tick before.

Differences are taken per process (`start_id`), whatever pod or address told of it, so nothing is counted twice:

* A process that was heard at the last tick gives what it answered since.
* One that is heard for the first time gives all it has answered, if it says that it began after the last tick; else it
  began to count somewhere, and its first answer is where we begin: a baseline.
* One that missed a tick begins anew as well. What it answered meanwhile belongs to intervals that are over: added to
  this one it would be compared with what the other arm answered at another time.
* An answer that goes backwards is an old one (a proxy's, or of an address that has a new owner): not an answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from headgate_operator.feeds.tally import Tally

MOST = 4096
"""Processes that are remembered. A rollout with more pods in its life forgets the oldest."""
WARM_AFTER = timedelta(seconds=30)
WARM_REQUESTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One pod's answer at a tick."""

    role: str
    pod: str  # its uid
    start_id: str
    tally: Tally
    uptime_seconds: float | None
    ready: bool = True
    ready_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Increment:
    """What one process answered within the interval."""

    role: str
    counts: Tally
    cold: bool  # in some part of the interval


@dataclass(slots=True)
class _Mark:
    tick: int
    tally: Tally


class Processes:
    """Of one rollout. `at` and `since` are times of ticks."""

    def __init__(self) -> None:
        self._marks: OrderedDict[str, _Mark] = OrderedDict()
        self._tick = 0
        self._forgot = False

    def begin_anew(self, heard: Iterable[Heard], at: datetime) -> None:
        """A baseline: what was answered until now is counted in no interval."""
        self._tick += 1  # nobody was heard at the tick before the one to come
        for _ in self.increments(heard, since=at, at=at):
            pass

    def increments(self, heard: Iterable[Heard], *, since: datetime, at: datetime) -> list[Increment]:
        self._tick += 1
        found, pods = [], set()
        for answer in heard:
            if answer.pod in pods:
                continue
            pods.add(answer.pod)
            before = self._before(answer, (at - since).total_seconds())
            if (increment := self._note(answer, before)) is not None:
                found.append(Increment(answer.role, increment, _cold(answer, before, since)))
        return found

    def _before(self, answer: Heard, seconds: float) -> Tally | None:
        """What the process had answered at the last tick; None = not known."""
        mark = self._marks.get(answer.start_id)
        if mark is not None:
            return mark.tally if mark.tick == self._tick - 1 else None
        began_since = answer.uptime_seconds is not None and answer.uptime_seconds <= seconds
        return answer.tally.nothing if began_since and not self._forgot else None

    def _note(self, answer: Heard, before: Tally | None) -> Tally | None:
        mark = self._marks.get(answer.start_id)
        if mark is not None and (mark.tick == self._tick or answer.tally.since(mark.tally) is None):
            return None
        self._marks[answer.start_id] = _Mark(self._tick, answer.tally)
        self._marks.move_to_end(answer.start_id)
        if len(self._marks) > MOST:
            self._marks.popitem(last=False)
            self._forgot = True  # from now on a process that seems new may be one that was counted
        return None if before is None else answer.tally.since(before)


def _cold(answer: Heard, before: Tally | None, since: datetime) -> bool:
    if before is None or before.requests < WARM_REQUESTS or not answer.ready:
        return True
    return answer.ready_since is not None and answer.ready_since + WARM_AFTER > since
