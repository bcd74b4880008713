"""What must not be started again: rejected models and revisions, until a person says `retry`.

Evidence against the model rejects its identity, whatever settings it comes with; a failure that new settings may cure
rejects the one revision. Trouble outside the model never comes here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from headgate_operator.api.status import By, Candidate, Previous, Rejected, Scope, Stable, Status
from headgate_operator.core.revision import Revision

CAPACITY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a revision is given up."""

    scope: Scope
    by: By
    gate: str
    message: str


def matches(entry: Rejected, revision: str, identity: str) -> bool:
    return entry.revision == revision or (entry.scope is Scope.MODEL and entry.identity == identity)


def entry_for(status: Status, revision: Revision) -> Rejected | None:
    """The newest entry that forbids this revision."""
    name, identity = revision.hash, revision.identity_hash
    return next((entry for entry in reversed(status.rejected) if matches(entry, name, identity)), None)


def is_rejected(status: Status, revision: str, identity: str) -> bool:
    return any(matches(entry, revision, identity) for entry in status.rejected)


def reject(
    status: Status, role: Candidate | Stable, verdict: Verdict, now: datetime, *, serving_identity: str | None
) -> Status:
    """`serving_identity` is that of the revision that goes on serving: where it is the same, only settings differ."""
    scope = Scope.REVISION if role.identity == serving_identity else verdict.scope
    entry = Rejected(
        revision=role.revision,
        scope=scope,
        version=role.version,
        identity=role.identity,
        digest=role.digest,
        at=now,
        by=verdict.by,
        gate=verdict.gate,
        message=verdict.message[:512],
    )
    others = tuple(old for old in status.rejected if old.revision != role.revision or old.scope is not scope)
    return replace(status, rejected=(*others, entry))


def release(status: Status, revision: Revision) -> Status:
    """Takes away every entry that forbids this revision."""
    kept = tuple(entry for entry in status.rejected if not matches(entry, revision.hash, revision.identity_hash))
    return replace(status, rejected=kept)


def trim(status: Status, wanted: Revision | None) -> Status:
    """At most CAPACITY entries: the oldest that is not about what is wanted goes first."""
    entries = list(status.rejected)
    while len(entries) > CAPACITY:
        about_others = [
            entry for entry in entries if wanted is None or not matches(entry, wanted.hash, wanted.identity_hash)
        ]
        entries.remove((about_others or entries)[0])
    return status if len(entries) == len(status.rejected) else replace(status, rejected=tuple(entries))


def returnable(status: Status, previous: Previous | None) -> Previous | None:
    """The previous revision where traffic may go back to it: not rejected, and its pods not given up."""
    if previous is None or previous.drained or is_rejected(status, previous.revision, previous.identity):
        return None
    return previous
