"""ReplicaSet -> Pods: as many active pods as wanted, adopted or made, taken away in the right order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from headgate_local.client import LocalClient
from headgate_local.controllers.events import Events, NoEvents
from headgate_local.controllers.objects import (
    Obj,
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
    timestamp,
    uid_of,
)
from headgate_local.controllers.pods import available_in, deletion_order, is_active, is_ready
from headgate_local.errors import ApiError


class ReplicaSetController:
    def __init__(self, client: LocalClient, now: Callable[[], datetime], events: Events | None = None) -> None:
        self._client, self._now = client, now
        self._events: Events = events or NoEvents()

    def sync(self, namespace: str, name: str) -> float | None:
        rs = self._client.get("ReplicaSet", namespace, name)
        if rs is None:
            return None
        mine = self._claimed(rs)
        failure = None if is_terminating(rs) else self._converge(rs, [pod for pod in mine if is_active(pod)])
        return self._write_status(rs, self._claimed(rs), failure)

    def _claimed(self, rs: Obj) -> list[Obj]:
        """Pods this ReplicaSet controls; orphans it selects are adopted, own ones it no longer selects are let go."""
        mine = []
        for pod in self._client.list("Pod", namespace_of(rs)):
            selected = selector_matches(spec_of(rs).get("selector"), labels_of(pod))
            if is_controlled_by(pod, rs):
                if selected or is_terminating(rs):
                    mine.append(pod)
                else:
                    self._release(pod, rs)
            elif selected and controller_of(pod) is None and is_active(pod) and not is_terminating(rs):
                mine.append(self._adopt(pod, rs))
        return mine

    def _adopt(self, pod: Obj, rs: Obj) -> Obj:
        owners = [*(pod["metadata"].get("ownerReferences") or []), controller_reference(rs)]
        return self._set_owners(pod, owners)

    def _release(self, pod: Obj, rs: Obj) -> None:
        self._set_owners(pod, [o for o in pod["metadata"]["ownerReferences"] if o.get("uid") != uid_of(rs)])

    def _set_owners(self, pod: Obj, owners: list[Obj]) -> Obj:
        metadata = {"uid": uid_of(pod), "ownerReferences": owners}
        return self._client.patch_merge("Pod", namespace_of(pod), name_of(pod), {"metadata": metadata})

    def _converge(self, rs: Obj, active: Sequence[Obj]) -> Obj | None:
        """Create or delete; returns a ReplicaFailure condition when the API refuses."""
        surplus = len(active) - replicas_of(rs)
        try:
            for _ in range(-surplus):
                self._create_pod(rs)
            if surplus > 0:
                for pod in deletion_order(active, self._now())[:surplus]:
                    self._client.delete("Pod", namespace_of(pod), name_of(pod), uid=uid_of(pod))
                    self._events.normal(rs, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")
        except ApiError as error:
            reason = "FailedCreate" if surplus < 0 else "FailedDelete"
            self._events.warning(rs, reason, f"Error: {error}")
            return {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": str(error)}
        return None

    def _create_pod(self, rs: Obj) -> None:
        template = spec_of(rs)["template"]
        metadata = template.get("metadata") or {}
        pod = self._client.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "generateName": f"{name_of(rs)}-",
                    "namespace": namespace_of(rs),
                    "labels": dict(metadata.get("labels") or {}),
                    "annotations": dict(metadata.get("annotations") or {}),
                    "ownerReferences": [controller_reference(rs)],
                },
                "spec": template["spec"],
            }
        )
        self._events.normal(rs, "SuccessfulCreate", f"Created pod: {name_of(pod)}")

    def _write_status(self, rs: Obj, pods: Sequence[Obj], failure: Obj | None) -> float | None:
        active = [pod for pod in pods if is_active(pod)]
        minimum = int(spec_of(rs).get("minReadySeconds") or 0)
        waits = [wait for pod in active if (wait := available_in(pod, minimum, self._now())) is not None]
        template_labels = (spec_of(rs)["template"].get("metadata") or {}).get("labels") or {}
        status: Obj = {
            "replicas": len(active),
            "fullyLabeledReplicas": sum(template_labels.items() <= labels_of(pod).items() for pod in active),
            "readyReplicas": sum(is_ready(pod) for pod in active),
            "availableReplicas": sum(wait == 0 for wait in waits),
            "terminatingReplicas": sum(is_terminating(pod) for pod in pods),
            "observedGeneration": rs["metadata"].get("generation", 1),
        }
        status = {k: v for k, v in status.items() if v or k in ("replicas", "terminatingReplicas")}
        if failure:
            status["conditions"] = [self._dated(rs, failure)]
        if status != status_of(rs):
            self._client.update_status({**rs, "status": status})
        later = [wait for wait in waits if wait > 0]
        if failure:
            later.append(5.0)
        return min(later) if later else None

    def _dated(self, rs: Obj, failure: Obj) -> Obj:
        for current in status_of(rs).get("conditions") or []:
            if current.get("type") == failure["type"] and current.get("reason") == failure["reason"]:
                return {**failure, "lastTransitionTime": current["lastTransitionTime"]}
        return {**failure, "lastTransitionTime": timestamp(self._now())}
