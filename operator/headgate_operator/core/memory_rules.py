"""Keeping the status true: the registry's answer, a status that was lost, lists that must not grow."""

from __future__ import annotations

from dataclasses import replace

from headgate_operator.api.status import HistoryEntry, ModelStatus, Outcome, Stable, Status
from headgate_operator.core.baseline import baseline
from headgate_operator.core.command import current_rollout
from headgate_operator.core.observed import Resolved
from headgate_operator.core.quarantine import trim
from headgate_operator.core.render import never_served
from headgate_operator.core.restarting import restarted, revision_of
from headgate_operator.core.revision import Revision
from headgate_operator.core.rollouts import child_name
from headgate_operator.core.view import View
from headgate_operator.core.wanted import paused_by, wanted


def remember_model(view: View, status: Status) -> Status:
    requested, known = view.spec.model.requested, status.model
    if isinstance(view.resolution, Resolved):
        model = ModelStatus(requested=requested, resolved=view.resolution.identity, resolved_from=requested)
    elif known is not None:
        model = replace(known, requested=requested)
    else:
        model = ModelStatus(requested=requested)
    model = replace(model, digest=_digest(view, replace(status, model=model)))
    return status if model == known else replace(status, model=model)


def _digest(view: View, status: Status) -> str | None:
    asked = wanted(view, status).asked
    roles = (status.stable, status.candidate, status.previous)
    return next((role.digest for role in roles if role and asked and role.identity == asked.identity_hash), None)


def adopt(view: View, status: Status) -> Status:
    """Status was lost (a restore, an orphaned delete): what the public Service selects is stable."""
    if status.stable is not None or view.children.awaiting_collection:
        return status
    revision = _serving_unknown_to_status(view, status)
    if revision is None:
        return status
    stable = Stable(
        revision=revision.hash,
        version=revision.identity.version,
        identity=revision.identity_hash,
        deployment=child_name(view.name, revision.hash),
        digest=view.children.digests.get(revision.hash),
        restarts_before=baseline(view, revision.hash),
    )
    entry = HistoryEntry(
        rollout=current_rollout(status) + 1,
        outcome=Outcome.ADOPTED,
        to=stable.version,
        to_revision=stable.revision,
        seconds=0,
        at=view.now,
        message="the status was lost; what served was taken over",
    )
    history = (*status.history, entry)[-view.policy.history_limit :]
    return replace(status, stable=stable, history=history)


def _serving_unknown_to_status(view: View, status: Status) -> Revision | None:
    """Never the candidate: it would get traffic unverified, only because somebody edited a selector."""
    public = view.children.public
    if public is None:
        return None
    name = public.revision if public.revision is not None else _answering(view, status)
    if name is None or view.deployment(name) is None or (status.candidate and status.candidate.revision == name):
        return None
    if never_served(status, name):  # nor one that was given up: a selector is all it would take
        return None
    asked = wanted(view, status).asked  # stands in for a stored revision that was lost together with the status
    return view.revision(name) or (asked if asked is not None and asked.hash == name else None)


def _answering(view: View, status: Status) -> str | None:
    """Of several that are ready, and reached by a selector that names none of them, one keeps the traffic: rather one
    that has shown the golden prediction (only then is a digest recorded), that is not on its way yet (the preview
    Service names that one), that has more pods, that is older: what is newer was still to be proven."""
    preview = view.children.preview.revision if view.children.preview is not None else None
    candidate = status.candidate.revision if status.candidate else None

    def worth(name: str) -> tuple[bool, bool, int, int]:
        revision = view.revision(name)
        return (
            name in view.children.digests,
            name != preview,
            view.ready_pods(name),
            -revision.number if revision is not None else -1_000_000_000,
        )

    ready = [name for name in sorted(view.children.deployments) if name != candidate and view.ready_pods(name) > 0]
    return max(ready, key=worth, default=None)


def _without_a_restart_that_is_over(view: View, status: Status) -> Status:
    wish, hold, stable = status.restart, status.hold, status.stable
    if wish is None:
        return status
    again, goal = restarted(view, status), wanted(view, status).goal
    if again is not None and goal is not None and goal.hash == again.hash:
        return status
    made = revision_of(view, wish)
    if hold is not None and hold.revision == wish.revision and made and stable and stable.revision == made.hash:
        # An undo holds the version, in whatever pods: else its old ones would be brought up again.
        hold = replace(hold, revision=made.hash)
    return replace(status, restart=None, hold=hold)


def forget_what_is_over(view: View, status: Status) -> Status:
    """A hold ends when the reference asks for something that is not rejected; quarantine keeps to its size."""
    status = _without_a_restart_that_is_over(view, status)
    wish = wanted(view, status)
    sound = wish.asked is not None and wish.forbidden_by is None
    if status.hold is not None and sound and paused_by(view, status) is None:
        status = replace(status, hold=None)
    stable = status.stable.revision if status.stable else None
    if status.retrying is not None and (
        wish.asked is None or wish.asked.hash != status.retrying or wish.asked.hash == stable
    ):
        status = replace(status, retrying=None)
    if len(status.history) > view.policy.history_limit:
        status = replace(status, history=status.history[-view.policy.history_limit :])
    return trim(status, wish.asked)
