"""The evidence of one rollout: fed interval by interval, asked at any time. Pure; the live operator and `replay` are
the same code.

Evidence goes on through all steps of a rollout: an interval compares the arms with each other, so a change of weight
changes nothing. The minima of time and requests are the step's own and are handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from headgate_operator.api.evidence import FORMAT, EvidenceState
from headgate_operator.core.evidence import counts
from headgate_operator.core.evidence.finding import Names, of_latency, of_share
from headgate_operator.core.evidence.interval import Interval
from headgate_operator.core.evidence.judgement import Judgement, Step, conclude
from headgate_operator.core.evidence.latency import Ladder, Latency
from headgate_operator.core.evidence.policy import (
    CLIENT_ERRORS,
    ERROR_RATE,
    PREDICTION_SHIFT,
    EvidencePolicy,
    effective_latency_ratio,
)
from headgate_operator.core.evidence.rows import KEPT, Row, recent, summed
from headgate_operator.core.evidence.share import Share
from headgate_operator.core.evidence.shift import Shift
from headgate_operator.core.evidence.shift_finding import with_shift
from headgate_operator.core.evidence.terms import terms

NOTED = "_read_as"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A state, read."""

    checks: int = 0
    at: float = 0.0
    rows: tuple[Row, ...] = ()
    errors: Share = field(default_factory=Share)
    client_errors: Share = field(default_factory=Share)
    latency: Latency = field(default_factory=Latency)
    shift: Shift = field(default_factory=Shift)
    buckets: int = 0


def begin(_policy: EvidencePolicy) -> EvidenceState:
    return _written(Evidence())


def update(policy: EvidencePolicy, state: EvidenceState, interval: Interval) -> EvidenceState:
    before = read(policy, state)
    candidate, stable = counts.trusted(interval.candidate), counts.trusted(interval.stable)
    errors, client_errors, latency, shift = before.errors, before.client_errors, before.latency, before.shift
    if policy.error_rate:
        everything = counts.of_all(candidate, stable, counts.errors)
        warm = counts.of_warm(candidate, stable, counts.errors, counts.cold_errors)
        errors = errors.after(terms(policy, ceiling=True), everything, warm)
    if policy.client_errors:
        everything = counts.of_all(candidate, stable, counts.client_errors)
        warm = counts.of_warm(candidate, stable, counts.client_errors, counts.cold_client_errors)
        client_errors = client_errors.after(terms(policy), everything, warm)
    if policy.max_latency_ratio is not None:
        latency = latency.after(terms(policy), ladder(policy), candidate.latency, stable.latency)
    if PREDICTION_SHIFT in policy.gates:
        shift = shift.after(terms(policy).harm_cap, candidate.predictions, stable.predictions)
    after = Evidence(
        checks=before.checks + 1,
        at=interval.at,
        rows=(*before.rows, Row.of(interval.at, candidate, stable))[-KEPT:],
        errors=errors,
        client_errors=client_errors,
        latency=latency,
        shift=shift,
        buckets=len(policy.bounds) + 1,
    )
    return _written(after, state.candidate_requests + _whole(before, after, candidate.requests))


@lru_cache(maxsize=256)
def ladder(policy: EvidencePolicy) -> Ladder:
    return Ladder(policy.bounds, effective_latency_ratio(policy.max_latency_ratio or 1.0))


def read(policy: EvidencePolicy, state: EvidenceState) -> Evidence:
    """What cannot be read was written by another release, or damaged: evidence begins anew, which promotes nothing."""
    buckets = len(policy.bounds) + 1
    known: Evidence | None = getattr(state, NOTED, None)
    if known is not None and known.buckets == buckets:
        return known
    if state.format != FORMAT:
        return Evidence(buckets=buckets)
    try:
        return Evidence(
            checks=state.checks,
            at=state.seconds,
            rows=tuple(Row.read(text) for text in state.rows),
            errors=Share.read(state.errors),
            client_errors=Share.read(state.client_errors),
            latency=Latency.read(state.latency, buckets),
            shift=Shift.read(state.predictions),
            buckets=buckets,
        )
    except (ValueError, OverflowError, RecursionError):
        return Evidence(buckets=buckets)


def _whole(before: Evidence, after: Evidence, seen: float) -> int:
    """Requests in whole numbers, without a loss where a source extrapolates fractions."""
    old, new = before.errors.totals.n_c, after.errors.totals.n_c
    return round(new) - round(old) if new > old else round(seen)


def _written(evidence: Evidence, requests: int = 0) -> EvidenceState:
    state = EvidenceState(
        format=FORMAT,
        checks=evidence.checks,
        seconds=int(evidence.at),
        candidate_requests=requests,
        rows=tuple(row.text for row in evidence.rows),
        errors=evidence.errors.state,
        client_errors=evidence.client_errors.state,
        latency=evidence.latency.state,
        predictions=evidence.shift.state,
    )
    if evidence.buckets:
        object.__setattr__(state, NOTED, evidence)
    return state


def judge(
    policy: EvidencePolicy,
    state: EvidenceState,
    *,
    seconds_in_step: float,
    requests_in_step: float,
    candidate: str = "the candidate",
    stable: str = "stable",
) -> Judgement:
    """`candidate` and `stable` are how the two are called in the words: "version 4"."""
    evidence, names = read(policy, state), Names(candidate=candidate, stable=stable)
    rows = recent(evidence.rows)
    findings = []
    if policy.error_rate:
        terms_of_errors = terms(policy, ceiling=True)
        findings.append(of_share(ERROR_RATE, terms_of_errors, evidence.errors, summed(rows, 1), names))
    if policy.client_errors:
        findings.append(of_share(CLIENT_ERRORS, terms(policy), evidence.client_errors, summed(rows, 2), names))
    if policy.max_latency_ratio is not None:
        findings.append(of_latency(terms(policy), ladder(policy), evidence.latency, names))
    step = Step(seconds=seconds_in_step, requests=requests_in_step)
    judgement = conclude(policy, tuple(findings), rows, step, names)
    return with_shift(policy, judgement, evidence.shift, names) if PREDICTION_SHIFT in policy.gates else judgement


def observed_share(state: EvidenceState) -> float | None:
    """The candidate's share of the requests of the last minute; None where there were none."""
    try:
        rows = recent(tuple(Row.read(text) for text in state.rows))
    except ValueError:
        return None
    ours, theirs = sum(row.candidate[0] for row in rows), sum(row.stable[0] for row in rows)
    return ours / (ours + theirs) if ours + theirs > 0 else None
