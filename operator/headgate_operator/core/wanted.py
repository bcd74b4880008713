"""Which revision shall serve: what the reference asks for, what quarantine forbids, and what an undo holds instead."""

from __future__ import annotations

from dataclasses import dataclass

from headgate_operator.api.model import ByAlias, Identity
from headgate_operator.api.status import Rejected, RolloutReason, Status
from headgate_operator.core.observed import Resolved
from headgate_operator.core.quarantine import entry_for
from headgate_operator.core.revision import Revision, find, revision_hash, settings_of
from headgate_operator.core.template import pod_template
from headgate_operator.core.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    asked: Revision | None  # by the reference; None while it has never been resolved
    forbidden_by: Rejected | None
    goal: Revision | None  # what to work towards; None = keep what is


def wanted(view: View, status: Status) -> Wanted:
    asked = asked_revision(view, status)
    entry = entry_for(status, asked) if asked is not None else None
    return Wanted(asked=asked, forbidden_by=entry, goal=asked if entry is None else held_revision(view, status))


def identity_wanted(view: View, status: Status) -> Identity | None:
    """The last answer stays wanted while the registry gives no newer one: its trouble never changes what serves."""
    if isinstance(view.resolution, Resolved):
        return view.resolution.identity
    return status.model.resolved if status.model else None


def asked_revision(view: View, status: Status) -> Revision | None:
    identity = identity_wanted(view, status)
    if identity is None:
        return None
    roles = (status.stable, status.candidate, status.previous)
    found = find(view.spec, identity, view.revisions, [role.revision for role in roles if role is not None])
    return found or new_revision(view, identity)


def new_revision(view: View, identity: Identity) -> Revision:
    settings = settings_of(view.spec)
    image = settings.get("image") or view.default_image
    digest = view.spec.model.digest
    name = revision_hash(identity, digest, settings, image)
    return Revision(
        hash=name,
        number=max((revision.number for revision in view.revisions), default=0) + 1,
        identity=identity,
        digest=digest,
        settings=settings,
        image=image,
        template=pod_template(
            name=view.name, revision=name, identity=identity, digest=digest, settings=settings, image=image
        ),
    )


def held_revision(view: View, status: Status) -> Revision | None:
    if status.hold is None:
        return None
    held = view.revision(status.hold.revision)
    return None if held is None or entry_for(status, held) is not None else held


def reason_for(view: View, status: Status, goal: Revision) -> RolloutReason:
    """Why a rollout to `goal` begins, in one word."""
    if status.hold is not None and status.hold.revision == goal.hash:
        return RolloutReason.UNDO
    if status.retrying == goal.hash:
        return RolloutReason.RETRY
    if status.stable is None:
        return RolloutReason.FIRST_DEPLOYMENT
    serving = view.revision(status.stable.revision)
    if serving is None or serving.identity_hash == goal.identity_hash or serving.identity.name != goal.identity.name:
        return RolloutReason.SPEC_CHANGED
    if serving.identity.version == goal.identity.version:
        return RolloutReason.SOURCE_CHANGED
    return RolloutReason.ALIAS_MOVED if isinstance(view.spec.model.ref, ByAlias) else RolloutReason.SPEC_CHANGED


def frozen(view: View, status: Status) -> bool:
    """spec.paused stops every decision of the operator's own; a person's undo is still carried out to its end."""
    if not view.spec.paused:
        return False
    goal = wanted(view, status).goal
    return goal is None or status.hold is None or status.hold.revision != goal.hash
