"""From what shall be and what is to an ordered list of writes: add capacity, move traffic, remove capacity.

At most one write of a plan destroys something, and it is the last: what it rests on is read again before the next. What
the live public Service selects is never taken away, whatever status says: references decide, not memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from headgate_operator import contract
from headgate_operator.api.spec import ServiceType
from headgate_operator.api.status import Status
from headgate_operator.core.drift import covers, drifted, owned
from headgate_operator.core.render import Obj, never_served, preview_name, public_revision, render, service_labels
from headgate_operator.core.sizes import shares_traffic
from headgate_operator.core.view import View


class Purpose(Enum):
    """What rests on a write. Refused, one that SERVING rests on ends the pass; the others end only their own kind."""

    SERVING = auto()
    PROTECTION = auto()  # after the traffic has moved, and no reason to keep it from moving
    CANDIDATE = auto()  # has no public traffic: must never hold up the repair of what has
    DRESS = auto()  # the user's labels, annotations and type of the public Service


@dataclass(frozen=True, slots=True)
class Apply:
    """`force` is off where the object is new: a field of somebody else's object must be a conflict, not a loss."""

    obj: Obj
    force: bool
    purpose: Purpose = Purpose.SERVING

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
    changes = [_apply(view, status, obj, live.get(_key(obj))) for obj in rendered if _differs(obj, live.get(_key(obj)))]
    shrinking = [write for write in changes if _shrinks(write, live)]
    # What serves comes first: a candidate that the API server refuses must not keep it from being repaired.
    adding = sorted((write for write in changes if write not in shrinking), key=_rank)
    removal: list[Write] = [write for write in shrinking if not _serves(view, status, write.obj)]
    removal += _superfluous(view, status, live, {_key(obj) for obj in rendered})
    return [*adding, *_up_to_the_first_destruction(removal)]


def _rank(write: Apply) -> tuple[int, bool]:
    return write.purpose.value, write.kind == "Service"


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


def _apply(view: View, status: Status, obj: Obj, live: Mapping[str, Any] | None) -> Apply:
    purpose = _purpose(view, status, obj)
    if live is None:
        return Apply(obj, force=False, purpose=purpose)
    if _key(obj) == ("Service", view.name):
        if covers(live["spec"], {**obj["spec"], "type": _type_as_before(obj, live)}):
            purpose = Purpose.DRESS
        else:
            obj = _dressed_as_before(view, obj, live)
    seen = {"uid": live["metadata"]["uid"], "resourceVersion": live["metadata"]["resourceVersion"]}
    return Apply({**obj, "metadata": {**obj["metadata"], **seen}}, force=True, purpose=purpose)


def _purpose(view: View, status: Status, obj: Obj) -> Purpose:
    if obj["kind"] == "PodDisruptionBudget":
        return Purpose.PROTECTION
    return Purpose.CANDIDATE if _of_the_candidate(view, status, obj) else Purpose.SERVING


def _of_the_candidate(view: View, status: Status, obj: Obj) -> bool:
    if status.candidate is None or public_revision(view, status) == status.candidate.revision:
        return False
    return _revision(obj) == status.candidate.revision or _key(obj) == ("Service", preview_name(view.name))


def _dressed_as_before(view: View, service: Obj, live: Mapping[str, Any]) -> Obj:
    """The selector moves without the user's new labels, annotations and type: refused (a quota knows node ports, a
    policy labels), they would hold up every rollback. They follow on the next pass, in a write of their own."""
    labels, annotations = (_as_set_before(live, field) for field in ("labels", "annotations"))
    metadata = {key: value for key, value in service["metadata"].items() if key != "annotations"}
    metadata["labels"] = {**labels, **service_labels(view)}
    spec = {**service["spec"], "type": _type_as_before(service, live)}
    return {**service, "spec": spec, "metadata": metadata | ({"annotations": annotations} if annotations else {})}


def _type_as_before(service: Obj, live: Mapping[str, Any]) -> str:
    """A type that a ModelDeployment cannot ask for is somebody's edit, under which nobody may be reached at all."""
    before = live["spec"].get("type")
    return str(before if before in set(ServiceType) else service["spec"]["type"])


def _as_set_before(live: Mapping[str, Any], field: str) -> dict[str, str]:
    values = live["metadata"].get(field, {})
    return {key: values[key] for key in owned(live, field) if key in values}


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
    if shares_traffic(status) and status.candidate is not None and status.candidate.revision == revision:
        return not obj.get("spec", {}).get("replicas")  # fewer pods, by a smaller weight or size; never none
    return view.reached(revision)


def _superfluous(view: View, status: Status, live: Live, kept: set[tuple[str, str]]) -> Iterable[Write]:
    """Deployments and Services that no role needs, then revisions beyond the limit, oldest first."""
    roles = {role.revision for role in (status.stable, status.candidate, status.previous) if role is not None}
    for (kind, name), obj in sorted(live.items()):
        if (kind, name) in kept:
            continue
        revision = obj["metadata"].get("labels", {}).get(contract.LABEL_REVISION, "")
        unneeded = kind == "Deployment" and revision not in roles and _expendable(view, status, obj)
        if unneeded or (kind, name) == ("Service", preview_name(view.name)):
            yield _delete(obj)
    yield from _old_revisions(view, live, roles)


def _expendable(view: View, status: Status, deployment: Mapping[str, Any]) -> bool:
    """Without a stable revision, or with a stranger among ours, too little is known to delete what may serve."""
    if view.children.conflict or (status.stable is None and not never_served(status, _revision(deployment))):
        return False
    return not _serves(view, status, deployment)


def _old_revisions(view: View, live: Live, roles: set[str]) -> Iterable[Write]:
    """What cannot be read is not ours to judge: a later operator may have written it, and undo may need it again."""
    with_deployment = {name for kind, name in live if kind == "Deployment"}
    unused = [
        f"{view.name}-{revision.hash}"
        for revision in sorted(view.revisions, key=lambda revision: revision.number)
        if revision.hash not in roles and f"{view.name}-{revision.hash}" not in with_deployment
    ]
    beyond = set(unused[: max(0, len(unused) - view.policy.history_limit)])
    stored = [(key, obj) for key, obj in sorted(live.items()) if key[0] in {"ConfigMap", "ControllerRevision"}]
    for (kind, name), obj in stored:
        left_over = kind == "ConfigMap" and ("ControllerRevision", name) not in live
        if _revision(obj) not in roles and (name in beyond or left_over):
            yield _delete(obj)


def _revision(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("labels", {}).get(contract.LABEL_REVISION, ""))


def _delete(obj: Mapping[str, Any]) -> Delete:
    seen = obj["metadata"]
    return Delete(kind=str(obj["kind"]), name=seen["name"], uid=seen["uid"], resource_version=seen["resourceVersion"])
