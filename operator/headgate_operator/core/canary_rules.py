"""The way of a candidate that shares the traffic: widened, brought from step to step, switched to, or taken out again.

The public Service selects both revisions from `widen` on; what follows changes numbers of pods only. Each step has two
halves: the pods and endpoints come to be what it asks for, and then it is in force and evidence counts for leaving it.
"""

from __future__ import annotations

from dataclasses import replace

from headgate_operator.api.spec import Approval, OnFailure, OnInconclusive, Strategy
from headgate_operator.api.status import By, Candidate, Phase, Scope, Status
from headgate_operator.core.analysis import checkpoint_due, judged, requests_of, step_overdue
from headgate_operator.core.baseline import baseline
from headgate_operator.core.canary_gates import LEAVE_STEP, REACH_STEP, WIDEN
from headgate_operator.core.evidence.judgement import Verdict as Says
from headgate_operator.core.gates import held_by
from headgate_operator.core.quarantine import Verdict
from headgate_operator.core.rollouts import (
    back_to_verifying,
    fail_candidate,
    make_way,
    policy_status,
    promote,
    strategy_for,
)
from headgate_operator.core.sizes import can_return, in_steps, last_step, shares_traffic, step_at
from headgate_operator.core.view import View
from headgate_operator.core.wanted import frozen
from headgate_operator.core.weights import WHOLE


def forget_approvals(view: View, status: Status) -> Status:
    """A word on a step that has become another one means nothing any more."""
    rollout, now = status.rollout, policy_status(view.policy)
    if rollout is None or rollout.strategy != Strategy.CANARY or now.steps == rollout.policy.steps:
        return status
    before, after = ([step.weight for step in steps] for steps in (rollout.policy.steps, view.policy.steps))
    kept = tuple(given for given in rollout.approvals if before[given.step :][:1] == after[given.step :][:1])
    return replace(status, rollout=replace(rollout, policy=now, approvals=kept if before else rollout.approvals))


def follow_the_strategy(view: View, status: Status) -> Status:
    """Edited before the candidate has traffic, it is the present one that says how it gets it."""
    candidate, rollout = status.candidate, status.rollout
    if candidate is None or rollout is None or rollout.phase is not Phase.VERIFYING:
        return status
    goal = view.revision(candidate.revision)
    strategy = str(strategy_for(view, status, goal, rollout.reason)) if goal is not None else rollout.strategy
    if strategy == rollout.strategy:
        return status
    return replace(status, rollout=replace(rollout, strategy=strategy, approvals=()))


def widen(view: View, status: Status) -> Status:
    """The first step: from now on the public Service selects every revision's pods, and those are just two."""
    candidate, rollout = status.candidate, status.rollout
    if candidate is None or rollout is None or not in_steps(status) or rollout.phase is not Phase.VERIFYING:
        return status
    if held_by(WIDEN, view, status, candidate) is not None:
        return status
    if status.previous is not None:
        return make_way(view, status)
    entered = replace(enter(view, status, candidate, 0), restarts_before=baseline(view, candidate.revision))
    return replace(status, candidate=entered, rollout=replace(rollout, phase=Phase.CANARY), evidence=None)


def enter(view: View, status: Status, candidate: Candidate, step: int) -> Candidate:
    return replace(candidate, step=step, weight=step_at(view, status, step).weight, step_started_at=None)


def reach_step(view: View, status: Status) -> Status:
    """The pods are there and have their share: the step is in force, and its time begins."""
    candidate = _in_traffic(status)
    if candidate is None or candidate.step is None or candidate.step_started_at is not None:
        return status
    if held_by(REACH_STEP, view, status, candidate) is not None:
        return status
    begun = replace(candidate, step_started_at=view.now, step_requests=requests_of(view, status))
    return replace(status, candidate=begun)


def leave_step(view: View, status: Status) -> Status:
    candidate = _in_traffic(status)
    if candidate is None or candidate.step is None or candidate.step_started_at is None:
        return status
    if held_by(LEAVE_STEP, view, status, candidate) is not None:
        return status
    if candidate.step >= last_step(view, status):
        return promote(view, status, candidate)
    return replace(status, candidate=enter(view, status, candidate, candidate.step + 1))


def follow_the_steps(view: View, status: Status) -> Status:
    """The steps were edited under way: the weight is what the present ones say."""
    candidate = _in_traffic(status)
    if candidate is None or candidate.step is None:
        return status
    step = _present_step(view, status, candidate)
    if step is None:
        return back_to_verifying(view, status, candidate)
    weight = step_at(view, status, step).weight
    if (step, weight) == (candidate.step, candidate.weight):
        return status
    return replace(status, candidate=enter(view, status, candidate, step))


def _present_step(view: View, status: Status, candidate: Candidate) -> int | None:
    """By its weight, not by its number: fewer steps must not make a step of a canary the switch. None where the first
    of them is a larger one that is not entered without more ado: the switch, or one that wants an approval."""
    step, weight, last = candidate.step or 0, candidate.weight or 0, last_step(view, status)
    if weight >= WHOLE:
        return last
    if step < last and step_at(view, status, step).weight == weight:
        return step
    smaller = [each for each in range(last) if step_at(view, status, each).weight <= weight]
    if smaller:
        return max(smaller)
    return 0 if last > 0 and step_at(view, status, 0).approval is Approval.AUTO else None


def stop_at_zero(view: View, status: Status) -> Status:
    """spec.replicas is 0: nobody has traffic. Whatever comes after begins with a verified candidate again."""
    candidate = _in_traffic(status)
    if candidate is None or view.spec.replicas > 0:
        return status
    return back_to_verifying(view, status, candidate)


def roll_back_on_evidence(view: View, status: Status) -> Status:
    candidate = _in_traffic(status)
    if candidate is None or not can_return(view, status) or view.policy.on_failure is OnFailure.HOLD:
        return status
    judgement = judged(view, status)
    if judgement is None or judgement.verdict is not Says.ROLLBACK:
        return status
    verdict = Verdict(scope=Scope.MODEL, by=By.ANALYSIS, gate=judgement.gate, message=judgement.reason)
    return fail_candidate(view, status, candidate, verdict)


def end_inconclusive(view: View, status: Status) -> Status:
    """The step has had its maxDuration, and the evidence proves neither."""
    candidate = _in_traffic(status)
    if candidate is None or not step_overdue(view, candidate) or not can_return(view, status):
        return status
    if view.policy.on_inconclusive is not OnInconclusive.ROLLBACK:
        return status  # Hold waits; Promote is for the gates to say
    judgement = judged(view, status)
    if judgement is None or judgement.verdict is not Says.WAIT or judgement.wants_a_person or frozen(view, status):
        return status  # there is a verdict and something or somebody is waited for, or none is asked for
    message = f"no verdict within maxDuration. {judgement.missing or judgement.reason}"
    verdict = Verdict(scope=Scope.REVISION, by=By.ANALYSIS, gate="Inconclusive", message=message)
    return fail_candidate(view, status, candidate, verdict)


def checkpoint(view: View, status: Status) -> Status:
    """Written down now and then, so that the next process loses a minute of evidence at most."""
    seen, kept = view.evidence, status.evidence
    if seen is None or not shares_traffic(status):
        return status
    if kept is not None and not checkpoint_due(view, kept, seen):
        return status
    return replace(status, evidence=seen)


def with_evidence(view: View, before: Status, decided: Status) -> Status:
    """A decision is written together with the evidence it rests on."""
    if view.evidence is None or not shares_traffic(decided):
        return decided
    if (_on_its_way(before), before.rollout) == (_on_its_way(decided), decided.rollout):
        return decided
    return replace(decided, evidence=view.evidence)


def _on_its_way(status: Status) -> Candidate | None:
    """Whether all its pods are there at this moment decides nothing."""
    one = status.candidate
    return replace(one, incomplete_since=None, deadline_from=one.started_at, watched_seconds=0) if one else None


def _in_traffic(status: Status) -> Candidate | None:
    return status.candidate if shares_traffic(status) else None
