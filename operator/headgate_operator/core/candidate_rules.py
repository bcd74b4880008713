"""The way of a candidate: begun, verified, switched to, or given up. One small rule for each step.

A rule returns the status unchanged where it has nothing to say. All rest on what this pass saw of the candidate's own
pods, so several may fire in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from headgate_operator.api.reasons import Reason
from headgate_operator.api.status import Candidate, Outcome, Phase, RolloutReason, Status
from headgate_operator.core.failures import deadline_passed, deadline_runs, digests_of, failure
from headgate_operator.core.gates import READY_TO_SWITCH, VERIFY, held_by
from headgate_operator.core.quarantine import Verdict
from headgate_operator.core.rollouts import (
    abandon,
    begin,
    fail_candidate,
    instantly,
    make_way,
    promote,
    switch_back,
)
from headgate_operator.core.sizes import can_return, in_steps, shares_traffic, sizes
from headgate_operator.core.view import View, outside_trouble
from headgate_operator.core.wanted import frozen, reason_for, wanted

CHECKPOINT_SECONDS = 60


def keep_clock(view: View, status: Status) -> Status:
    """Time in which the candidate could not get on, for reasons outside it, does not count towards its deadline."""
    candidate = status.candidate
    if candidate is None:
        return status
    blocked_by = _blocked_by(view, status)
    if blocked_by is not candidate.blocked_by:
        if candidate.blocked_by is Reason.PAUSED and candidate.step_started_at is not None:
            candidate = replace(candidate, step_started_at=view.now)  # a step's time stands still in a pause
        candidate = replace(candidate, blocked_by=blocked_by)
        return replace(status, candidate=begin_deadline(view, candidate) if blocked_by is None else candidate)
    growing = candidate.verified_at is not None and not view.complete(candidate.revision, sizes(view, status).candidate)
    if growing != (candidate.incomplete_since is not None):
        grown = replace(candidate, incomplete_since=view.now if growing else None)
        return replace(status, candidate=begin_deadline(view, grown) if growing else grown)
    return replace(status, candidate=_with_what_was_watched(view, candidate))


def begin_deadline(view: View, candidate: Candidate) -> Candidate:
    return replace(candidate, deadline_from=view.now, watched_seconds=0)


def _with_what_was_watched(view: View, candidate: Candidate) -> Candidate:
    """Put down once a minute: an operator that is restarted more often than the deadline would never see it pass."""
    seconds = view.watched(candidate.deadline_from).total_seconds()
    if not deadline_runs(candidate) or seconds < CHECKPOINT_SECONDS:
        return candidate
    whole = int(seconds)
    return replace(
        candidate,
        watched_seconds=candidate.watched_seconds + whole,
        deadline_from=view.now - timedelta(seconds=seconds - whole),
    )


def _blocked_by(view: View, status: Status) -> Reason | None:
    assert status.candidate is not None  # noqa: S101
    if frozen(view, status):
        return Reason.PAUSED
    if view.spec.replicas == 0:
        return Reason.SCALED_TO_ZERO
    if view.hindered:
        return Reason.NAME_CONFLICT if view.children.conflict else Reason.WAITING_FOR_GARBAGE_COLLECTION
    trouble = outside_trouble(view, status.candidate.revision)
    if trouble is not None:
        return trouble.reason
    return Reason.GOLDEN_UNAVAILABLE if view.example_trouble is not None else None


def follow_the_wish(view: View, status: Status) -> Status:
    """The reference changed while a rollout was under way: cancel it, or let another candidate take its place."""
    candidate = status.candidate
    if candidate is None or frozen(view, status):
        return status
    goal = wanted(view, status).goal
    if goal is not None and goal.hash == candidate.revision:
        return status
    if shares_traffic(status) and not can_return(view, status):
        return status
    if goal is None or (status.stable is not None and goal.hash == status.stable.revision):
        return abandon(view, status, Outcome.CANCELLED, "the reference no longer asks for it")
    return abandon(view, status, Outcome.SUPERSEDED, f"version {goal.identity.version} is wanted instead")


def return_to_previous(view: View, status: Status) -> Status:
    """The reference names the previous version again, and it is still warm: traffic goes back at once."""
    goal, stable = wanted(view, status).goal, status.stable
    previous = instantly(view, status)
    if goal is None or stable is None or previous is None or previous.revision != goal.hash:
        return status
    if frozen(view, status) or view.children.conflict or status.candidate is not None:
        return status
    undone = status.hold is not None and status.hold.revision == goal.hash
    return switch_back(
        view,
        status,
        stable,
        previous,
        reason=RolloutReason.UNDO if undone else reason_for(view, status, goal),
        outcome=Outcome.ROLLED_BACK if undone else Outcome.REVERTED,
        message=f"version {previous.version} was still warm",
    )


def give_up_failed(view: View, status: Status) -> Status:
    return _give_up(view, status, failure)


def verify(view: View, status: Status) -> Status:
    """A candidate that loses a ready pod has to show everything again. One that is scaled keeps what it has shown: else
    an autoscaler that moves more often than minDuration would hold up the switch for ever."""
    candidate = status.candidate
    if candidate is None:
        return status
    if candidate.verified_at is None:
        if held_by(VERIFY, view, status, candidate) is not None:
            return status
        digest = digests_of(view, candidate)[0]
        return replace(status, candidate=replace(candidate, verified_at=view.now, digest=digest))
    if shares_traffic(status):  # what its pods do now counts as evidence, not against the verification
        return status
    if view.ready_pods(candidate.revision) >= min(sizes(view, status).candidate, candidate.ready_replicas):
        return status
    return replace(status, candidate=begin_deadline(view, replace(candidate, verified_at=None)))


def give_up_late(view: View, status: Status) -> Status:
    """After `verify`: whoever is ready at this look has not failed, however late it is."""
    return _give_up(view, status, deadline_passed)


def _give_up(view: View, status: Status, judge: Callable[[View, Candidate], Verdict | None]) -> Status:
    candidate, shared = status.candidate, shares_traffic(status)
    if candidate is None or view.spec.replicas == 0 or view.hindered:
        return status
    # A pause holds back what is new; it never keeps a version that fails in the traffic.
    if not can_return(view, status) if shared else frozen(view, status):
        return status
    verdict = judge(view, candidate)
    return status if verdict is None else fail_candidate(view, status, candidate, verdict)


def switch(view: View, status: Status) -> Status:
    candidate = status.candidate
    if candidate is None or in_steps(status) or held_by(READY_TO_SWITCH, view, status, candidate) is not None:
        return status
    return promote(view, status, candidate) if status.previous is None else make_way(view, status)


def start(view: View, status: Status) -> Status:
    goal = wanted(view, status).goal
    if goal is None or status.candidate is not None or (status.stable and status.stable.revision == goal.hash):
        return status
    switching = status.rollout is not None and status.rollout.phase is Phase.SWITCHING
    if switching or frozen(view, status) or view.spec.replicas == 0 or view.hindered:
        return status
    return begin(view, status, goal, reason_for(view, status, goal))
