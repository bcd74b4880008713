"""A stored revision that somebody deleted while its pods run: made again, where what is known gives the very same name.

Without it the revision could neither be repaired nor recognised as what is wanted, and the same version would be rolled
out to itself. Where the name comes out different the pods are left as they are until another revision takes over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from headgate_operator.api.model import Identity
from headgate_operator.api.status import Status
from headgate_operator.core.observed import Resolved
from headgate_operator.core.revision import Revision, make, revision_hash, settings_of
from headgate_operator.core.view import View

MOST_RESTARTS = 8
"""Of a revision that came of so many `restart`s; each is one more name to try."""


def with_lost_revisions(view: View, status: Status) -> View:
    roles = (status.stable, status.candidate, status.previous)
    missing = [role.revision for role in roles if role is not None and view.revision(role.revision) is None]
    found = [made for name in missing if (made := _made_again(view, status, name)) is not None]
    return replace(view, revisions=(*view.revisions, *found)) if found else view


def _made_again(view: View, status: Status, name: str) -> Revision | None:
    settings, digest = settings_of(view.spec), view.spec.model.digest
    for identity in _identities(view, status):
        for image in _images(view, name):
            for restart in range(MOST_RESTARTS + 1):
                if revision_hash(identity, digest, settings, image, restart) == name:
                    number = max((one.number for one in view.revisions), default=0) + 1
                    return make(
                        view.name, identity=identity, digest=digest, settings=settings, image=image, number=number,
                        restart=restart,
                    )  # fmt: skip
    return None


def _identities(view: View, status: Status) -> Iterable[Identity]:
    if isinstance(view.resolution, Resolved):
        yield view.resolution.identity
    if status.model is not None and status.model.resolved is not None:
        yield status.model.resolved


def _images(view: View, name: str) -> Iterable[str]:
    """The one its pods run first: the default may have changed since."""
    deployment = view.deployment(name)
    if deployment is not None and deployment.image:
        yield deployment.image
    yield settings_of(view.spec).get("image") or view.default_image
