"""A revision as it is kept in a ControllerRevision, and read back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from headgate_operator import contract
from headgate_operator.api.errors import SpecError
from headgate_operator.api.model import Identity
from headgate_operator.api.reader import Reader
from headgate_operator.core.revision import Revision, identity_facts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def revision_data(revision: Revision) -> dict[str, Any]:
    run_id = {"runId": revision.identity.run_id} if revision.identity.run_id else {}
    return {
        "identity": {**identity_facts(revision.identity, revision.digest), **run_id},
        "settings": dict(revision.settings),
        "image": revision.image,
        "template": dict(revision.template),
        "restart": revision.restart,
    }


def read_revision(obj: Mapping[str, Any]) -> Revision | None:
    """None where it is not one of ours, or cannot be read: then it is as if it were not stored."""
    try:
        top = Reader(obj, "revision")
        data = top.object("data")
        return Revision(
            hash=top.object("metadata").object("labels").required_text(contract.LABEL_REVISION),
            number=top.integer("revision", low=0, high=2**63) or 0,
            identity=_identity(data.object("identity")),
            digest=data.object("identity").text("digest"),
            settings=data.json("settings"),
            image=data.required_text("image"),
            template=data.json("template"),
            restart=data.integer("restart", low=0, high=2**31) or 0,
        )
    except SpecError:
        return None


def _identity(identity: Reader) -> Identity:
    created = identity.integer("createdAt", low=0, high=2**53) or 0
    return Identity(
        registry=identity.required_text("registry"),
        name=identity.required_text("name"),
        version=identity.required_text("version"),
        source=identity.text("source") or "",
        created_at=_EPOCH + timedelta(milliseconds=created),
        run_id=identity.text("runId") or "",
    )
