"""Pod -> the one node there is, or Unschedulable with the reason.

CPU and memory are not counted: a laptop's processes share what there is. What the node does not have at all (another
label, a GPU) is refused, so that a demo can show an unschedulable pod.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import datetime

from headgate_local.client import LocalClient
from headgate_local.controllers.events import Events, NoEvents
from headgate_local.controllers.objects import (
    Obj,
    condition_of,
    is_terminating,
    spec_of,
    status_of,
    timestamp,
)

NODE = "local"
_COUNTED = {"cpu", "memory", "ephemeral-storage", "pods"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def node_labels() -> dict[str, str]:
    return {
        "kubernetes.io/hostname": NODE,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
    }


def node_object(now: datetime) -> Obj:
    moment = timestamp(now)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    capacity = {"cpu": str(os.cpu_count() or 1), "memory": f"{memory}Ki", "pods": "110"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "processes as pods"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": node_labels()},
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [{**ready, "lastHeartbeatTime": moment, "lastTransitionTime": moment}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": NODE}],
            "nodeInfo": {
                "architecture": node_labels()["kubernetes.io/arch"],
                "operatingSystem": "linux",
                "kernelVersion": platform.release(),
                "osImage": "local processes",
                "containerRuntimeVersion": "process://1",
                "kubeletVersion": "v1.36.0-headgate-local",
                "kubeProxyVersion": "",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        },
    }


class Scheduler:
    def __init__(self, client: LocalClient, now: Callable[[], datetime], events: Events | None = None) -> None:
        self._client, self._now = client, now
        self._events: Events = events or NoEvents()

    def sync(self, namespace: str, name: str) -> float | None:
        pod = self._client.get("Pod", namespace, name)
        if pod is None or spec_of(pod).get("nodeName") or is_terminating(pod):
            return None
        node = self._client.get("Node", None, NODE)
        cordoned = node is not None and spec_of(node).get("unschedulable")
        refusal = "1 node(s) were unschedulable" if cordoned else unfit(pod)
        if refusal is None:
            self._client.patch_merge("Pod", namespace, name, {"spec": {"nodeName": NODE}})
            self._events.normal(pod, "Scheduled", f"Successfully assigned {namespace}/{name} to {NODE}")
        else:
            self._refuse(pod, f"0/1 nodes are available: {refusal}.")
        return None

    def _refuse(self, pod: Obj, message: str) -> None:
        current = condition_of(pod, "PodScheduled")
        if current and current.get("message") == message:
            return
        refused = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": timestamp(self._now()),
        }
        others = [c for c in status_of(pod).get("conditions") or [] if c.get("type") != "PodScheduled"]
        status = {**status_of(pod), "phase": "Pending", "conditions": [*others, refused]}
        self._client.update_status({**pod, "status": status})
        self._events.warning(pod, "FailedScheduling", message)


def unfit(pod: Obj) -> str | None:
    """Why the node cannot take this pod, in the scheduler's words."""
    selector = spec_of(pod).get("nodeSelector") or {}
    if not selector.items() <= node_labels().items():
        return "1 node(s) didn't match Pod's node affinity/selector"
    for container in spec_of(pod).get("containers") or []:
        resources = container.get("resources") or {}
        for name in {**(resources.get("limits") or {}), **(resources.get("requests") or {})}:
            if name not in _COUNTED and not name.startswith("hugepages-"):
                return f"1 Insufficient {name}"
    return None
