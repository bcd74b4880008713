"""From the findings of all gates to one verdict, with its reason and with what is missing, in plain words.

Rolled back if any gate says so; promoted only if every gate does and the step has lasted; otherwise waited for. No
evidence is neither good nor bad.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isinf

from headgate_operator.core.evidence import words
from headgate_operator.core.evidence.finding import NOUNS, Finding, Names
from headgate_operator.core.evidence.policy import EvidencePolicy
from headgate_operator.core.evidence.rows import WINDOW, Row, summed
from headgate_operator.core.evidence.terms import DOUBT

LONGEST_PLAN = 10_000_000
LONGEST_TIME = 366 * 86_400.0
"""Requests and seconds; whoever plans for more than these waits for nothing."""


class Verdict(StrEnum):
    WAIT = "wait"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    gate: str  # the one that decided, or that is furthest from it
    reason: str
    missing: str | None
    log_e: Mapping[str, float]
    bounds: Mapping[str, float]
    wants_a_person: bool = False  # something is proven, and nothing but a person's word ends the wait for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    seconds: float
    requests: float


def conclude(
    policy: EvidencePolicy, findings: tuple[Finding, ...], rows: Sequence[Row], step: Step, names: Names
) -> Judgement:
    bad = [finding for finding in findings if finding.rolls_back]
    if bad:
        return _judged(Verdict.ROLLBACK, max(bad, key=_against), findings, names)
    waiting = [finding for finding in findings if not finding.promotes]
    missing = (_of_traffic(policy, rows, names) if waiting else None) or _of_evidence(policy, waiting, rows, names)
    missing = missing or _of_step(policy, step, rows, names)
    slowest = max(waiting or findings, key=_distance, default=None)
    if slowest is None:
        return Judgement(Verdict.WAIT, "", "no gate is on", "a gate that can judge", {}, {})
    return _judged(Verdict.WAIT if missing else Verdict.PROMOTE, slowest, findings, names, missing)


def _judged(
    verdict: Verdict, decisive: Finding, findings: tuple[Finding, ...], names: Names, missing: str | None = None
) -> Judgement:
    log_e: dict[str, float] = {}
    bounds: dict[str, float] = {}
    for finding in findings:
        log_e |= {f"{finding.gate}.harm": finding.harm, f"{finding.gate}.safety": finding.safety}
        bounds |= {f"{finding.gate}.harm": finding.harm_bound, f"{finding.gate}.safety": finding.safety_bound}
        if finding.ceiling is not None:
            log_e[f"{finding.gate}.ceiling"] = finding.ceiling
            bounds[f"{finding.gate}.ceiling"] = finding.harm_bound
    return Judgement(verdict, decisive.gate, _reason(verdict, decisive, names), missing, log_e, bounds)


def _reason(verdict: Verdict, finding: Finding, names: Names) -> str:
    if verdict is Verdict.ROLLBACK:
        return f"{finding.facts}: {names.candidate} is worse than {names.stable} {finding.against}"
    if verdict is Verdict.PROMOTE:
        return f"{finding.facts}: {finding.allowed} {finding.in_favour}"
    if finding.harm >= DOUBT:
        return f"{finding.facts}: {_doubted(finding, names)} {finding.against}"
    if finding.promotes:
        return f"{finding.facts}: {finding.allowed} {finding.in_favour}"
    return f"{finding.facts}: not yet proven that {finding.allowed} {finding.in_favour}"


def _doubted(finding: Finding, names: Names) -> str:
    if finding.harm >= finding.harm_bound:
        return f"{names.candidate} is worse than {names.stable}, by less than the minimum effect"
    return f"{names.candidate} looks worse than {names.stable}"


def _against(finding: Finding) -> float:
    return finding.harm - finding.harm_bound


def _distance(finding: Finding) -> tuple[bool, float, float]:
    """Which gate is furthest from a promotion."""
    return finding.harm >= DOUBT, min(finding.more_to_promote, LONGEST_PLAN), -finding.safety


def _of_traffic(policy: EvidencePolicy, rows: Sequence[Row], names: Names) -> str | None:
    if not rows:
        return f"the first {words.duration(policy.interval)} of traffic"
    seen = summed(rows, 1)
    span = words.duration(min(WINDOW, max(len(rows) * policy.interval, policy.interval)))
    if not seen.n_c:
        return f"no requests to {names.candidate} in the last {span}"
    if not seen.n_s:
        return f"no requests to {names.stable} in the last {span}: nothing to compare {names.candidate} with"
    return None


def _of_evidence(policy: EvidencePolicy, waiting: Sequence[Finding], rows: Sequence[Row], names: Names) -> str | None:
    if not waiting:
        return None
    doubted = [finding for finding in waiting if finding.harm >= DOUBT]
    if doubted:
        worst = max(doubted, key=_against)
        plan = _plan_of_rollback(worst, policy, rows, names) if worst.harm < worst.harm_bound else None
        return plan or f"{NOUNS[worst.gate]}: the evidence against {names.candidate} must go away {worst.against}"
    blocked = next((finding.blocked for finding in waiting if finding.blocked), "")
    if blocked:
        return blocked
    slowest = max(waiting, key=_distance)
    plan = _plan(slowest.more_to_promote, policy, rows, names) or _plan_of_rollback(slowest, policy, rows, names)
    return plan or f"{NOUNS[slowest.gate]}: {names.candidate} is too near to what is tolerated to tell how long"


def _plan_of_rollback(finding: Finding, policy: EvidencePolicy, rows: Sequence[Row], names: Names) -> str | None:
    plan = _plan(finding.more_to_roll_back, policy, rows, names)
    return plan and f"{NOUNS[finding.gate]}: {plan} to roll it back if it goes on like this"


def _plan(requests: float, policy: EvidencePolicy, rows: Sequence[Row], names: Names) -> str | None:
    if isinf(requests) or requests > LONGEST_PLAN:
        return None
    requests = max(requests, _per_second(policy, rows) * policy.interval, 1.0)  # it looks once an interval
    time = _time(requests, policy, rows)
    return f"about {words.rounded(requests)} more request{'s' if requests >= 1.5 else ''} to {names.candidate}{time}"


def _time(requests: float, policy: EvidencePolicy, rows: Sequence[Row]) -> str:
    per_second = _per_second(policy, rows)
    if requests > per_second * LONGEST_TIME:
        return ""
    return f" (about {words.duration(requests / per_second)} at the present rate)"


def _per_second(policy: EvidencePolicy, rows: Sequence[Row]) -> float:
    seen = sum(row.candidate[0] for row in rows)
    return seen / (len(rows) * policy.interval) if rows else 0.0


def _of_step(policy: EvidencePolicy, step: Step, rows: Sequence[Row], names: Names) -> str | None:
    if step.requests < policy.min_requests:
        lacking = policy.min_requests - step.requests
        time = _time(lacking, policy, rows)
        return f"{words.count(max(lacking, 1))} more requests to {names.candidate} in this step{time}"
    if step.seconds < policy.min_duration:
        return f"{words.duration(policy.min_duration - step.seconds)} more in this step"
    return None
