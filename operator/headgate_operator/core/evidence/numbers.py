"""Numbers of the evidence as text: a status holds no floats, so each state keeps its numbers as one short string.

The text is exact (`repr`): an operator that takes over from a checkpoint, or a replay, sees the very same numbers as
the one that went on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LARGEST = 1e15
"""No count and no evidence of ours is larger, and what is this large can still be added to."""


def packed(values: Sequence[float]) -> str:
    return " ".join([repr(int(value)) if value.is_integer() else repr(value) for value in map(float, values)])


def unpacked(text: str, count: int, *, least: float = -LARGEST) -> tuple[float, ...]:
    """ValueError where the text is not `count` numbers of that range: it was written by another release, or damaged."""
    values = tuple(map(float, text.split()))
    if len(values) != count or not all(least <= value <= LARGEST for value in values):
        raise ValueError(f"not {count} numbers: {text[:80]!r}")
    return values


def log_add(one: float, other: float) -> float:
    low, high = (one, other) if one < other else (other, one)
    return high + math.log1p(math.exp(low - high))


def log_sum(logs: Sequence[float]) -> float:
    """ln of the sum of exp of each; -inf for nothing."""
    top = max(logs, default=-math.inf)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum([math.exp(value - top) for value in logs]))


def log_mean(logs: Sequence[float]) -> float:
    return log_sum(logs) - math.log(len(logs))
