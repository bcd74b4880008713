"""Requests as plain integers: one row a path group and status code, told by /counters and /metrics alike.

Written in the event loop only. The operator's verdicts rest on these numbers, so operations paths are not in them.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from headgate_server.contract import BUCKET_UPPER_BOUNDS_SECONDS
from headgate_server.predictions import PredictionCounts

BUCKETS = len(BUCKET_UPPER_BOUNDS_SECONDS) + 1  # the last one is above every bound


@dataclass
class Row:
    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)


class Counts:
    """Every answered request since the process began."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], Row] = {}
        self.errors: Counter[str] = Counter()
        self.schema_violations = 0
        self.predictions = PredictionCounts()

    def answered(self, group: str, code: int, seconds: float) -> None:
        row = self.rows.get((group, code))
        if row is None:
            row = self.rows[(group, code)] = Row()
        row.count += 1
        row.seconds += seconds
        # A value on the edge belongs below it, as in Prometheus (le).
        row.buckets[bisect_left(BUCKET_UPPER_BOUNDS_SECONDS, seconds)] += 1

    def failed(self, kind: str) -> None:
        self.errors[kind] += 1
        if kind == "invalid_input":
            self.schema_violations += 1

    def as_json(self) -> dict[str, Any]:
        """Their part of the body of /counters."""
        return {
            "bucket_upper_bounds_seconds": list(BUCKET_UPPER_BOUNDS_SECONDS),
            "requests": [[group, code, row.count, row.buckets] for (group, code), row in sorted(self.rows.items())],
            "errors": [[kind, count] for kind, count in sorted(self.errors.items())],
            "predictions": self.predictions.as_json(),
        }
