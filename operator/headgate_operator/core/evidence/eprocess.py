"""Evidence over the intervals: the product of their e-values, for a grid of alternatives and for a late onset too.

`E` may be looked at after every interval: under the hypothesis it ever reaches 1/alpha with a probability of at most
alpha (Ville). Everything is in logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Self

from headgate_operator.core.evidence.numbers import log_add, log_sum, packed, unpacked

CAP_EXPONENT = 0.4
"""ln e of one interval is at most this share of the bound: no single burst decides, three intervals must agree."""


@dataclass(frozen=True, slots=True)
class Rule:
    grid: tuple[float, ...]
    restarts: bool


HARM = Rule((1.25, 1.5, 2, 3, 5, 9), restarts=True)
SAFETY = Rule((0.2, 0.35, 0.5, 0.65, 0.8, 0.9), restarts=False)


def cap(bound: float) -> float:
    return CAP_EXPONENT * bound


@dataclass(frozen=True, slots=True)
class EProcess:
    rule: Rule
    checks: int = 0
    logs: tuple[float, ...] = ()  # ln G_j, one a grid point; empty before the first check

    def after(self, log_es: Sequence[float] | None, cap: float) -> Self:
        """One check. None: an interval that says nothing, which is a check all the same."""
        checks = self.checks + 1
        es = [0.0] * len(self.rule.grid) if log_es is None else [min(value, cap) for value in log_es]
        weight = self._weight(checks)
        if not self.logs:
            logs = tuple([log(weight) + e for e in es])
        elif weight:
            added = log(weight)
            logs = tuple([log_add(old, added) + e for old, e in zip(self.logs, es, strict=True)])
        else:
            logs = tuple([old + e for old, e in zip(self.logs, es, strict=True)])
        return type(self)(self.rule, checks, logs)

    def _weight(self, check: int) -> float:
        if not self.rule.restarts:
            return 1.0 if check == 1 else 0.0
        return 0.5 if check == 1 else 0.5 / (check * (check - 1))

    @property
    def log_value(self) -> float:
        if not self.checks:
            return 0.0
        size = log(len(self.logs))
        parts = [value - size for value in self.logs]
        if self.rule.restarts:
            parts.append(log(0.5 / self.checks))  # the weights that no restart has taken yet
        return log_sum(parts)

    @property
    def text(self) -> str:
        return packed((self.checks, *self.logs)) if self.checks else ""

    @classmethod
    def read(cls, rule: Rule, text: str) -> Self:
        if not text:
            return cls(rule)
        checks, *logs = unpacked(text, 1 + len(rule.grid))
        if checks < 1 or checks != int(checks):
            raise ValueError(f"not a number of checks: {checks}")
        return cls(rule, int(checks), tuple(logs))
