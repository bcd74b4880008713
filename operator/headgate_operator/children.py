"""From the JSON of children to what the core understands: whose an object is, and what it says.

The one place that knows the shapes of Deployments, Pods, Services and EndpointSlices. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Any

from headgate_operator import contract
from headgate_operator.api.durations import parse_time
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Deployment, Endpoint, Pod, PodAddress, Service

Json = Mapping[str, Any]


class Ownership(Enum):
    OURS = auto()
    ORPHAN = auto()  # our labels and no controller (an orphaning delete, a restore): to be adopted
    OLD = auto()  # of an earlier ModelDeployment of this name: garbage collection is on its way
    FOREIGN = auto()


def ownership(obj: Json, name: str, uid: str) -> Ownership:
    metadata = obj["metadata"]
    controller = next((ref for ref in metadata.get("ownerReferences", []) if ref.get("controller")), None)
    if controller is not None:
        ours = controller.get("kind") == contract.KIND and controller.get("name") == name
        if not ours:
            return Ownership.FOREIGN
        return Ownership.OURS if controller.get("uid") == uid else Ownership.OLD
    labels = metadata.get("labels", {})
    marked = labels.get(contract.LABEL_DEPLOYMENT) == name
    return (
        Ownership.ORPHAN
        if marked and labels.get(contract.LABEL_MANAGED_BY) == contract.MANAGED_BY
        else Ownership.FOREIGN
    )


def revision_of(obj: Json) -> str:
    return str(obj["metadata"].get("labels", {}).get(contract.LABEL_REVISION, ""))


def deployment(obj: Json) -> Deployment:
    status = obj.get("status", {})
    failures = [
        str(condition.get("message", ""))
        for condition in status.get("conditions", [])
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
    ]
    return Deployment(
        revision=revision_of(obj),
        wanted=obj["spec"].get("replicas", 1),
        ready=status.get("readyReplicas", 0),
        current=status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0),
        refusal=failures[0] if failures else "",
        image=_server_image(obj),
    )


def _server_image(deployment: Json) -> str:
    containers = deployment["spec"].get("template", {}).get("spec", {}).get("containers", [])
    return next((str(one.get("image", "")) for one in containers if one.get("name") == "server"), "")


def service(obj: Json) -> Service:
    return Service(revision=obj.get("spec", {}).get("selector", {}).get(contract.LABEL_REVISION))


def endpoints(slices: Iterable[Json]) -> tuple[Endpoint, ...]:
    """`ready` that is not given counts as true: so the API defines it."""
    return tuple(
        Endpoint(
            pod=str((endpoint.get("targetRef") or {}).get("name", "")),
            ready=(endpoint.get("conditions") or {}).get("ready") is not False,
        )
        for found in slices
        for endpoint in found.get("endpoints") or []
    )


_WAITING = {
    "ErrImagePull": Reason.IMAGE_PULL,
    "ImagePullBackOff": Reason.IMAGE_PULL,
    "InvalidImageName": Reason.IMAGE_PULL,
    "CreateContainerConfigError": Reason.SECRET_NOT_USABLE,  # a Secret or ConfigMap that a variable names is missing
}


def is_over(obj: Json) -> bool:
    """Evicted and completed pods stay as objects; they are no pods any more."""
    return obj.get("status", {}).get("phase") in {"Failed", "Succeeded"}


def pod(obj: Json) -> Pod:
    status = obj.get("status", {})
    conditions = {condition.get("type"): condition for condition in status.get("conditions", [])}
    server: Json = next((one for one in status.get("containerStatuses", []) if one.get("name") == "server"), {})
    waiting = (server.get("state") or {}).get("waiting") or {}
    trouble, message = _trouble(conditions.get("PodScheduled", {}), waiting, str(server.get("image", "")))
    ip = status.get("podIP")
    return Pod(
        name=obj["metadata"]["name"],
        uid=str(obj["metadata"].get("uid", "")),
        revision=revision_of(obj),
        address=PodAddress(ip, contract.PORT, contract.OPS_PORT) if ip else None,
        ready=conditions.get("Ready", {}).get("status") == "True",
        ready_since=_ready_since(conditions.get("Ready", {})),
        terminating="deletionTimestamp" in obj["metadata"],
        restarts=server.get("restartCount", 0),
        crash_looping=waiting.get("reason") == "CrashLoopBackOff",
        trouble=trouble,
        message=message or _last_end(server),
    )


def _ready_since(condition: Json) -> datetime | None:
    try:
        return parse_time(condition["lastTransitionTime"]) if condition.get("status") == "True" else None
    except (KeyError, TypeError, ValueError):
        return None


def _trouble(scheduled: Json, waiting: Json, image: str) -> tuple[Reason | None, str]:
    if scheduled.get("status") == "False":
        return Reason.UNSCHEDULABLE, str(scheduled.get("message", "no node takes the pod"))
    reason = _WAITING.get(str(waiting.get("reason")))
    if reason is Reason.IMAGE_PULL:
        # The kubelet's own words alternate between the error and the back-off: each turn would be a status write.
        return reason, f"the image {image} cannot be pulled; the pod's events say why"
    return reason, str(waiting.get("message", waiting.get("reason", ""))) if reason else ""


def _last_end(server: Json) -> str:
    ended = (server.get("lastState") or {}).get("terminated") or (server.get("state") or {}).get("terminated") or {}
    if not ended:
        return ""
    more = ": ".join(str(ended[name]) for name in ("reason", "message") if ended.get(name))
    return f"It ended with code {ended.get('exitCode')}" + (f" ({more})" if more else "")
