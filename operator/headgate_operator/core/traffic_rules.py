"""After the decision to switch: the switch is seen, the new version is guarded, the old one stays warm and drains.

Nothing is taken away on a timer alone: endpoints and the pods' own counters say when nobody uses it any more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from headgate_operator import contract
from headgate_operator.api.status import (
    By,
    Outcome,
    Phase,
    Previous,
    Rollout,
    RolloutReason,
    Scope,
    Stable,
    Status,
)
from headgate_operator.core.analysis import guard_policy, guarded
from headgate_operator.core.baseline import restarts_since
from headgate_operator.core.evidence.guard import alarm
from headgate_operator.core.observed import Pod
from headgate_operator.core.quarantine import Verdict, is_rejected, reject, returnable
from headgate_operator.core.rollouts import end, start_draining, switch_back
from headgate_operator.core.view import View, outside_trouble
from headgate_operator.core.wanted import paused_by

GUARD_RESTARTS = 2
GUARD_UNREADY = timedelta(seconds=10)
QUIET = timedelta(seconds=2)
CHECKPOINT = timedelta(minutes=1)
BACKSTOP = timedelta(seconds=contract.GRACE_SECONDS)


def watch_readiness(view: View, status: Status) -> Status:
    """Remembers since when the stable revision answers nothing, while there is a warm one to go back to."""
    stable = status.stable
    if stable is None:
        return status
    unready = _guarding(view, status) is not None and not _answers(view, status, stable)
    if unready == (stable.unready_since is not None):
        return status
    return replace(status, stable=replace(stable, unready_since=view.now if unready else None))


def _answers(view: View, status: Status, stable: Stable) -> bool:
    if status.rollout is not None:  # endpoints still change hands: the pods themselves are the evidence
        return view.ready_pods(stable.revision) > 0
    return view.publicly_ready > 0


def _guarding(view: View, status: Status) -> Previous | None:
    """The previous revision, where the guard could switch back to it."""
    previous = returnable(status, status.previous)
    if previous is None or previous.draining_since is not None or view.spec.replicas == 0:
        return None
    return previous if view.ready_pods(previous.revision) > 0 else None


def guard(view: View, status: Status) -> Status:
    """A new version that crashes, goes silent or errs above its ceiling while the old one is warm: back, and without
    asking."""
    stable, previous = status.stable, _guarding(view, status)
    if stable is None or previous is None:
        return status
    why = _alarm(view, stable)
    if why is None:
        return status
    outside = outside_trouble(view, stable.revision)
    if outside is None or why.gate == "Restarts":
        status = reject(status, stable, why, view.now, serving_identity=previous.identity)
    # Where the cause lies outside, traffic goes back all the same, but nothing is held against the version.
    return switch_back(
        view,
        status,
        stable,
        previous,
        reason=RolloutReason.GUARD,
        outcome=Outcome.ROLLED_BACK,
        message=why.message if outside is None else f"{why.message} ({outside.reason}: {outside.message})",
    )


def _alarm(view: View, stable: Stable) -> Verdict | None:
    restarts = restarts_since(view, stable.revision, stable.restarts_before)
    if restarts >= GUARD_RESTARTS:
        message = f"{restarts} container restarts of one pod since the switch"
        return Verdict(scope=Scope.REVISION, by=By.GUARD, gate="Restarts", message=message)
    if stable.unready_since is not None and view.watched(stable.unready_since) >= GUARD_UNREADY:
        message = f"no ready endpoint for {GUARD_UNREADY.seconds} s"
        return Verdict(scope=Scope.REVISION, by=By.GUARD, gate="NoReadyEndpoint", message=message)
    policy, seen = guard_policy(view.spec), view.guard or stable.guard
    why = alarm(policy, seen) if policy is not None and seen is not None else None
    return None if why is None else Verdict(scope=Scope.MODEL, by=By.GUARD, gate="ErrorCeiling", message=why)


def checkpoint_guard(view: View, status: Status) -> Status:
    """Where there is anything new, now and then: the next process goes on from it."""
    stable, seen = status.stable, view.guard
    if stable is None or seen is None or seen == stable.guard or guarded(status) != stable.revision:
        return status
    kept = stable.guard_at
    if kept is not None and view.now - kept < CHECKPOINT:
        return status
    return replace(status, stable=replace(stable, guard=seen, guard_at=view.now))


def see_the_switch(view: View, status: Status) -> Status:
    """The public endpoints are the new stable revision's: the rollout is over, the old revision stays warm."""
    stable, rollout = status.stable, status.rollout
    if stable is None or rollout is None or rollout.phase is not Phase.SWITCHING or rollout.outcome is None:
        return status
    if view.children.conflict or not (view.switch_seen(stable.revision) or _overdue(view, stable, rollout)):
        return status
    if rollout.outcome is Outcome.ROLLED_BACK and rollout.decided_at is not None:
        took = round((view.now - rollout.decided_at) / timedelta(milliseconds=1))
        status = replace(status, last_rollback_milliseconds=max(0, took))
    ended = end(status, rollout.outcome, view.now, view.policy.history_limit)
    previous = ended.previous
    if previous is None or previous.draining_since is not None:
        return ended
    if is_rejected(ended, previous.revision, previous.identity):
        return start_draining(view, ended, previous)
    return replace(ended, previous=replace(previous, warm_until=view.now + view.policy.keep_warm))


def _overdue(view: View, stable: Stable, rollout: Rollout) -> bool:
    """The traffic has moved and nobody answers: whether pods are ready is the guard's business. A switch that waited
    for them for ever would keep out the very version that mends it."""
    late = rollout.decided_at is None or view.now - rollout.decided_at >= BACKSTOP
    return late and view.switched(stable.revision)


def end_keep_warm(view: View, status: Status) -> Status:
    previous = status.previous
    if previous is None or previous.draining_since is not None or status.rollout is not None:
        return status
    if paused_by(view, status) or previous.warm_until is None or view.now < previous.warm_until:
        return status
    return start_draining(view, status, previous)


def drain(view: View, status: Status) -> Status:
    """Draining is over when the pods say that nobody is there any more, or when the time that any pod gets is over."""
    previous = status.previous
    if previous is None or previous.drained:
        return status
    if view.spec.replicas == 0:
        return replace(status, previous=replace(previous, drained=True))
    if previous.draining_since is None or _has_traffic(view, previous):
        return status
    overdue = view.now - previous.draining_since >= BACKSTOP
    if overdue or all(_idle(pod) for pod in view.pods(previous.revision)):
        return replace(status, previous=replace(previous, drained=True))
    return status


def _has_traffic(view: View, previous: Previous) -> bool:
    return view.reached(previous.revision)


def _idle(pod: Pod) -> bool:
    seen = pod.counters
    if seen is None or seen.in_flight > 0:
        return False
    quiet = seen.last_request_age_seconds is None or seen.last_request_age_seconds >= QUIET.total_seconds()
    return seen.open_connections == 0 or quiet


def forget_previous(view: View, status: Status) -> Status:
    """Its Deployment is removed once nothing names it any more. Pods that are ending do not count: they were idle
    before, and one on a dead node ends never, which must not hold up every later rollout."""
    previous = status.previous
    if previous is None or not previous.drained:
        return status
    if view.revision(previous.revision) is None:  # nothing renders it any more: its Deployment is superfluous now
        return replace(status, previous=None)
    if view.pods(previous.revision):
        return status
    deployment = view.deployment(previous.revision)
    if deployment is not None and (deployment.wanted > 0 or view.publicly_selected(previous.revision)):
        return status
    return replace(status, previous=None)
