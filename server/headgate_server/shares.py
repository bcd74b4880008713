"""What one worker writes into its slot, and what all slots come to together.

The lists of what is counted are closed, so that they fit a block of a fixed size: paths and codes, kinds of failures,
steps of the ladder. Names of classes are the model's, so they have places of their own to claim; where there are more
of them than places, a name shares a bin by its hash, as unknown labels do.
"""

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from headgate_server import block
from headgate_server.block import IN_FLIGHT, LAST_REQUEST, Slot
from headgate_server.contract import BUCKET_UPPER_BOUNDS_SECONDS, PREDICTION_LAST_STEP
from headgate_server.counts import BUCKETS, Counts, Row
from headgate_server.predictions import HASHES, NO_NUMBER, SMALL, Bin, PredictionCounts, hashed
from headgate_server.protocols.failures import KINDS
from headgate_server.protocols.table import PREDICTING
from headgate_server.settings import Settings
from headgate_server.state import State

GROUPS: Final = (*sorted({endpoint.group for endpoint in PREDICTING}), "other")
GROUP_AT: Final = {group: at for at, group in enumerate(GROUPS)}
CODES: Final = (200, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 499, 500, 503, 504)
ROWS: Final = tuple((group, code) for group in GROUPS for code in CODES)
ROW_AT: Final = {row: at for at, row in enumerate(ROWS)}
ERRORS: Final = tuple(KINDS)
ERROR_AT: Final = {kind: at for at, kind in enumerate(ERRORS)}
WORDS: Final = (NO_NUMBER, "true", "false", *map(str, SMALL), *(f"~{n}" for n in range(HASHES)))
WORD_AT: Final = {word: at for at, word in enumerate(WORDS)}

assert len(ROWS) <= block.ROWS  # noqa: S101 - what follows would write into another part
assert len(GROUPS) <= block.GROUPS  # noqa: S101
assert len(ERRORS) <= block.ERRORS  # noqa: S101
assert len(WORDS) <= block.WORDS  # noqa: S101
assert block.BUCKETS == BUCKETS  # noqa: S101
assert block.STEPS == 2 * PREDICTION_LAST_STEP + 1  # noqa: S101


class SharedCounts(Counts):
    """Counts into the slot; what `Counts` itself keeps stays empty."""

    def __init__(self, slot: Slot) -> None:
        super().__init__()
        self.predictions = SharedPredictions(slot)
        self._slot = slot
        self._inherit()

    def _inherit(self) -> None:
        """What the worker before took with it when it died has failed: no restart of the pod tells of it, so counts
        must. How long it took nobody knows; it did not end."""
        for at, group in enumerate(GROUPS):
            if lost := self._slot.under_way[at]:
                self._slot.buckets[ROW_AT[(group, 500)] * BUCKETS + BUCKETS - 1] += lost
                self._slot.errors[ERROR_AT["internal"]] += lost
                self._slot.under_way[at] = 0

    def answered(self, group: str, code: int, seconds: float) -> None:
        at = ROW_AT.get((group, code))
        if at is None:
            at = ROW_AT[(group, like(code))]
        self._slot.buckets[at * BUCKETS + bisect_left(BUCKET_UPPER_BOUNDS_SECONDS, seconds)] += 1
        self._slot.seconds[at] += seconds

    def failed(self, kind: str) -> None:
        self._slot.errors[ERROR_AT[kind]] += 1


def like(code: int) -> int:
    """The code that stands for one that no answer here has: of its class, which is what verdicts go by."""
    return 200 if code < 400 else 400 if code < 500 else 500


class SharedPredictions(PredictionCounts):
    def __init__(self, slot: Slot) -> None:
        super().__init__()
        self._slot = slot
        self._names = {name: at for at, cell in enumerate(slot.names) if (name := cell.read()) is not None}

    def counted(self, found: Bin) -> None:
        if isinstance(found, int):
            self._slot.steps[found + PREDICTION_LAST_STEP] += 1
        elif found in WORD_AT:
            self._slot.words[WORD_AT[found]] += 1
        elif (at := self._place(found)) is not None:
            self._slot.named[at] += 1
        else:
            self._slot.words[WORD_AT[hashed(found)]] += 1

    def _place(self, name: str) -> int | None:
        if name not in self._names:
            free = set(range(block.NAMES)) - set(self._names.values())
            if not free:
                return None
            at = min(free)
            self._slot.names[at].write(name)
            self._names[name] = at
        return self._names[name]


class SharedState(State):
    """Tells the others at every change what they answer for as well."""

    def __init__(self, config: Settings, slot: Slot, started: float, start_id: str) -> None:
        super().__init__(config, started, start_id)
        self._slot = slot
        self.changed()

    def began(self, group: str) -> None:
        super().began(group)
        self._slot.under_way[GROUP_AT[group]] += 1
        self._under_way()

    def ended(self, group: str) -> None:
        super().ended(group)
        self._slot.under_way[GROUP_AT[group]] -= 1
        self._under_way()

    def changed(self) -> None:
        waiting = self.not_ready
        self._slot.report.write(
            {
                "pid": os.getpid(),
                "reason": waiting.reason if waiting else "",
                "message": waiting.message if waiting else "",
                "load_seconds": self.loaded.load_seconds if self.loaded else None,
            }
        )

    def _under_way(self) -> None:
        self._slot.gauges[IN_FLIGHT] = self.in_flight
        self._slot.moments[LAST_REQUEST] = self.last_request or 0.0


def total(slots: Iterable[Slot]) -> Counts:
    """The sum of all slots. It never goes back: no slot does, whichever worker has it."""
    made = Counts()
    for slot in slots:
        for at, key in enumerate(ROWS):
            buckets = slot.buckets[at * BUCKETS : (at + 1) * BUCKETS].tolist()
            if count := sum(buckets):
                row = made.rows.setdefault(key, Row())
                row.count += count
                row.seconds += slot.seconds[at]
                row.buckets = [a + b for a, b in zip(row.buckets, buckets, strict=True)]
        _add(made.errors, ERRORS, slot.errors)
        _add(made.predictions.bins, WORDS, slot.words)
        _add(made.predictions.bins, range(-PREDICTION_LAST_STEP, PREDICTION_LAST_STEP + 1), slot.steps)
        named = {at: count for at, count in enumerate(slot.named.tolist()) if count}
        _add(made.predictions.bins, [slot.names[at].read() for at in named], named.values())
    made.schema_violations = made.errors["invalid_input"]
    return made


def _add(sums: Counter[Any], names: Iterable[Any], counts: Iterable[int]) -> None:
    for name, count in zip(names, counts, strict=False):  # places that no name has are 0
        if count:
            sums[name] += count
