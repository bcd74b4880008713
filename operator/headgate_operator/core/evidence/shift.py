"""Does the candidate predict otherwise than stable? That is no harm yet, but somebody should know before it goes on.

Each interval has an e-value against "both versions' predictions are distributed alike", with the shares that each
version had before as the alternative: `prod (p_c/p_0)^k_c (p_s/p_0)^k_s`, where p_0 mixes p_c and p_s as the interval's
numbers of requests do. For one distribution p of both its expectation is

    (sum p p_c/p_0)^n_c (sum p p_s/p_0)^n_s  <=  (sum p (n_c p_c + n_s p_s) / (n_c + n_s) / p_0)^(n_c + n_s)  =  1,

whatever p is and however wrong the alternative (weighted means; Turner, Ly, Grünwald for more than two outcomes).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import Final, Self

from headgate_operator.api.evidence import ShiftState
from headgate_operator.core.evidence.bins import Bins, total
from headgate_operator.core.evidence.eprocess import EProcess, Rule
from headgate_operator.core.evidence.interval import Predicted
from headgate_operator.core.evidence.numbers import LARGEST, packed, unpacked

BOLDNESS: Final = Rule((0.25, 0.5, 1.0), restarts=True)
"""How far the alternative goes from what both have in common to what each seems to do."""
FIRST: Final = 100
"""Predictions of stable that its bins are made from."""
MOST_FIRST: Final = 120
"""Different ones among those that are kept."""
RELEVANT: Final = 0.2
"""Of the population stability index: a mean that moves by about half a standard deviation."""
SHRUNK: Final = 10.0
"""Predictions in common that each version is credited with when its shares are guessed."""
PRIOR_INTERVALS: Final = 5

Counts = tuple[float, ...]


def log_e_values(
    grid: Sequence[float], past: tuple[Counts, Counts], now: tuple[Counts, Counts], phi: float = 1.0
) -> list[float]:
    """ln e of one interval; first the candidate's counts, then stable's."""
    n_c, n_s = sum(now[0]), sum(now[1])
    common = [(c + s + 0.5) for c, s in zip(*past, strict=True)]
    whole = sum(common)
    common = [share / whole for share in common]
    ours, theirs = (_guessed(counts, common, phi) for counts in past)
    es = []
    for bold in grid:
        found = 0.0
        for g, c, s, k_c, k_s in zip(common, ours, theirs, *now, strict=True):
            if k_c or k_s:
                p_c, p_s = g + bold * (c - g), g + bold * (s - g)
                p_0 = (n_c * p_c + n_s * p_s) / (n_c + n_s)
                found += k_c * log(p_c / p_0) + k_s * log(p_s / p_0)
        es.append(found / phi)
    return es


def _guessed(counts: Counts, common: Sequence[float], phi: float) -> list[float]:
    weight = SHRUNK * phi
    size = sum(counts) + weight
    return [(count + weight * share) / size for count, share in zip(counts, common, strict=True)]


def stability_index(reference: Sequence[float], current: Sequence[float]) -> float:
    """PSI, with half a prediction more in every bin."""
    m, n = (sum(counts) + 0.5 * len(counts) for counts in (reference, current))
    shares = [((r + 0.5) / m, (c + 0.5) / n) for r, c in zip(reference, current, strict=True)]
    return sum((q - p) * log(q / p) for p, q in shares)


def chi_square(one: Sequence[float], other: Sequence[float]) -> tuple[float, int]:
    """Of homogeneity, and its degrees of freedom."""
    m, n, found, seen = sum(one), sum(other), 0.0, 0
    for r, c in zip(one, other, strict=True):
        if r + c > 0:
            e = (r + c) / (m + n)
            found += (r - m * e) ** 2 / (m * e) + (c - n * e) ** 2 / (n * e)
            seen += 1
    return found, max(seen - 1, 0)


@dataclass(frozen=True, slots=True)
class Spread:
    """How much more than by chance stable's predictions jump between intervals: bursts of alike requests, retries."""

    squares: float = 0.0
    pairs: float = 0.0
    last: Counts = ()

    @property
    def phi(self) -> float:
        return max((self.squares + PRIOR_INTERVALS) / (self.pairs + PRIOR_INTERVALS), 1.0)

    def after(self, counts: Counts) -> Self:
        if not sum(counts):
            return self
        squares, pairs = self.squares, self.pairs
        if self.last:
            found, freedom = chi_square(self.last, counts)
            if freedom:
                squares, pairs = squares + found / freedom, pairs + 1
        return type(self)(squares, pairs, counts)


@dataclass(frozen=True, slots=True)
class Shift:
    first: Predicted = ()
    bins: Bins | None = None
    evidence: EProcess = field(default_factory=lambda: EProcess(BOLDNESS))
    spread: Spread = field(default_factory=Spread)
    stable: Counts = ()
    candidate: Counts = ()

    def after(self, cap: float, candidate: Predicted, stable: Predicted) -> Self:
        if self.bins is None:
            return self._learned(stable)
        now = self.bins.counted(candidate), self.bins.counted(stable)
        both = sum(now[0]) > 0 and sum(now[1]) > 0
        es = log_e_values(BOLDNESS.grid, (self.candidate, self.stable), now, self.spread.phi) if both else None
        return type(self)(
            bins=self.bins,
            evidence=self.evidence.after(es, cap),
            spread=self.spread.after(now[1]),
            stable=_plus(self.stable, now[1]),
            candidate=_plus(self.candidate, now[0]),
        )

    def _learned(self, stable: Predicted) -> Self:
        """These are not compared: bins may depend on the past only."""
        counts = dict(self.first)
        for found, count in (pair for pair in stable if pair[1] > 0):
            counts[found] = counts.get(found, 0.0) + count
        seen = tuple(counts.items())
        if total(seen) < FIRST and len(seen) <= MOST_FIRST:
            return type(self)(first=seen)
        bins = Bins.of(seen)
        nothing = (0.0,) * bins.size
        return type(self)(bins=bins, stable=nothing, candidate=nothing)

    @property
    def index(self) -> float:
        """PSI of all that was compared, without what chance alone would make it."""
        m, n = sum(self.stable), sum(self.candidate)
        if not m or not n:
            return 0.0
        seen = [(s, c) for s, c in zip(self.stable, self.candidate, strict=True) if s or c]
        chance = self.spread.phi * (len(seen) - 1) * (1 / m + 1 / n)
        return stability_index([s for s, _ in seen], [c for _, c in seen]) - chance

    @property
    def state(self) -> ShiftState:
        if self.bins is None:
            first = json.dumps(self.first, separators=(",", ":"), ensure_ascii=False) if self.first else ""
            return ShiftState(first=first)
        return ShiftState(
            bins=self.bins.text,
            evidence=self.evidence.text,
            dispersion=packed((self.spread.squares, self.spread.pairs)),
            last=packed(self.spread.last),
            stable=packed(self.stable),
            candidate=packed(self.candidate),
        )

    @classmethod
    def read(cls, state: ShiftState) -> Self:
        bins = Bins.read(state.bins)
        if bins is None:
            return cls(first=_first(state.first))
        squares, pairs = unpacked(state.dispersion, 2, least=0)
        return cls(
            bins=bins,
            evidence=EProcess.read(BOLDNESS, state.evidence),
            spread=Spread(squares, pairs, unpacked(state.last, bins.size, least=0) if state.last else ()),
            stable=unpacked(state.stable, bins.size, least=0),
            candidate=unpacked(state.candidate, bins.size, least=0),
        )


def _plus(one: Counts, other: Counts) -> Counts:
    return tuple([a + b for a, b in zip(one, other, strict=True)])


def _first(text: str) -> Predicted:
    found = json.loads(text) if text else []
    if not isinstance(found, list):
        raise ValueError(f"not predictions: {text[:80]!r}")
    pairs = []
    for pair in found:
        named = isinstance(pair, list) and len(pair) == 2 and (isinstance(pair[0], str) or type(pair[0]) is int)
        if not named or type(pair[1]) not in {int, float} or not 0 <= pair[1] <= LARGEST:
            raise ValueError(f"not predictions: {text[:80]!r}")
        pairs.append((pair[0], float(pair[1])))
    return tuple(pairs)
