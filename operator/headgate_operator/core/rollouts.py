"""How rollouts begin, move the traffic and end: the few moves that every rule and command is made of.

Each returns a status that says what is going to be; the writes follow from the status, on the next pass.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from headgate_operator.api.durations import format_duration
from headgate_operator.api.spec import Policy, Step, Strategy
from headgate_operator.api.status import (
    Candidate,
    HistoryEntry,
    Outcome,
    Phase,
    PolicyStatus,
    Previous,
    Rollout,
    RolloutReason,
    Stable,
    Status,
    StepStatus,
)
from headgate_operator.core.baseline import baseline
from headgate_operator.core.command import current_rollout
from headgate_operator.core.quarantine import Verdict, reject, returnable
from headgate_operator.core.revision import Revision
from headgate_operator.core.sizes import returns_with, sizes
from headgate_operator.core.view import View


def child_name(name: str, revision: str) -> str:
    return f"{name}-{revision}"


def policy_status(policy: Policy) -> PolicyStatus:
    canary = policy.strategy is Strategy.CANARY
    return PolicyStatus(
        strategy=str(policy.strategy),
        steps=tuple(map(_step_status, policy.steps)) if canary else (),
        capacity=str(policy.capacity) if canary else None,
        unachievable_weight=str(policy.unachievable_weight) if canary else None,
        max_duration=format_duration(policy.max_duration) if canary else None,
        on_inconclusive=str(policy.on_inconclusive) if canary else None,
        on_failure=str(policy.on_failure) if canary else None,
        min_duration=format_duration(policy.min_duration),
        approval=str(policy.approval) if policy.strategy is Strategy.BLUE_GREEN else None,
        progress_deadline=format_duration(policy.progress_deadline),
        keep_warm=format_duration(policy.keep_warm),
        history_limit=policy.history_limit,
    )


def _step_status(step: Step) -> StepStatus:
    return StepStatus(weight=step.weight, min_duration=format_duration(step.min_duration), approval=str(step.approval))


def strategy_for(view: View, status: Status, goal: Revision, reason: RolloutReason) -> Strategy:
    """A first version has nobody to share the traffic with, who undoes something wants it back at once, and the same
    files in the same server prove nothing new."""
    if status.stable is None or reason is RolloutReason.UNDO:
        return Strategy.BLUE_GREEN
    serving = view.revision(status.stable.revision)
    if reason is RolloutReason.RESTART and serving is not None and serving.image == goal.image:
        return Strategy.BLUE_GREEN
    return view.policy.strategy


def begin(view: View, status: Status, goal: Revision, reason: RolloutReason) -> Status:
    """A new candidate. Where the previous revision comes back it changes roles, pods and all."""
    taken_over = status.previous is not None and status.previous.revision == goal.hash
    stable = status.stable
    return replace(
        status,
        candidate=Candidate(
            revision=goal.hash,
            version=goal.identity.version,
            identity=goal.identity_hash,
            deployment=child_name(view.name, goal.hash),
            digest=view.children.digests.get(goal.hash),  # known where this revision has run before
            started_at=view.now,
            deadline_from=view.now,
        ),
        previous=None if taken_over else status.previous,
        rollout=Rollout(
            id=current_rollout(status) + 1,
            started_at=view.now,
            strategy=str(strategy_for(view, status, goal, reason)),
            reason=reason,
            phase=Phase.VERIFYING,
            policy=policy_status(view.policy),
            from_=stable.version if stable else None,
            to=goal.identity.version,
            from_revision=stable.revision if stable else None,
            to_revision=goal.hash,
        ),
        retrying=None if status.retrying == goal.hash else status.retrying,
    )


def end(status: Status, outcome: Outcome, now: datetime, limit: int, message: str | None = None) -> Status:
    """The rollout under way becomes history."""
    rollout = status.rollout
    if rollout is None:
        return status
    entry = HistoryEntry(
        rollout=rollout.id,
        outcome=outcome,
        reason=rollout.reason,
        from_=rollout.from_,
        to=rollout.to,
        from_revision=rollout.from_revision,
        to_revision=rollout.to_revision,
        seconds=max(0, int((now - rollout.started_at) / timedelta(seconds=1))),
        at=now,
        message=(message or rollout.message or None),
        decisions=rollout.decisions,
    )
    past = (replace(old, decisions=()) if old.decisions else old for old in status.history)
    history = (*past, entry)[-limit:]
    return replace(status, rollout=None, history=history, traffic=None, evidence=None)


def abandon(view: View, status: Status, outcome: Outcome, message: str) -> Status:
    """The candidate is given up without a word against it. Pods that have no traffic simply go; those that share it are
    taken out of it first, and the rollout ends when endpoints show that."""
    rollout = status.rollout
    without = replace(status, candidate=None, traffic=None)
    if rollout is None or rollout.phase is not Phase.CANARY:
        return end(without, outcome, view.now, view.policy.history_limit, message)
    back = replace(rollout, phase=Phase.SWITCHING, outcome=outcome, decided_at=view.now, message=message[:512])
    return replace(without, rollout=back)


def back_to_verifying(view: View, status: Status, candidate: Candidate) -> Status:
    """Out of the traffic, and not given up: it has to show everything again."""
    assert status.rollout is not None  # noqa: S101
    anew = replace(
        candidate, verified_at=None, step=None, weight=None, step_started_at=None, deadline_from=view.now,
        watched_seconds=0, incomplete_since=None,
    )  # fmt: skip
    rollout = replace(status.rollout, phase=Phase.VERIFYING)
    return replace(status, candidate=anew, rollout=rollout, traffic=None, evidence=None)


def make_way(view: View, status: Status) -> Status:
    """keepWarm ends early: two warm versions beside a third are too many."""
    if status.previous is None or status.previous.draining_since is not None:
        return status
    return start_draining(view, status, status.previous)


def fail_candidate(view: View, status: Status, candidate: Candidate, verdict: Verdict) -> Status:
    serving = status.stable
    rejected = reject(status, candidate, verdict, view.now, serving_identity=serving.identity if serving else None)
    outcome = Outcome.ROLLED_BACK if serving else Outcome.FIRST_ROLLOUT_FAILED
    return abandon(view, rejected, outcome, f"{verdict.gate}: {verdict.message}"[:512])


def promote(view: View, status: Status, candidate: Candidate) -> Status:
    """The switch: from now on the public Service shall select the candidate. It ends when endpoints say so."""
    return replace(
        status,
        stable=_as_stable(candidate, view),
        previous=_as_previous(status.stable, view, sizes(view, status).stable) if status.stable else None,
        candidate=None,
        rollout=replace(_switching(view, status), phase=Phase.SWITCHING, outcome=Outcome.PROMOTED, decided_at=view.now),
    )


def _switching(view: View, status: Status) -> Rollout:
    if status.rollout is None:  # a status that somebody edited: go on with what is known
        candidate = status.candidate
        assert candidate is not None  # noqa: S101
        return _new_switch(view, status, RolloutReason.SPEC_CHANGED, candidate.revision, candidate.version)
    return status.rollout


def switch_back(
    view: View,
    status: Status,
    stable: Stable,
    previous: Previous,
    *,
    reason: RolloutReason,
    outcome: Outcome,
    message: str,
) -> Status:
    """Traffic returns to the previous revision, whose pods are still there. An unfinished switch is turned round.

    A candidate that is being verified makes way, on record: its rollout must not go on under another's name."""
    if status.candidate is not None:
        first = f"traffic goes back to version {previous.version} first"
        status = abandon(view, status, Outcome.SUPERSEDED, first)
    under_way = status.rollout if status.rollout and status.rollout.phase is Phase.SWITCHING else None
    rollout = under_way or _new_switch(view, status, reason, previous.revision, previous.version)
    return replace(
        status,
        stable=_as_stable(previous, view),
        previous=_as_previous(stable, view, view.spec.replicas),
        rollout=replace(rollout, phase=Phase.SWITCHING, outcome=outcome, decided_at=view.now, message=message[:512]),
    )


def _new_switch(view: View, status: Status, reason: RolloutReason, revision: str, version: str) -> Rollout:
    stable = status.stable
    return Rollout(
        id=current_rollout(status) + 1,
        started_at=view.now,
        strategy=str(view.policy.strategy),
        reason=reason,
        phase=Phase.SWITCHING,
        policy=policy_status(view.policy),
        from_=stable.version if stable else None,
        to=version,
        from_revision=stable.revision if stable else None,
        to_revision=revision,
    )


def _as_stable(role: Candidate | Previous, view: View) -> Stable:
    return Stable(
        revision=role.revision,
        version=role.version,
        identity=role.identity,
        deployment=role.deployment,
        digest=role.digest,
        restarts_before=baseline(view, role.revision),
    )


def _as_previous(stable: Stable, view: View, replicas: int) -> Previous:
    """`replicas`: those it has now. Without any there is nothing to keep warm, and nothing to go back to."""
    return Previous(
        revision=stable.revision,
        version=stable.version,
        identity=stable.identity,
        deployment=stable.deployment,
        digest=stable.digest,
        replicas=replicas,
        drained=replicas == 0 and view.spec.replicas > 0,
    )


def start_draining(view: View, status: Status, previous: Previous) -> Status:
    deployment = view.deployment(previous.revision)
    kept = deployment.wanted if deployment else 0
    return replace(status, previous=replace(previous, draining_since=view.now, replicas=kept))


def instantly(view: View, status: Status) -> Previous | None:
    """The previous revision where it could take all the traffic at this moment, at full strength."""
    previous = returnable(status, status.previous)
    if previous is None or view.spec.replicas == 0:
        return None
    ready = view.ready_pods(previous.revision)
    if ready > 0 and view.reached(previous.revision):  # a switch that has not arrived yet: it has the traffic still
        return previous
    return previous if ready >= returns_with(view, previous) else None
