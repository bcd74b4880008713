"""How rollouts begin, move the traffic and end: the few moves that every rule and command is made of.

Each returns a status that says what is going to be; the writes follow from the status, on the next pass.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from headgate_operator.api.durations import format_duration
from headgate_operator.api.spec import Policy
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
)
from headgate_operator.core.command import current_rollout
from headgate_operator.core.quarantine import Verdict, is_rejected, reject
from headgate_operator.core.revision import Revision
from headgate_operator.core.view import View


def child_name(name: str, revision: str) -> str:
    return f"{name}-{revision}"


def policy_status(policy: Policy) -> PolicyStatus:
    return PolicyStatus(
        strategy=str(policy.strategy),
        min_duration=format_duration(policy.min_duration),
        progress_deadline=format_duration(policy.progress_deadline),
        keep_warm=format_duration(policy.keep_warm),
        history_limit=policy.history_limit,
    )


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
            strategy=str(view.policy.strategy),
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
    )
    return replace(status, rollout=None, history=(*status.history, entry)[-limit:])


def abandon(view: View, status: Status, outcome: Outcome, message: str) -> Status:
    """The candidate is given up without a word against it. Its pods have no traffic: they simply go."""
    return end(replace(status, candidate=None), outcome, view.now, view.policy.history_limit, message)


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
        previous=_as_previous(status.stable, view) if status.stable else None,
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
        previous=_as_previous(stable, view),
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
        restarts=view.restarts(role.revision),
    )


def _as_previous(stable: Stable, view: View) -> Previous:
    return Previous(
        revision=stable.revision,
        version=stable.version,
        identity=stable.identity,
        deployment=stable.deployment,
        digest=stable.digest,
        replicas=view.spec.replicas,
    )


def start_draining(view: View, status: Status, previous: Previous) -> Status:
    deployment = view.deployment(previous.revision)
    kept = deployment.wanted if deployment else 0
    return replace(status, previous=replace(previous, draining_since=view.now, replicas=kept))


def returnable(status: Status, previous: Previous | None) -> Previous | None:
    """The previous revision where traffic may go back to it: not rejected, and its pods not given up."""
    if previous is None or previous.drained or is_rejected(status, previous.revision, previous.identity):
        return None
    return previous


def instantly(view: View, status: Status) -> Previous | None:
    """The previous revision where it could take all the traffic at this moment, at full strength."""
    previous = returnable(status, status.previous)
    if previous is None or view.spec.replicas == 0:
        return None
    return previous if view.ready_pods(previous.revision) >= view.spec.replicas else None
