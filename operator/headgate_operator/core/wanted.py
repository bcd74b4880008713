"""Which revision shall serve: what the reference asks for, what quarantine forbids, and what an undo holds instead."""

from __future__ import annotations

from dataclasses import dataclass

from headgate_operator.api.model import ByAlias, ByLatest, ByStage, ByVersion, Identity
from headgate_operator.api.status import Rejected, RolloutReason, Status
from headgate_operator.core.observed import Resolved
from headgate_operator.core.quarantine import entry_for
from headgate_operator.core.restarting import restarted
from headgate_operator.core.revision import Revision, find, make, settings_of
from headgate_operator.core.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    asked: Revision | None  # by the reference, or a restart of it; None while it has never been resolved
    forbidden_by: Rejected | None
    goal: Revision | None  # what to work towards; None = keep what is


def wanted(view: View, status: Status) -> Wanted:
    asked = asked_revision(view, status)
    entry = entry_for(status, asked) if asked is not None else None
    held = held_revision(view, status)
    # Under a pause what a person went back to stays: a wish that came meanwhile has its turn after it.
    holding = entry is not None or (held is not None and paused_by(view, status) is not None)
    goal = held if holding else asked
    again, serving = restarted(view, status), status.stable.revision if status.stable else None
    if again is None or (goal is not None and goal.hash != serving):  # what is new has new pods anyway
        return Wanted(asked=asked, forbidden_by=entry, goal=goal)
    is_asked = asked is not None and asked.hash == serving
    return Wanted(asked=again if is_asked else asked, forbidden_by=entry, goal=again)


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
    preferred = [role.revision for role in roles if role is not None]
    # Of a version and its restarts, one that failed must not stand for those that did not.
    found = find(
        view.spec, identity, view.revisions, preferred, sound=lambda revision: entry_for(status, revision) is None
    )
    return found or new_revision(view, identity)


def wished_revisions(view: View, status: Status) -> list[Revision]:
    """Those that status may name before they are stored."""
    return [found for found in (asked_revision(view, status), restarted(view, status)) if found is not None]


def new_revision(view: View, identity: Identity) -> Revision:
    settings = settings_of(view.spec)
    return make(
        view.name,
        identity=identity,
        digest=view.spec.model.digest,
        settings=settings,
        image=settings.get("image") or view.default_image,
        number=max((revision.number for revision in view.revisions), default=0) + 1,
    )


def held_revision(view: View, status: Status) -> Revision | None:
    if status.hold is None:
        return None
    held = view.revision(status.hold.revision)
    return None if held is None or entry_for(status, held) is not None else held


_MOVED: dict[type, RolloutReason] = {
    ByVersion: RolloutReason.SPEC_CHANGED,
    ByAlias: RolloutReason.ALIAS_MOVED,
    ByStage: RolloutReason.STAGE_MOVED,
    ByLatest: RolloutReason.NEW_VERSION,
}


def reason_for(view: View, status: Status, goal: Revision) -> RolloutReason:
    """Why a rollout to `goal` begins, in one word."""
    if status.hold is not None and status.hold.revision == goal.hash:
        return RolloutReason.UNDO
    if status.retrying == goal.hash:
        return RolloutReason.RETRY
    again = restarted(view, status)
    if again is not None and again.hash == goal.hash:
        return RolloutReason.RESTART
    if status.stable is None:
        return RolloutReason.FIRST_DEPLOYMENT
    serving = view.revision(status.stable.revision)
    if serving is None or serving.identity_hash == goal.identity_hash or serving.identity.name != goal.identity.name:
        return RolloutReason.SPEC_CHANGED
    if serving.identity.version == goal.identity.version:
        return RolloutReason.SOURCE_CHANGED
    return _MOVED[type(view.spec.model.ref)]


def paused_by(view: View, status: Status) -> str | None:
    """What keeps the operator from decisions of its own, in words; None where nothing does."""
    if view.spec.paused:
        return "spec.paused is true"
    if status.pause is None:
        return None
    return f"paused by {status.pause.by or 'somebody'}; say resume to go on"


def frozen(view: View, status: Status) -> bool:
    """A pause stops every decision of the operator's own; a person's undo is still carried out to its end."""
    if paused_by(view, status) is None:
        return False
    goal = wanted(view, status).goal
    return goal is None or status.hold is None or status.hold.revision != goal.hash
