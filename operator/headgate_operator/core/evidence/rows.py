"""The last intervals as they came: the present rate, the observed share, and differences that only just began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from headgate_operator.core.evidence.counts import Counts
from headgate_operator.core.evidence.interval import Arm
from headgate_operator.core.evidence.numbers import packed, unpacked

KEPT = 6
WINDOW = 60.0
"""Rows that ended within this many seconds before the last one; with intervals of 10 s all that are kept."""


@dataclass(frozen=True, slots=True)
class Row:
    at: float
    candidate: tuple[float, float, float]  # requests, errors, client errors
    stable: tuple[float, float, float]
    text: str  # as the state keeps it; made once, for a row is written with six states

    @classmethod
    def of(cls, at: float, candidate: Arm, stable: Arm) -> Self:
        ours = (candidate.requests, candidate.errors, candidate.client_errors)
        theirs = (stable.requests, stable.errors, stable.client_errors)
        return cls(at, ours, theirs, packed((at, *ours, *theirs)))

    @classmethod
    def read(cls, text: str) -> Self:
        at, n_c, k_c, m_c, n_s, k_s, m_s = unpacked(text, 7, least=0)
        return cls(at, (n_c, k_c, m_c), (n_s, k_s, m_s), text)


def recent(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.at > rows[-1].at - WINDOW)


def summed(rows: Sequence[Row], bad: int) -> Counts:
    """`bad`: 1 for errors, 2 for client errors."""
    return Counts(
        sum(row.candidate[0] for row in rows),
        sum(row.candidate[bad] for row in rows),
        sum(row.stable[0] for row in rows),
        sum(row.stable[bad] for row in rows),
    )
