"""Calls of the model: one request's rows or several requests' together, what became of each, and how long it took.

If a shared call fails, each of its requests runs once alone: one row's failure is no other's.
"""

import contextlib
import itertools
import time
import uuid
from bisect import bisect_left
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from typing import Final

from headgate_server import logs
from headgate_server.loaders.runtime import Model, Output
from headgate_server.merging import merged, parted
from headgate_server.pace import Pace
from headgate_server.validation import Batch

# A call that used the processor for so long on the event loop was the last one there, and so was one that stood still
# for so long. What is between may be the machine's doing, and would be so in a thread.
SLOW_SECONDS: Final = 0.005
STILL_SECONDS: Final = 0.25
NEWEST: Final = 0.2  # of the newest call in the running mean
ROW_EDGES: Final = tuple(2**n for n in range(15))


@dataclass(frozen=True)
class ModelFailed:
    """What is told of a failure: an id to look for in the log."""

    failure_id: str


Result = list[Output] | ModelFailed


@dataclass(eq=False, slots=True)
class Work:
    """One request's rows, and what is wanted of them."""

    model: Model
    pace: Pace
    batch: Batch
    wanted: Sequence[str]

    @property
    def given_up(self) -> bool:
        return False


class Calls:
    """What runs, and what has run."""

    def __init__(self, rows: MutableSequence[int] | None = None) -> None:
        self._running: dict[int, float] = {}
        self._numbers = itertools.count()
        self.mean_share = 0.0  # seconds of a thread that a request cost of late
        # Calls by rows, the last ones above every edge; then the rows of them all.
        self.rows = [0] * (len(ROW_EDGES) + 2) if rows is None else rows

    @property
    def oldest(self) -> float:
        """For how long the oldest call has been running."""
        began = min(list(self._running.values()), default=None)
        return 0.0 if began is None else time.monotonic() - began

    def here(self, group: Sequence[Work]) -> list[Result]:
        """On the event loop. Whoever was slow there does not come back."""
        began, used = time.perf_counter(), time.thread_time()
        results = _results(group)
        if time.thread_time() - used > SLOW_SECONDS or time.perf_counter() - began > STILL_SECONDS:
            for work in group:
                work.pace.inline = False
            logs.warning("the model was slow; it runs in threads from now on", rows=_rows(group))
        self._count(group)
        return results

    def in_thread(self, group: Sequence[Work]) -> list[Result]:
        number = next(self._numbers)
        self._running[number] = began = time.monotonic()
        try:
            return _results(group)
        finally:
            del self._running[number]
            self._count(group)
            share = (time.monotonic() - began) / len(group)
            self.mean_share += NEWEST * (share - self.mean_share) if self.mean_share else share

    def _count(self, group: Sequence[Work]) -> None:
        rows = _rows(group)
        self.rows[bisect_left(ROW_EDGES, rows)] += 1
        self.rows[-1] += rows


def _results(group: Sequence[Work]) -> list[Result]:
    if len(group) > 1:
        # Whose fault a failure is shows when each runs alone.
        with contextlib.suppress(Exception):
            together = group[0].model.run(merged([work.batch for work in group]), group[0].wanted)
            return list(parted(together, [work.batch.rows for work in group]))
    return [_alone(work) for work in group]


def _alone(work: Work) -> Result:
    if work.given_up:
        return []
    try:
        return work.model.run(work.batch, work.wanted)
    except Exception as error:  # noqa: BLE001 - a model may raise anything
        failure_id = uuid.uuid4().hex
        # The class only: a library's message may repeat the data.
        logs.failure("the model failed", failure_id=failure_id, error=type(error).__name__, where=logs.place(error))
        return ModelFailed(failure_id)


def _rows(group: Sequence[Work]) -> int:
    return sum(work.batch.rows for work in group)
