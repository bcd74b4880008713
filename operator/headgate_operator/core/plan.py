"""From what shall be and what is to an ordered list of writes: add capacity, move traffic, remove capacity.

At most one write of a plan destroys something, and it is the last: what it rests on is read again before the next. What
the live public Service selects is never taken away, whatever status says: references decide, not memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headgate_operator import contract
from headgate_operator.api.status import Status
from headgate_operator.core.drift import drifted
from headgate_operator.core.render import Obj, preview_name, render
from headgate_operator.core.view import View


@dataclass(frozen=True, slots=True)
class Apply:
    """`force` is off where the object is new: a field of somebody else's object must be a conflict, not a loss."""

    obj: Obj
    force: bool

    @property
    def kind(self) -> str:
        return str(self.obj["kind"])

    @property
    def name(self) -> str:
        return str(self.obj["metadata"]["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    kind: str
    name: str
    uid: str
    resource_version: str


Write = Apply | Delete
Live = Mapping[tuple[str, str], Mapping[str, Any]]
"""Our own children as they are, by kind and name. Nothing that belongs to somebody else is in it."""


def plan(view: View, status: Status, live: Live, foreign: frozenset[tuple[str, str]]) -> list[Write]:
    """`foreign`: kinds and names that are taken by objects that are not ours; they are left alone."""
    if view.children.awaiting_collection:
        return []
    rendered = [obj for obj in render(view, status) if _key(obj) not in foreign]
    changes = [_apply(obj, live.get(_key(obj))) for obj in rendered if _differs(obj, live.get(_key(obj)))]
    shrinking = [write for write in changes if _shrinks(write, live)]
    growing = [write for write in changes if write not in shrinking and write.kind != "Service"]
    traffic = [write for write in changes if write.kind == "Service"]
    removal: list[Write] = [write for write in shrinking if not _serves(view, status, write.obj)]
    removal += _superfluous(view, status, live, {_key(obj) for obj in rendered})
    return [*growing, *traffic, *_up_to_the_first_destruction(removal)]


def destroys(write: Write) -> bool:
    return isinstance(write, Delete) or (write.kind == "Deployment" and write.obj["spec"]["replicas"] == 0)


def _up_to_the_first_destruction(writes: Iterable[Write]) -> Iterable[Write]:
    for write in writes:
        yield write
        if destroys(write):
            return


def _key(obj: Mapping[str, Any]) -> tuple[str, str]:
    return str(obj["kind"]), str(obj["metadata"]["name"])


def _differs(obj: Obj, live: Mapping[str, Any] | None) -> bool:
    return live is None or drifted(obj, live)


def _apply(obj: Obj, live: Mapping[str, Any] | None) -> Apply:
    if live is None:
        return Apply(obj, force=False)
    seen = {"uid": live["metadata"]["uid"], "resourceVersion": live["metadata"]["resourceVersion"]}
    return Apply({**obj, "metadata": {**obj["metadata"], **seen}}, force=True)


def _shrinks(write: Apply, live: Live) -> bool:
    before = live.get((write.kind, write.name))
    if write.kind != "Deployment" or before is None:
        return False
    return bool(write.obj["spec"]["replicas"] < before["spec"].get("replicas", 1))


def _serves(view: View, status: Status, obj: Mapping[str, Any]) -> bool:
    """Whether traffic can still reach it. The stable revision is exempt: its size is the user's wish."""
    revision = str(obj["metadata"].get("labels", {}).get(contract.LABEL_REVISION, ""))
    if status.stable is not None and status.stable.revision == revision:
        return False
    if view.spec.replicas == 0 and obj.get("spec", {}).get("replicas") == 0 and status.stable is not None:
        return False
    return view.publicly_selected(revision) or view.has_public_endpoints(revision)


def _superfluous(view: View, status: Status, live: Live, kept: set[tuple[str, str]]) -> Iterable[Write]:
    """Deployments and Services that no role needs, then revisions beyond the limit, oldest first."""
    roles = {role.revision for role in (status.stable, status.candidate, status.previous) if role is not None}
    for (kind, name), obj in sorted(live.items()):
        if (kind, name) in kept:
            continue
        revision = obj["metadata"].get("labels", {}).get(contract.LABEL_REVISION, "")
        unneeded = kind == "Deployment" and revision not in roles and not _serves(view, status, obj)
        if unneeded or (kind, name) == ("Service", preview_name(view.name)):
            yield _delete(obj)
    yield from _old_revisions(view, live, roles)


def _old_revisions(view: View, live: Live, roles: set[str]) -> Iterable[Write]:
    with_deployment = {name for kind, name in live if kind == "Deployment"}
    unused = [
        revision
        for revision in sorted(view.revisions, key=lambda revision: revision.number)
        if revision.hash not in roles and f"{view.name}-{revision.hash}" not in with_deployment
    ]
    kept = {f"{view.name}-{revision.hash}" for revision in view.revisions}
    for revision in unused[: max(0, len(unused) - view.policy.history_limit)]:
        kept.discard(f"{view.name}-{revision.hash}")
    stored = [(key, obj) for key, obj in sorted(live.items()) if key[0] in {"ConfigMap", "ControllerRevision"}]
    for _, obj in stored:
        readable = obj["metadata"].get("labels", {}).get(contract.LABEL_REVISION, "") not in roles
        if readable and obj["metadata"]["name"] not in kept:
            yield _delete(obj)


def _delete(obj: Mapping[str, Any]) -> Delete:
    seen = obj["metadata"]
    return Delete(kind=str(obj["kind"]), name=seen["name"], uid=seen["uid"], resource_version=seen["resourceVersion"])
