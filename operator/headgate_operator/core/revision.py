"""Revisions: the immutable unit that is deployed, named by a hash of everything that makes it what it is.

A revision is found again, not made again: where one with the same identity and settings exists, it is what is wanted,
whatever today's default image or code would render. So an operator upgrade restarts nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from headgate_operator.api.model import Identity
from headgate_operator.api.spec import Spec
from headgate_operator.core.template import pod_template


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    hash: str
    number: int
    identity: Identity
    digest: str | None  # as the user gave it
    settings: Mapping[str, Any]
    image: str
    template: Mapping[str, Any]
    restart: int = 0

    @property
    def identity_hash(self) -> str:
        return identity_hash(self.identity, self.digest)


def settings_of(spec: Spec) -> dict[str, Any]:
    """The user's serving settings, absent = default left out: equal settings are equal JSON, whatever YAML said."""
    settings = {
        "image": spec.serving.image,
        "resources": dict(spec.serving.resources),
        "env": [dict(variable) for variable in spec.serving.env],
        "secretName": spec.model.registry.secret_name,
    }
    return {name: value for name, value in settings.items() if value}


def identity_facts(identity: Identity, digest: str | None) -> dict[str, Any]:
    facts = {
        "registry": identity.registry,
        "name": identity.name,
        "version": identity.version,
        "source": identity.source,
        "createdAt": milliseconds(identity.created_at),
        "digest": digest,
    }
    return {name: value for name, value in facts.items() if value is not None}


@lru_cache(maxsize=4096)  # asked for every stored revision, several times a pass
def identity_hash(identity: Identity, digest: str | None) -> str:
    return _hash(identity_facts(identity, digest))


def revision_hash(
    identity: Identity, digest: str | None, settings: Mapping[str, Any], image: str, restart: int = 0
) -> str:
    facts = {
        "identity": identity_facts(identity, digest),
        "settings": settings,
        "image": image,
        "restart": restart,
    }
    return _hash(facts)


def make(
    deployment: str,
    *,
    identity: Identity,
    digest: str | None,
    settings: Mapping[str, Any],
    image: str,
    number: int,
    restart: int = 0,
) -> Revision:
    name = revision_hash(identity, digest, settings, image, restart)
    return Revision(
        hash=name,
        number=number,
        identity=identity,
        digest=digest,
        settings=settings,
        image=image,
        template=pod_template(
            name=deployment, revision=name, identity=identity, digest=digest, settings=settings, image=image
        ),
        restart=restart,
    )


def find(
    spec: Spec,
    identity: Identity,
    revisions: Iterable[Revision],
    preferred: Iterable[str],
    *,
    sound: Callable[[Revision], bool] = lambda _revision: True,
) -> Revision | None:
    """An existing revision that is what spec and identity ask for. Of several rather a sound one; of these the first
    preferred, then the newest."""
    settings = settings_of(spec)
    asked = identity_hash(identity, spec.model.digest)
    # Settings without an image match any image: the default of the day it was made was fixed in the revision.
    same = [found for found in revisions if found.identity_hash == asked and found.settings == settings]
    if len(same) > 1:
        same = [found for found in same if sound(found)] or same
    by_hash = {found.hash: found for found in same}
    chosen = next((by_hash[name] for name in preferred if name in by_hash), None)
    return chosen or max(same, key=lambda found: found.number, default=None)


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _hash(facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
