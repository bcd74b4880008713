"""What the evidence says of the candidate at this moment, and what the spec asks of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from headgate_operator.api.decisions import Figures, GateFigures
from headgate_operator.api.evidence import EvidenceState
from headgate_operator.api.spec import AnalysisSpec, Source, Spec, Strategy, policy_of
from headgate_operator.api.status import Candidate, Status
from headgate_operator.core.evidence import engine
from headgate_operator.core.evidence.counts import Counts
from headgate_operator.core.evidence.custom import with_metrics
from headgate_operator.core.evidence.guard import GuardPolicy
from headgate_operator.core.evidence.judgement import Judgement, Verdict
from headgate_operator.core.evidence.policy import EvidencePolicy
from headgate_operator.core.quarantine import returnable
from headgate_operator.core.sizes import shares_traffic, step_at
from headgate_operator.core.view import View

T = TypeVar("T")
BY_PROMETHEUS = 30.0
"""Seconds of an interval, where nobody says: it must hold more than one scrape of every pod."""
LOOK_FIRST = timedelta(minutes=10)
"""Of a step that is overdue when an operator's process begins."""
CHECKPOINT_SECONDS = 60.0
CHECKPOINT_INTERVALS = 6


def evidence_policy(spec: AnalysisSpec) -> EvidencePolicy:
    """spec.analysis with every default made explicit."""
    errors, default = spec.error_rate, EvidencePolicy()
    return EvidencePolicy(
        interval=_seconds(spec.interval, BY_PROMETHEUS if spec.source is Source.PROMETHEUS else default.interval),
        min_duration=_seconds(spec.min_duration, default.min_duration),
        min_requests=_said(spec.min_requests, default.min_requests),
        max_increase=_said(errors.max_increase, default.max_increase),
        min_effect=_said(errors.min_effect, default.min_effect),
        min_ratio=_said(errors.min_ratio, default.min_ratio),
        max_rate=errors.max,
        max_latency_ratio=_said(spec.latency_max_ratio, default.max_latency_ratio),
        prediction_shift=_said(spec.prediction_shift, default.prediction_shift),
        false_rollback=_said(spec.false_rollback, default.false_rollback),
        false_promote=_said(spec.false_promote, default.false_promote),
    )


def _said(value: T | None, default: T) -> T:
    return default if value is None else value


def _seconds(value: timedelta | None, default: float) -> float:
    return default if value is None else value.total_seconds()


def arms_of(status: Status) -> dict[str, str]:
    """The revisions that are compared, by their role; empty where nothing is."""
    stable, candidate, rollout = status.stable, status.candidate, status.rollout
    if stable is None or candidate is None or rollout is None or rollout.strategy != Strategy.CANARY:
        return {}
    return {"stable": stable.revision, "candidate": candidate.revision} if shares_traffic(status) else {}


def guard_policy(spec: Spec) -> GuardPolicy | None:
    """None where no ceiling is given: alone, and without a limit of its own, a version is compared with nothing."""
    policy, ceiling = evidence_policy(spec.analysis), spec.analysis.error_rate.max
    if ceiling is None:
        return None
    checks = max(1, round(policy_of(spec.rollout).keep_warm.total_seconds() / policy.interval))
    return GuardPolicy(max_rate=ceiling, false_alarm=policy.false_rollback, checks=checks)


def guarded(status: Status) -> str | None:
    """The revision that is watched alone: what serves, while the traffic could go back to a warm one."""
    stable, previous = status.stable, status.previous
    if stable is None or status.candidate is not None or returnable(status, previous) is None:
        return None
    return stable.revision if previous is not None and previous.draining_since is None else None


def judged(view: View, status: Status) -> Judgement | None:
    """None where nothing is judged: before the candidate has traffic, and where the strategy asks for no evidence."""
    candidate, rollout = status.candidate, status.rollout
    if candidate is None or rollout is None or not shares_traffic(status) or rollout.strategy != Strategy.CANARY:
        return None
    policy = evidence_policy(view.spec.analysis)
    # How long the step has lasted is a gate of its own, with a time in its message that does not change.
    judgement = engine.judge(
        policy,
        _known(view, status) or engine.begin(policy),
        seconds_in_step=policy.min_duration,
        requests_in_step=max(0, requests_of(view, status) - candidate.step_requests),
        candidate=f"version {candidate.version}",
        stable=f"version {status.stable.version}" if status.stable else "the stable version",
    )
    if view.source_trouble and judgement.verdict is Verdict.WAIT:
        judgement = replace(judgement, missing=view.source_trouble)
    return with_metrics(judgement, view.metrics)


def figures(view: View, status: Status) -> Figures | None:
    """What a verdict rests on at this moment; None where none is asked for."""
    judgement = judged(view, status)
    if judgement is None:
        return None
    known = _known(view, status)
    totals = engine.read(evidence_policy(view.spec.analysis), known).errors.totals if known else Counts()
    gates = dict.fromkeys(name.partition(".")[0] for name in judgement.log_e if name.endswith(".safety"))
    return Figures(
        requests=requests_of(view, status),
        stable_requests=round(totals.n_s),
        gates=tuple(_gate_figures(gate, judgement) for gate in gates),
    )


def _gate_figures(gate: str, judgement: Judgement) -> GateFigures:
    log_e, bounds, ceiling = judgement.log_e, judgement.bounds, f"{gate}.ceiling"
    return GateFigures(
        gate=gate,
        harm=_short(log_e[f"{gate}.harm"]),
        harm_bound=_short(bounds[f"{gate}.harm"]),
        safety=_short(log_e[f"{gate}.safety"]),
        safety_bound=_short(bounds[f"{gate}.safety"]),
        ceiling=_short(log_e[ceiling]) if ceiling in log_e else None,
    )


def _short(value: float) -> str:
    return f"{round(value, 3) + 0.0:g}"  # no "-0"


def requests_of(view: View, status: Status) -> int:
    """Of the candidate, since it first got traffic."""
    known = _known(view, status)
    return 0 if known is None else known.candidate_requests


def _known(view: View, status: Status) -> EvidenceState | None:
    return view.evidence if view.evidence is not None else status.evidence


def least_duration(view: View, status: Status, step: int) -> timedelta:
    if status.rollout is not None and status.rollout.strategy != Strategy.CANARY:
        return timedelta(0)
    analysis = timedelta(seconds=evidence_policy(view.spec.analysis).min_duration)
    return max(analysis, step_at(view, status, step).min_duration)


def step_overdue(view: View, candidate: Candidate) -> bool:
    """What happened while nobody looked may still show: a process that has just begun to look waits a little."""
    since = candidate.step_started_at
    if since is None or view.now - since < view.policy.max_duration:
        return False
    return view.watched(since) >= min(view.policy.max_duration, LOOK_FIRST)


def checkpoint_due(view: View, kept: EvidenceState, seen: EvidenceState) -> bool:
    """The first interval at once: until then status has nothing to tell."""
    if kept.checks == 0 and seen.checks > 0:
        return True
    every = CHECKPOINT_INTERVALS * evidence_policy(view.spec.analysis).interval
    return seen.seconds - kept.seconds >= min(CHECKPOINT_SECONDS, every)
