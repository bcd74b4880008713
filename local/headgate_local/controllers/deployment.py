"""Deployment -> ReplicaSets, with upstream's semantics: rolling update, Recreate, pause, reuse of old templates.

One sync does at most one kind of step (grow, shrink, clean up) and writes what it saw; the next change wakes it again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from headgate_local.client import LocalClient
from headgate_local.controllers import deployment_status as report
from headgate_local.controllers import revisions
from headgate_local.controllers.events import Events, NoEvents
from headgate_local.controllers.objects import (
    Obj,
    annotations_of,
    condition_of,
    controller_of,
    controller_reference,
    is_controlled_by,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    replicas_of,
    selector_matches,
    spec_of,
    status_of,
    uid_of,
)
from headgate_local.controllers.rolling import Fence, Size, fence, grow_new, proportional, shrink_old
from headgate_local.controllers.template import same_template, selector_with_hash, template_hash, with_hash
from headgate_local.errors import ApiError

_LONGEST_NAME = 253


@dataclass
class _View:
    """One sync's reading of a Deployment and its ReplicaSets; sizes are kept current as steps are written."""

    deployment: Obj
    new: Obj | None
    old: list[Obj]
    fence: Fence

    @property
    def everything(self) -> list[Obj]:
        return [*self.old, *([self.new] if self.new else [])]


class DeploymentController:
    def __init__(self, client: LocalClient, now: Callable[[], datetime], events: Events | None = None) -> None:
        self._client, self._now = client, now
        self._events: Events = events or NoEvents()

    def sync(self, namespace: str, name: str) -> float | None:
        deployment = self._client.get("Deployment", namespace, name)
        if deployment is None:
            return None
        view = self._view(deployment)
        if is_terminating(deployment):
            return self._write_status(view, rollout=False)
        view = self._with_pause_shown(view)
        self._refresh_new(view)
        if spec_of(deployment).get("paused"):
            self._scale(view)
            self._clean_up(view)
            return self._write_status(view, rollout=False)
        if self._was_scaled(view):
            self._scale(view)
            return self._write_status(view, rollout=False)
        return self._roll(view)

    def _roll(self, view: _View) -> float | None:
        recreate = (spec_of(view.deployment).get("strategy") or {}).get("type") == "Recreate"
        if recreate and self._old_still_there(view):
            return self._write_status(view)
        if view.new is None:
            view.new = self._create_new(view)
        if view.new is None:
            return 1.0
        stepped = self._grow(view, view.new) or (not recreate and self._shrink(view, view.new))
        if not stepped and report.is_complete(view.deployment, status_of(view.deployment)):
            self._clean_up(view)
        return self._write_status(view)

    # What is there

    def _view(self, deployment: Obj) -> _View:
        rolling = (spec_of(deployment).get("strategy") or {}).get("rollingUpdate") or {}
        limits = fence(
            replicas=replicas_of(deployment),
            max_surge=rolling.get("maxSurge", "25%"),
            max_unavailable=rolling.get("maxUnavailable", "25%"),
        )
        if (spec_of(deployment).get("strategy") or {}).get("type") == "Recreate":
            limits = Fence(replicas=replicas_of(deployment), surge=0, unavailable=0)
        new, old = revisions.split(deployment, self._claimed(deployment))
        return _View(deployment, new, old, limits)

    def _claimed(self, deployment: Obj) -> list[Obj]:
        mine = []
        for rs in self._client.list("ReplicaSet", namespace_of(deployment)):
            selected = selector_matches(spec_of(deployment).get("selector"), labels_of(rs))
            if is_controlled_by(rs, deployment):
                if selected or is_terminating(deployment):
                    mine.append(rs)
                else:
                    owners = [o for o in rs["metadata"]["ownerReferences"] if o.get("uid") != uid_of(deployment)]
                    self._set_owners(rs, owners)
            elif selected and controller_of(rs) is None and not is_terminating(deployment) and not is_terminating(rs):
                owners = [*(rs["metadata"].get("ownerReferences") or []), controller_reference(deployment)]
                mine.append(self._set_owners(rs, owners))
        return mine

    def _set_owners(self, rs: Obj, owners: list[Obj]) -> Obj:
        metadata = {"uid": uid_of(rs), "ownerReferences": owners}
        return self._client.patch_merge("ReplicaSet", namespace_of(rs), name_of(rs), {"metadata": metadata})

    def _old_still_there(self, view: _View) -> bool:
        """Recreate: nothing new before the last old pod is gone, terminating ones included."""
        for rs in view.old:
            if replicas_of(rs):
                self._resize(view, rs, 0)
        old = {uid_of(rs) for rs in view.old}
        for pod in self._client.list("Pod", namespace_of(view.deployment)):
            owner = controller_of(pod)
            if owner and owner["uid"] in old and status_of(pod).get("phase") not in ("Succeeded", "Failed"):
                return True
        return False

    def _was_scaled(self, view: _View) -> bool:
        wanted = str(replicas_of(view.deployment))
        active = [rs for rs in view.everything if replicas_of(rs)]
        return any(annotations_of(rs).get(revisions.DESIRED, wanted) != wanted for rs in active)

    # Steps

    def _grow(self, view: _View, new: Obj) -> bool:
        wanted, size = replicas_of(view.deployment), replicas_of(new)
        if size > wanted:
            return self._resize(view, new, wanted)
        total = sum(replicas_of(rs) for rs in view.everything)
        return self._resize(view, new, grow_new(view.fence, new=size, total=total))

    def _shrink(self, view: _View, new: Obj) -> bool:
        active = [rs for rs in view.old if replicas_of(rs)]
        sizes = shrink_old(view.fence, new=_size(new), old=[_size(rs) for rs in active])
        for rs in active:
            if name_of(rs) in sizes:
                self._resize(view, rs, sizes[name_of(rs)])
        return bool(sizes)

    def _scale(self, view: _View) -> None:
        active = [rs for rs in view.everything if replicas_of(rs)]
        if len(active) <= 1:
            newest = active[0] if active else view.new or (view.old[-1] if view.old else None)
            if newest is not None:
                self._resize(view, newest, replicas_of(view.deployment))
        elif view.new is not None and self._is_saturated(view, view.new):
            for rs in active:
                if rs is not view.new:
                    self._resize(view, rs, 0)
        elif (spec_of(view.deployment).get("strategy") or {}).get("type") != "Recreate":
            before = int(status_of(view.deployment).get("replicas", 0))
            sizes = proportional(view.fence, [_size(rs) for rs in active], deployment_replicas_before=before)
            for rs in active:
                self._resize(view, rs, sizes[name_of(rs)], annotate=True)

    def _is_saturated(self, view: _View, new: Obj) -> bool:
        wanted = replicas_of(view.deployment)
        desired = annotations_of(new).get(revisions.DESIRED)
        available = int(status_of(new).get("availableReplicas", 0))
        return replicas_of(new) == wanted == available and desired == str(wanted)

    def _resize(self, view: _View, rs: Obj, size: int, *, annotate: bool = False) -> bool:
        before = replicas_of(rs)
        notes = revisions.size_annotations(replicas_of(view.deployment), view.fence.most)
        if before == size and not (annotate and not notes.items() <= annotations_of(rs).items()):
            return False
        changes = {"metadata": {"annotations": notes}, "spec": {"replicas": size}}
        changed = self._client.patch_merge("ReplicaSet", namespace_of(rs), name_of(rs), changes)
        _replace(view, rs, changed)
        if before != size:
            word = "up" if size > before else "down"
            message = f"Scaled {word} replica set {name_of(rs)} from {before} to {size}"
            self._events.normal(view.deployment, "ScalingReplicaSet", message)
        return before != size

    def _clean_up(self, view: _View) -> None:
        for rs in revisions.expired(view.deployment, view.old):
            with suppress(ApiError):
                self._client.delete("ReplicaSet", namespace_of(rs), name_of(rs), uid=uid_of(rs))
                view.old.remove(rs)

    # The new ReplicaSet

    def _refresh_new(self, view: _View) -> None:
        """Annotations and minReadySeconds of an existing new ReplicaSet; one that is reused gets the next revision."""
        if view.new is None:
            return
        changes: Obj = {}
        notes = revisions.new_annotations(view.deployment, view.new, view.old, view.fence.most)
        if notes:
            changes["metadata"] = {"annotations": notes}
        minimum = int(spec_of(view.deployment).get("minReadySeconds") or 0)
        if int(spec_of(view.new).get("minReadySeconds") or 0) != minimum:
            changes["spec"] = {"minReadySeconds": minimum}
        if changes:
            rs = view.new
            _replace(view, rs, self._client.patch_merge("ReplicaSet", namespace_of(rs), name_of(rs), changes))
        self._show_revision(view, view.new)
        if condition_of(view.deployment, "Progressing") is None:
            message = f'Found new replica set "{name_of(view.new)}"'
            self._show_progress(view, "True", "FoundNewReplicaSet", message)

    def _create_new(self, view: _View) -> Obj | None:
        deployment = view.deployment
        collisions = int(status_of(deployment).get("collisionCount") or 0)
        template = spec_of(deployment)["template"]
        digest = template_hash(template, collisions)
        hashed = with_hash(template, digest)
        total = sum(replicas_of(rs) for rs in view.old)
        size = grow_new(view.fence, new=0, total=total)
        rs: Obj = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name_of(deployment)[: _LONGEST_NAME - len(digest) - 1]}-{digest}",
                "namespace": namespace_of(deployment),
                "labels": dict(hashed["metadata"]["labels"]),
                "annotations": revisions.new_annotations(deployment, None, view.old, view.fence.most),
                "ownerReferences": [controller_reference(deployment)],
            },
            "spec": {
                "replicas": size,
                "minReadySeconds": int(spec_of(deployment).get("minReadySeconds") or 0),
                "selector": selector_with_hash(spec_of(deployment)["selector"], digest),
                "template": hashed,
            },
        }
        try:
            created = self._client.create(rs)
        except ApiError as error:
            return self._create_refused(view, rs, error)
        if size:
            message = f"Scaled up replica set {name_of(rs)} from 0 to {size}"
            self._events.normal(deployment, "ScalingReplicaSet", message)
        self._show_revision(view, created)
        self._show_progress(view, "True", "NewReplicaSetCreated", f'Created new replica set "{name_of(rs)}"')
        return created

    def _create_refused(self, view: _View, rs: Obj, error: ApiError) -> Obj | None:
        deployment = view.deployment
        if error.reason == "AlreadyExists":
            there = self._client.get("ReplicaSet", namespace_of(rs), name_of(rs))
            ours = there is not None and is_controlled_by(there, deployment)
            if there and ours and same_template(spec_of(there)["template"], spec_of(deployment)["template"]):
                return there
            count = int(status_of(deployment).get("collisionCount") or 0) + 1
            self._save(view, {**status_of(deployment), "collisionCount": count})
            return None
        message = f'Failed to create new replica set "{name_of(rs)}": {error}'
        self._show_progress(view, "False", "ReplicaSetCreateError", message)
        self._events.warning(deployment, "ReplicaSetCreateError", message)
        return None

    # What is told

    def _show_revision(self, view: _View, new: Obj) -> None:
        revision = annotations_of(new).get(revisions.REVISION)
        if revision and annotations_of(view.deployment).get(revisions.REVISION) != revision:
            changes = {"metadata": {"annotations": {revisions.REVISION: revision}}}
            d = view.deployment
            view.deployment = self._client.patch_merge("Deployment", namespace_of(d), name_of(d), changes)

    def _show_progress(self, view: _View, status: str, reason: str, message: str) -> None:
        if report.progress_deadline(view.deployment) is None:
            return
        fresh = report.condition("Progressing", status, reason, message, self._now())
        conditions = report.set_condition(status_of(view.deployment).get("conditions") or [], fresh)
        self._save(view, {**status_of(view.deployment), "conditions": conditions})

    def _with_pause_shown(self, view: _View) -> _View:
        current = condition_of(view.deployment, "Progressing") or {}
        paused = bool(spec_of(view.deployment).get("paused"))
        shown = current.get("reason") == "DeploymentPaused"
        if current.get("reason") == "ProgressDeadlineExceeded" or paused == shown:
            return view
        reason, message = (
            ("DeploymentPaused", "Deployment is paused") if paused else ("DeploymentResumed", "Deployment is resumed")
        )
        self._show_progress(view, "Unknown", reason, message)
        return view

    def _write_status(self, view: _View, *, rollout: bool = True) -> float | None:
        build = report.rollout_status if rollout else report.counted_status
        least = max(0, view.fence.least_available)
        status = build(view.deployment, view.new, view.old, least, self._now())
        self._save(view, status)
        return report.seconds_to_deadline(view.deployment, status, self._now()) if rollout else None

    def _save(self, view: _View, status: Obj) -> None:
        if status != status_of(view.deployment):
            view.deployment = self._client.update_status({**view.deployment, "status": status})


def _size(rs: Obj) -> Size:
    most = annotations_of(rs).get(revisions.MOST, "")
    return Size(
        name=name_of(rs),
        replicas=replicas_of(rs),
        available=int(status_of(rs).get("availableReplicas", 0)),
        created=rs["metadata"]["creationTimestamp"],
        most_before=int(most) if most.isdigit() else None,
    )


def _replace(view: _View, before: Obj, after: Obj) -> None:
    if view.new is before:
        view.new = after
    else:
        view.old[view.old.index(before)] = after
