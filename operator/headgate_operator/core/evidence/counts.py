"""Counts of both arms as a test takes them, and which of them can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from headgate_operator.core.evidence.interval import Arm
from headgate_operator.core.evidence.numbers import LARGEST


class Counts(NamedTuple):
    """Requests and bad ones among them, of the candidate (c) and of stable (s)."""

    n_c: float = 0.0
    k_c: float = 0.0
    n_s: float = 0.0
    k_s: float = 0.0

    def plus(self, other: Counts) -> Counts:
        return Counts(self.n_c + other.n_c, self.k_c + other.k_c, self.n_s + other.n_s, self.k_s + other.k_s)


Bad = Callable[[Arm], float]


def errors(arm: Arm) -> float:
    return arm.errors


def cold_errors(arm: Arm) -> float:
    return arm.cold_errors


def client_errors(arm: Arm) -> float:
    return arm.client_errors


def cold_client_errors(arm: Arm) -> float:
    return arm.cold_client_errors


def of_all(candidate: Arm, stable: Arm, bad: Bad) -> Counts:
    return Counts(candidate.requests, bad(candidate), stable.requests, bad(stable))


def of_warm(candidate: Arm, stable: Arm, bad: Bad, cold_bad: Bad) -> Counts:
    """Without what was answered by pods that warmed up."""
    return Counts(
        candidate.requests - candidate.cold_requests,
        bad(candidate) - cold_bad(candidate),
        stable.requests - stable.cold_requests,
        bad(stable) - cold_bad(stable),
    )


NOTHING = Arm(requests=0)


def trusted(arm: Arm | None) -> Arm:
    """An arm that was not seen, or whose counts contradict each other (a torn scrape), has no data in this interval."""
    if arm is None:
        return NOTHING
    warm_errors, warm_client_errors = arm.errors - arm.cold_errors, arm.client_errors - arm.cold_client_errors
    sane = (
        arm.cold_errors >= 0
        and arm.cold_client_errors >= 0
        and warm_errors >= 0
        and warm_client_errors >= 0
        and arm.cold_errors + arm.cold_client_errors <= arm.cold_requests
        and warm_errors + warm_client_errors <= arm.requests - arm.cold_requests
        and arm.requests <= LARGEST
        and (not arm.latency or _possible(arm.latency))
        and (not arm.predictions or _possible([count for _, count in arm.predictions]))
    )
    return arm if sane else NOTHING


def _possible(counts: Sequence[float]) -> bool:
    return min(counts) >= 0 and sum(counts) <= LARGEST
