"""The absolute guard: one version alone against a fixed error rate, where there is no stable traffic to compare with.

It watches the new stable while the previous version is still warm. A bet against it is begun at every check with the
same stake, so errors that begin late are found as quickly as early ones; how long it watches is part of its bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from headgate_operator.api.evidence import FORMAT, GuardState
from headgate_operator.core.evidence import counts, words
from headgate_operator.core.evidence.eprocess import HARM, cap
from headgate_operator.core.evidence.evalue import log_e_value_of_one_arm
from headgate_operator.core.evidence.interval import Arm
from headgate_operator.core.evidence.numbers import log_add, log_mean, packed, unpacked

NO_EVIDENCE = -1e9
"""ln of what is nothing beside a stake of 1, and yet a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    max_rate: float = 0.05
    false_alarm: float = 0.05  # tolerated probability that a rate at the limit alarms within so many checks
    checks: int = 60

    @property
    def bound(self) -> float:
        """Shiryaev and Roberts: with a new stake at every check the evidence is expected to be their number."""
        return log(max(self.checks, 1) / self.false_alarm)


def begin(_policy: GuardPolicy) -> GuardState:
    return GuardState(format=FORMAT)


def update(policy: GuardPolicy, state: GuardState, arm: Arm | None) -> GuardState:
    """One interval; None and contradicting counts are no data, which alarms nobody."""
    logs, requests, errors = _read(state)
    arm = counts.trusted(arm)
    if arm.requests:
        limit = cap(policy.bound)
        es = (min(log_e_value_of_one_arm(u, arm.requests, arm.errors, policy.max_rate), limit) for u in HARM.grid)
        logs = tuple(log_add(old, 0.0) + e for old, e in zip(logs, es, strict=True))
    return GuardState(format=FORMAT, harm=packed(logs), totals=packed((requests + arm.requests, errors + arm.errors)))


def alarm(policy: GuardPolicy, state: GuardState) -> str | None:
    """Why the version must go, in words with the numbers; None while nothing is shown against it."""
    logs, requests, errors = _read(state)
    evidence = log_mean(logs)
    if evidence < policy.bound:
        return None
    return (
        f"errors {words.percent(errors, requests)} of {words.count(requests)} requests: above the limit of "
        f"{words.rate(policy.max_rate)} {words.against_bound(evidence, policy.bound)}"
    )


def _read(state: GuardState) -> tuple[tuple[float, ...], float, float]:
    """What cannot be read begins anew."""
    if state.format == FORMAT and state.harm:
        try:
            requests, errors = unpacked(state.totals, 2, least=0)
            return unpacked(state.harm, len(HARM.grid)), requests, errors
        except ValueError:
            pass
    return (NO_EVIDENCE,) * len(HARM.grid), 0.0, 0.0
