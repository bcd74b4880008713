"""Counts of answers by duration: where the quantiles lie, and how many are slower than an edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

from headgate_operator.core.evidence.numbers import packed, unpacked


@dataclass(frozen=True, slots=True)
class Histogram:
    """One count a bucket, not cumulative; the last one is above the last bound."""

    counts: tuple[float, ...] = ()

    @property
    def total(self) -> float:
        return sum(self.counts)

    def plus(self, other: Sequence[float]) -> Self:
        if not self.counts:
            return type(self)(tuple(other))
        return type(self)(tuple([mine + more for mine, more in zip(self.counts, other, strict=True)]))

    def edge(self, share: float) -> int | None:
        """The first bound which at least this share of the answers does not exceed; None if that is no finite one."""
        needed = share * self.total
        for index, below in enumerate(accumulate(self.counts[:-1])):
            if below >= needed:
                return index
        return None

    def slower(self, edge: int) -> float:
        return sum(self.counts[edge + 1 :])

    @property
    def text(self) -> str:
        """`first:counts` from the first to the last that is not zero: most buckets never see an answer."""
        seen = [index for index, count in enumerate(self.counts) if count]
        if not seen:
            return ""
        return f"{seen[0]}:{packed(self.counts[seen[0] : seen[-1] + 1])}"

    @classmethod
    def read(cls, text: str, size: int) -> Self:
        if not text:
            return cls()
        first, _, rest = text.partition(":")
        before, seen = int(first), len(rest.split())
        after = size - before - seen
        if before < 0 or after < 0:
            raise ValueError(f"not a histogram of {size} buckets: {text[:80]!r}")
        return cls((*(0.0,) * before, *unpacked(rest, seen, least=0), *(0.0,) * after))
