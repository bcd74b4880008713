"""Service selector -> EndpointSlices, with the ready, serving and terminating of every pod.

A terminating pod is never ready; it is serving as long as its readiness holds, so that a proxy with nothing better
may still use it (KEP-1669).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headgate_local.client import LocalClient
from headgate_local.controllers.objects import (
    Obj,
    controller_reference,
    is_controlled_by,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)
from headgate_local.controllers.pods import is_ready

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_OURS = "endpointslice-controller.k8s.io"
_HEADLESS = "service.kubernetes.io/headless"
_MOST_ENDPOINTS = 100

# Ports as (name, protocol, number, application protocol): pods may resolve one named port to different numbers.
_Ports = tuple[tuple[str, str, int, str | None], ...]


class EndpointSliceController:
    def __init__(self, client: LocalClient) -> None:
        self._client = client

    def sync(self, namespace: str, name: str) -> float | None:
        service = self._client.get("Service", namespace, name)
        existing = self._existing(namespace, name)
        if service is None or not spec_of(service).get("selector") or spec_of(service).get("type") == "ExternalName":
            # Without a selector the slices belong to whoever wrote them; ours go.
            self._delete(existing)
            return None
        ours = [s for s in existing if is_controlled_by(s, service)]
        self._delete([s for s in existing if s not in ours])
        wanted = self._wanted(service)
        spare = list(ours)
        for ports, endpoints in wanted:
            slice_ = next((s for s in spare if s.get("ports") == ports), spare[0] if spare else None)
            if slice_ is not None:
                spare.remove(slice_)
            self._write(service, slice_, ports, endpoints)
        self._delete(spare)
        return None

    def _existing(self, namespace: str, name: str) -> list[Obj]:
        labels = {SERVICE_NAME: name, MANAGED_BY: _OURS}
        slices = self._client.list("EndpointSlice", namespace, labels=labels)
        return sorted(slices, key=lambda s: (s["metadata"]["creationTimestamp"], name_of(s)))

    def _delete(self, slices: Sequence[Obj]) -> None:
        for slice_ in slices:
            self._client.delete("EndpointSlice", namespace_of(slice_), name_of(slice_), uid=uid_of(slice_))

    def _wanted(self, service: Obj) -> list[tuple[list[Obj], list[Obj]]]:
        groups: dict[_Ports, list[Obj]] = {}
        for pod in self._client.list("Pod", namespace_of(service), labels=dict(spec_of(service)["selector"])):
            if status_of(pod).get("podIP") and status_of(pod).get("phase") not in ("Succeeded", "Failed"):
                groups.setdefault(_resolved_ports(service, pod), []).append(_endpoint(service, pod))
        if not groups:
            # An empty slice, not none: a reader can tell "no endpoints" from "not looked at yet".
            return [([], [])]
        result: list[tuple[list[Obj], list[Obj]]] = []
        for ports, endpoints in sorted(groups.items(), key=str):
            ordered = sorted(endpoints, key=lambda e: str(e["targetRef"]["name"]))
            starts = range(0, len(ordered), _MOST_ENDPOINTS)
            result.extend((_port_objects(ports), ordered[start : start + _MOST_ENDPOINTS]) for start in starts)
        return result

    def _write(self, service: Obj, slice_: Obj | None, ports: list[Obj], endpoints: list[Obj]) -> None:
        labels = {**labels_of(service), SERVICE_NAME: name_of(service), MANAGED_BY: _OURS}
        if spec_of(service).get("clusterIP") == "None":
            labels[_HEADLESS] = ""
        if slice_ is None:
            self._client.create(
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {
                        "generateName": f"{name_of(service)}-",
                        "namespace": namespace_of(service),
                        "labels": labels,
                        "ownerReferences": [controller_reference(service)],
                    },
                    "addressType": "IPv4",
                    "ports": ports,
                    "endpoints": endpoints,
                }
            )
            return
        same = (slice_.get("ports") or []) == ports and (slice_.get("endpoints") or []) == endpoints
        if not same or labels_of(slice_) != labels:
            metadata = {**slice_["metadata"], "labels": labels}
            self._client.update({**slice_, "metadata": metadata, "ports": ports, "endpoints": endpoints})


def _resolved_ports(service: Obj, pod: Obj) -> _Ports:
    resolved = []
    for port in spec_of(service).get("ports") or []:
        target = port.get("targetPort", port["port"])
        protocol = str(port.get("protocol", "TCP"))
        number = target if isinstance(target, int) else _named_port(pod, str(target), protocol)
        if number is not None:
            resolved.append((str(port.get("name", "")), protocol, int(number), port.get("appProtocol")))
    return tuple(resolved)


def _named_port(pod: Obj, name: str, protocol: str) -> int | None:
    if name.isdigit():
        return int(name)
    for container in spec_of(pod).get("containers") or []:
        for port in container.get("ports") or []:
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return None


def _port_objects(ports: _Ports) -> list[Obj]:
    objects = []
    for name, protocol, number, application in ports:
        port: dict[str, Any] = {"name": name, "protocol": protocol, "port": number}
        objects.append({**port, "appProtocol": application} if application else port)
    return objects


def _endpoint(service: Obj, pod: Obj) -> Obj:
    always = bool(spec_of(service).get("publishNotReadyAddresses"))
    serving = is_ready(pod) or always
    conditions = {
        "ready": always or (serving and not is_terminating(pod)),
        "serving": serving,
        "terminating": is_terminating(pod),
    }
    target = {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)}
    endpoint = {"addresses": [status_of(pod)["podIP"]], "conditions": conditions, "targetRef": target}
    if spec_of(pod).get("nodeName"):
        endpoint["nodeName"] = spec_of(pod)["nodeName"]
    return endpoint
