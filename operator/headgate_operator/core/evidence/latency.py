"""The gate on latency: the test of shares again, on "slower than a bucket's edge".

The edges lie where stable's own past has its median, 90 % and 99 %. The candidate is counted some buckets further up:
so it may be slower by the tolerated ratio, exactly. Nothing is interpolated, and no quantile is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from headgate_operator.api.evidence import LatencyState
from headgate_operator.core.evidence.counts import Counts
from headgate_operator.core.evidence.dispersion import Dispersion
from headgate_operator.core.evidence.eprocess import HARM, SAFETY, EProcess, Rule
from headgate_operator.core.evidence.evalue import log_e_values
from headgate_operator.core.evidence.histogram import Histogram
from headgate_operator.core.evidence.numbers import log_mean
from headgate_operator.core.evidence.policy import BUCKET_RATIO
from headgate_operator.core.evidence.terms import Terms

QUANTILES = (0.5, 0.9, 0.99)
SAFETY_AT = 1
SAFETY_RATIO, SAFETY_MARGIN = 2.0, 0.01
PRIOR = 200.0
NEEDED_BEYOND = 5
"""An edge is tested once stable's past has this many answers beyond it to expect: guessed from fewer it costs power."""
SLACK = 0.99
"""Bounds that were rounded when they were written down still count as the next bucket."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """The bounds of the buckets, and how far up the candidate is counted."""

    bounds: tuple[float, ...]
    ratio: float

    def tolerated(self, edge: int) -> int | None:
        """For harm: the first bound that is at least `ratio` times the edge."""
        return self._above(edge, self.ratio)

    def safe(self, edge: int) -> int | None:
        """For safety: one bucket less, the edge itself for a tolerance of one bucket."""
        return self._above(edge, max(self.ratio / BUCKET_RATIO, 1.0))

    def _above(self, edge: int, ratio: float) -> int | None:
        wanted = SLACK * ratio * self.bounds[edge]
        return next((index for index in range(edge, len(self.bounds)) if self.bounds[index] >= wanted), None)


@dataclass(frozen=True, slots=True)
class Latency:
    harm: tuple[EProcess, ...] = (EProcess(HARM),) * len(QUANTILES)
    safety: EProcess = field(default_factory=lambda: EProcess(SAFETY))
    dispersion: tuple[Dispersion, ...] = (Dispersion(),) * len(QUANTILES)
    stable: Histogram = field(default_factory=Histogram)
    candidate: Histogram = field(default_factory=Histogram)

    @property
    def log_harm(self) -> float:
        return log_mean([process.log_value for process in self.harm])

    def edge(self, index: int) -> int | None:
        share = QUANTILES[index]
        if self.stable.total * (1 - share) < NEEDED_BEYOND * (1 - 1e-9):
            return None
        return self.stable.edge(share)

    def guess(self, edge: int) -> float:
        """Stable's share of slower answers, from before the interval."""
        total = self.stable.total
        slow = self.stable.slower(edge)
        return (slow / total * PRIOR + 0.5 + slow) / (PRIOR + 1 + total)

    def after(self, terms: Terms, ladder: Ladder, candidate: tuple[float, ...], stable: tuple[float, ...]) -> Self:
        size = len(ladder.bounds) + 1
        candidate = candidate if len(candidate) == size else ()
        stable = stable if len(stable) == size else ()
        fast, slow = Histogram(stable), Histogram(candidate)
        harm, dispersion, safety = [], [], self.safety
        for index, process in enumerate(self.harm):
            edge, spread = self.edge(index), self.dispersion[index]
            es = self._log_es(HARM, edge, ladder.tolerated, spread, fast, slow)
            harm.append(process.after(es, terms.harm_cap))
            if index == SAFETY_AT:
                es = self._log_es(SAFETY, edge, ladder.safe, spread, fast, slow, SAFETY_RATIO, SAFETY_MARGIN)
                safety = safety.after(es, terms.safety_cap)
            if edge is not None:
                spread = spread.after(fast.total, fast.slower(edge), edge)
            dispersion.append(spread)
        return type(self)(
            harm=tuple(harm),
            safety=safety,
            dispersion=tuple(dispersion),
            stable=self.stable.plus(stable) if stable else self.stable,
            candidate=self.candidate.plus(candidate) if candidate else self.candidate,
        )

    def _log_es(
        self,
        rule: Rule,
        edge: int | None,
        further_up: Callable[[int], int | None],
        spread: Dispersion,
        stable: Histogram,
        candidate: Histogram,
        r: float = 1.0,
        d: float = 0.0,
    ) -> list[float] | None:
        at = None if edge is None else further_up(edge)
        if edge is None or at is None or not stable.total or not candidate.total:
            return None
        counts = Counts(candidate.total, candidate.slower(at), stable.total, stable.slower(edge))
        return log_e_values(rule.grid, spread.divided(counts), self.guess(edge), r, d)

    @property
    def state(self) -> LatencyState:
        return LatencyState(
            harm=tuple(process.text for process in self.harm),
            safety=self.safety.text,
            dispersion=tuple(spread.text for spread in self.dispersion),
            stable=self.stable.text,
            candidate=self.candidate.text,
        )

    @classmethod
    def read(cls, state: LatencyState, size: int) -> Self:
        if not state.harm:
            return cls()
        if len(state.harm) != len(QUANTILES) or len(state.dispersion) != len(QUANTILES):
            raise ValueError("not three edges")
        return cls(
            harm=tuple(EProcess.read(HARM, text) for text in state.harm),
            safety=EProcess.read(SAFETY, state.safety),
            dispersion=tuple(Dispersion.read(text) for text in state.dispersion),
            stable=Histogram.read(state.stable, size),
            candidate=Histogram.read(state.candidate, size),
        )
