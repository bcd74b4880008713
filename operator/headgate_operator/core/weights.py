"""How many pods each side gets for a weight, where the share of the traffic is the share of the ready pods.

Safe keeps the stable side whole until the promotion; Economical keeps the total near `replicas`. Both follow the weight
monotonically and leave at least one pod on each side, whatever the numbers: 0 canaries at 95 % is a defect others have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from headgate_operator.api.spec import Capacity

WHOLE = 100
TOLERATED = Fraction(1, 100)
"""A weight is called unachievable where the nearest share is further away than this."""


@dataclass(frozen=True, slots=True)
class Split:
    stable: int
    candidate: int

    @property
    def share(self) -> Fraction:
        """The candidate's, between 0 and 1."""
        return Fraction(self.candidate, self.stable + self.candidate)


def split(capacity: Capacity, replicas: int, weight: int) -> Split:
    """`replicas` >= 1, `weight` 1 to 100. A weight of 100 is the moment before the switch: the candidate is whole."""
    if weight >= WHOLE:
        return Split(least_stable(capacity, replicas), replicas)
    choices = _safe(replicas, weight) if capacity is Capacity.SAFE else _economical(replicas, weight)
    wanted = Fraction(weight, WHOLE)
    # The nearest share, then the fewest pods.
    return min(choices, key=lambda choice: (abs(choice.share - wanted), choice.stable + choice.candidate))


def least_stable(capacity: Capacity, replicas: int) -> int:
    """What the stable side is never smaller than before the switch."""
    return replicas if capacity is Capacity.SAFE else -(-replicas // 2)


def achievable(choice: Split, weight: int) -> bool:
    return weight >= WHOLE or abs(choice.share - Fraction(weight, WHOLE)) <= TOLERATED


def _safe(replicas: int, weight: int) -> Iterable[Split]:
    """The share rises with the candidate's pods, so that only the two around the exact number can be nearest."""
    exact = replicas * weight // (WHOLE - weight)
    return (Split(replicas, _within(pods, 1, replicas)) for pods in (exact, exact + 1))


def _economical(replicas: int, weight: int) -> Iterable[Split]:
    for total in (replicas, replicas + 1):
        most = total - least_stable(Capacity.ECONOMICAL, replicas)
        if most >= 1:
            exact = total * weight // WHOLE
            for pods in (exact, exact + 1):
                candidate = _within(pods, 1, most)
                yield Split(total - candidate, candidate)


def _within(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))
