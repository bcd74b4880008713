"""A pod's status from the kubelet's records: container states, phase, conditions. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headgate_local.controllers.objects import Obj, find_condition, spec_of, status_of, timestamp
from headgate_local.kubelet.records import ContainerRecord, Ended, PodRecord

HOST_IP = "127.0.0.1"


def pod_status(pod: Obj, record: PodRecord, now: datetime) -> Obj:
    policy = spec_of(pod).get("restartPolicy", "Always")
    specs = spec_of(pod)["containers"]
    containers = [record.containers[spec["name"]] for spec in specs]
    phase = _phase(containers, policy)
    status: Obj = {
        "phase": phase,
        "conditions": _conditions(pod, containers, phase, now),
        "hostIP": HOST_IP,
        "podIP": record.ref.ip,
        "podIPs": [{"ip": record.ref.ip}],
        "startTime": timestamp(record.began),
        "containerStatuses": [
            _container_status(spec, container, policy) for spec, container in zip(specs, containers, strict=True)
        ],
        "qosClass": status_of(pod).get("qosClass") or qos_class(specs),
    }
    return status


def _phase(containers: Sequence[ContainerRecord], policy: str) -> str:
    if any(c.container_id is None and c.ended is None for c in containers):
        return "Pending"
    if any(c.is_running or c.may_restart(policy) for c in containers):
        return "Running"
    return "Succeeded" if all(c.ended and c.ended.code == 0 for c in containers) else "Failed"


def _container_status(spec: Obj, record: ContainerRecord, policy: str) -> Obj:
    state, last = _state(record, policy)
    status: Obj = {
        "name": record.name,
        "image": spec.get("image", ""),
        "imageID": spec.get("image", "") if record.attempt else "",
        "ready": record.is_ready,
        "started": record.has_started,
        "restartCount": max(0, record.attempt - 1),
        "state": state,
        "lastState": last,
    }
    latest = record.container_id or (record.ended.container_id if record.ended else None)
    if latest:
        status["containerID"] = latest
    return status


def _state(record: ContainerRecord, policy: str) -> tuple[Obj, Obj]:
    before = {"terminated": _terminated(record.before)} if record.before else {}
    if record.ended:
        terminated = {"terminated": _terminated(record.ended)}
        if record.may_restart(policy) and record.waiting[0] != "ContainerCreating":
            return _waiting(record), terminated
        return terminated, before
    if record.container_id is None:
        return _waiting(record), before
    return {"running": {"startedAt": timestamp(record.started)} if record.started else {}}, before


def _waiting(record: ContainerRecord) -> Obj:
    reason, message = record.waiting
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def _terminated(ended: Ended) -> Obj:
    state: Obj = {
        "exitCode": ended.code,
        "reason": ended.reason,
        "startedAt": timestamp(ended.started),
        "finishedAt": timestamp(ended.finished),
        "containerID": ended.container_id,
    }
    if ended.signal:
        state["signal"] = ended.signal
    if ended.message:
        state["message"] = ended.message
    return state


def _conditions(pod: Obj, containers: Sequence[ContainerRecord], phase: str, now: datetime) -> list[Obj]:
    unready = [c.name for c in containers if not c.is_ready]
    reason, message = "", ""
    if phase in ("Succeeded", "Failed"):
        unready = unready or [c.name for c in containers]
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
    elif unready:
        reason, message = "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    ready = ("False", reason, message) if unready else ("True", "", "")
    created = any(c.attempt for c in containers)
    wanted = {
        "PodReadyToStartContainers": ("True" if created else "False", "", ""),
        "Initialized": ("True", "", ""),
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": ("True", "", ""),
    }
    existing = status_of(pod).get("conditions") or []
    kept = [c for c in existing if c.get("type") not in wanted]
    return [_condition(kind, *value, existing, now) for kind, value in wanted.items()] + kept


def _condition(kind: str, status: str, reason: str, message: str, existing: Sequence[Obj], now: datetime) -> Obj:
    current = find_condition(existing, kind)
    same = current is not None and current.get("status") == status
    since = current["lastTransitionTime"] if same and current else timestamp(now)
    condition: Obj = {"type": kind, "status": status, "lastTransitionTime": since}
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def qos_class(specs: Sequence[Obj]) -> str:
    resources = [spec.get("resources") or {} for spec in specs]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    for r in resources:
        limits, requests = r.get("limits") or {}, r.get("requests") or {}
        if any(name not in limits or requests.get(name, limits[name]) != limits[name] for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"
