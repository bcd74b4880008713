"""The same version with the same settings in new pods: a revision of its own, told apart by a counter in its hash.

It goes the way of every candidate. The wish for it lives in status until it serves, fails, or something else is wanted.
"""

from __future__ import annotations

from headgate_operator.api.status import Restart, Status
from headgate_operator.core.quarantine import entry_for
from headgate_operator.core.revision import Revision, make, revision_hash
from headgate_operator.core.view import View


def restarted(view: View, status: Status) -> Revision | None:
    """What a restart leads to; None without one, and once it serves or has failed."""
    wish, stable = status.restart, status.stable
    if wish is None or stable is None or stable.revision != wish.revision:
        return None
    found = revision_of(view, wish)
    return None if found is None or entry_for(status, found) is not None else found


def revision_of(view: View, wish: Restart) -> Revision | None:
    origin = view.revision(wish.revision)
    if origin is None:
        return None
    return view.revision(_hash(origin, wish.image, wish.count)) or make(
        view.name,
        identity=origin.identity,
        digest=origin.digest,
        settings=origin.settings,
        image=wish.image,
        number=max(revision.number for revision in view.revisions) + 1,
        restart=wish.count,
    )


def next_restart(view: View, status: Status, origin: Revision, image: str) -> Restart:
    """A counter that gives a name which nothing has that is stored or was rejected."""
    taken = {revision.hash for revision in view.revisions} | {entry.revision for entry in status.rejected}
    count = origin.restart + 1
    while _hash(origin, image, count) in taken:
        count += 1
    return Restart(revision=origin.hash, count=count, image=image)


def _hash(origin: Revision, image: str, count: int) -> str:
    return revision_hash(origin.identity, origin.digest, origin.settings, image, count)
