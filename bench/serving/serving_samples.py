"""What one look at one server found, and the few numbers made of many looks: medians, and ratios within a round."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

CONNECTIONS = (1, 16, 64)
ROWS = (1, 100)
MODELS = ("lr", "rf")


@dataclass(frozen=True)
class Cell:
    model: str
    rows: int
    connections: int


CELLS = tuple(Cell(model, rows, connections) for model in MODELS for rows in ROWS for connections in CONNECTIONS)


@dataclass(frozen=True)
class Sample:
    """One run of wrk. Latencies in microseconds."""

    contender: str
    cell: Cell
    round: int
    requests: int
    seconds: float
    non_2xx: int
    socket_errors: int
    p50: int
    p90: int
    p99: int
    generator_busy: float

    @property
    def failed(self) -> int:
        return self.non_2xx + self.socket_errors

    @property
    def rate(self) -> float:
        """Good answers a second; an answer that is not a 200 earns nothing."""
        return max(0, self.requests - self.non_2xx) / self.seconds


@dataclass(frozen=True)
class Ratio:
    """How many times as many answers, by round: the median, and how far the rounds lie apart."""

    median: float
    low: float
    high: float
    rounds: int


def of(samples: Iterable[Sample], contender: str, cell: Cell) -> list[Sample]:
    return [sample for sample in samples if sample.contender == contender and sample.cell == cell]


def ratio(samples: Sequence[Sample], ours: str, other: str, cell: Cell) -> Ratio | None:
    """Ours by theirs within each round that has both: what the machine did between rounds falls out."""
    rates = {sample.round: sample.rate for sample in of(samples, other, cell)}
    found = [s.rate / rates[s.round] for s in of(samples, ours, cell) if rates.get(s.round, 0) > 0]
    return Ratio(median(found), min(found), max(found), len(found)) if found else None


def middle(samples: Sequence[Sample], field: str) -> float | None:
    values = [getattr(sample, field) for sample in samples]
    return median(values) if values else None


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so great a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 1000) * len(ordered) // 1000) - 1)]
