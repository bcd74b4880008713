"""How much more stable's share of bad requests jumps from interval to interval than chance alone would make it.

Retries count one failure several times, and failures come in bursts: both look like more evidence than there is. The
counts are divided by what stable's own history shows of it; the candidate's, by at least its part of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from headgate_operator.core.evidence.counts import Counts
from headgate_operator.core.evidence.numbers import packed, unpacked

PRIOR_INTERVALS = 5
PRIOR_BAD, PRIOR_TOTAL = 0.5, 50.0
LARGEST_OF_CANDIDATE = 3.0
FIELDS = 7


@dataclass(frozen=True, slots=True)
class Dispersion:
    squares: float = 0.0  # S
    pairs: float = 0.0  # M
    bad: float = 0.0
    total: float = 0.0
    last_rate: float = 0.0
    last_variance: float = 0.0  # 0: no interval to compare with
    key: float = 0.0  # what was counted as bad; shares of different things are not compared

    @property
    def stable(self) -> float:
        return max((self.squares + PRIOR_INTERVALS) / (self.pairs + PRIOR_INTERVALS), 1.0)

    def divided(self, counts: Counts) -> Counts:
        phi_s = self.stable
        if phi_s <= 1:
            return counts
        limited = min(phi_s, LARGEST_OF_CANDIDATE)
        n_c, k_c, n_s, k_s = counts
        phi_c = max(limited, 1 + (phi_s - 1) * min(n_c / n_s, 1.0)) if n_s > 0 else limited
        return Counts(n_c / phi_c, k_c / phi_c, n_s / phi_s, k_s / phi_s)

    def after(self, requests: float, bad: float, key: float = 0.0) -> Self:
        """Learns from stable's raw counts of an interval, once that interval has been judged."""
        if requests <= 0:
            return self
        total_bad, total = self.bad + bad, self.total + requests
        p = (PRIOR_BAD + total_bad) / (PRIOR_TOTAL + total)
        rate, variance = bad / requests, max(p * (1 - p), 1e-12) / requests
        squares, pairs = self.squares, self.pairs
        if self.last_variance > 0 and self.key == key:
            squares += (rate - self.last_rate) ** 2 / (variance + self.last_variance)
            pairs += 1
        return type(self)(squares, pairs, total_bad, total, rate, variance, key)

    @property
    def text(self) -> str:
        if not self.total:
            return ""
        numbers = (self.squares, self.pairs, self.bad, self.total, self.last_rate, self.last_variance, self.key)
        return packed(numbers)

    @classmethod
    def read(cls, text: str) -> Self:
        return cls(*unpacked(text, FIELDS, least=0)) if text else cls()
