"""The columns of the built-in kinds, as the real server prints them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headgate_local.api.clock import human_age
from headgate_local.api.scaling import selector_text
from headgate_local.store import Obj

NONE = "<none>"
Cell = Callable[[Obj, datetime], Any]


@dataclass(frozen=True)
class Printed:
    name: str
    cell: Cell
    type: str = "string"
    priority: int = 0


def _at(*path: str, default: Any = NONE) -> Cell:
    def cell(obj: Obj, now: datetime) -> Any:
        del now
        value: Any = obj
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return default if value in (None, "") else value

    return cell


def _text(*path: str, default: str) -> Cell:
    """A number or a percentage, shown as a string either way."""
    cell = _at(*path, default=default)
    return lambda obj, now: str(cell(obj, now))


def _age(obj: Obj, now: datetime) -> str:
    return human_age(obj["metadata"].get("creationTimestamp"), now)


NAME, AGE = Printed("Name", _at("metadata", "name")), Printed("Age", _age)


def _wide(name: str, cell: Cell) -> Printed:
    return Printed(name, cell, priority=1)


def _statuses(obj: Obj) -> list[Obj]:
    return list(obj.get("status", {}).get("containerStatuses") or ())


def _pod_ready(obj: Obj, now: datetime) -> str:
    del now
    ready = sum(bool(one.get("ready")) for one in _statuses(obj))
    return f"{ready}/{len(obj['spec'].get('containers') or ())}"


def _pod_status(obj: Obj, now: datetime) -> str:
    del now
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    status = obj.get("status", {})
    for one in _statuses(obj):
        state = one.get("state") or {}
        why = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        if why:
            return str(why)
    return str(status.get("reason") or status.get("phase", "Unknown"))


def _restarts(obj: Obj, now: datetime) -> str:
    count = sum(one.get("restartCount", 0) for one in _statuses(obj))
    ended = [(one.get("lastState") or {}).get("terminated", {}).get("finishedAt") for one in _statuses(obj)]
    last = max(filter(None, ended), default=None)
    return f"{count} ({human_age(last, now)} ago)" if count and last else str(count)


def _gates(obj: Obj, now: datetime) -> str:
    del now
    gates = obj["spec"].get("readinessGates") or ()
    held = {one["type"] for one in obj.get("status", {}).get("conditions") or () if one.get("status") == "True"}
    return f"{sum(one['conditionType'] in held for one in gates)}/{len(gates)}" if gates else NONE


def _containers(field: str, *above: str) -> Cell:
    def cell(obj: Obj, now: datetime) -> str:
        del now
        spec: Any = obj
        for name in above:
            spec = spec.get(name) or {}
        return ",".join(one.get(field, "") for one in spec.get("containers") or ())

    return cell


TEMPLATE = ("spec", "template", "spec")


def _selector(obj: Obj, now: datetime) -> str:
    del now
    return selector_text(obj["spec"].get("selector")) or NONE


def _count(*path: str) -> Cell:
    return _at(*path, default=0)


def _ready_of_wanted(obj: Obj, now: datetime) -> str:
    return f"{_count('status', 'readyReplicas')(obj, now)}/{_count('spec', 'replicas')(obj, now)}"


def _ports(obj: Obj, now: datetime) -> str:
    del now
    shown = []
    for port in obj["spec"].get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def _plain_selector(obj: Obj, now: datetime) -> str:
    del now
    terms = (obj["spec"].get("selector") or {}).items()
    return ",".join(f"{key}={value}" for key, value in sorted(terms)) or NONE


def _external(obj: Obj, now: datetime) -> str:
    del now
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", NONE))
    if spec.get("type") == "LoadBalancer":
        found = (obj.get("status", {}).get("loadBalancer") or {}).get("ingress") or ()
        return ",".join(one.get("ip") or one.get("hostname", "") for one in found) or "<pending>"
    return ",".join(spec.get("externalIPs") or ()) or NONE


def _sizes(*fields: str) -> Cell:
    return lambda obj, _now: sum(len(obj.get(name) or ()) for name in fields)


def _last_seen(obj: Obj, now: datetime) -> str:
    seen = (obj.get("series") or {}).get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("eventTime")
    return human_age(seen or obj["metadata"].get("creationTimestamp"), now)


def _first_seen(obj: Obj, now: datetime) -> str:
    return human_age(obj.get("firstTimestamp") or obj.get("eventTime") or obj["metadata"].get("creationTimestamp"), now)


def _event_object(obj: Obj, now: datetime) -> str:
    del now
    about = obj.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _event_source(obj: Obj, now: datetime) -> str:
    del now
    source = obj.get("source") or {}
    parts = [source.get("component") or obj.get("reportingComponent", ""), source.get("host") or ""]
    return ", ".join(filter(None, parts))


def _endpoints(obj: Obj, now: datetime) -> str:
    del now
    found = [address for one in obj.get("endpoints") or () for address in one.get("addresses") or ()]
    if not found:
        return "<unset>"
    return ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")


def _slice_ports(obj: Obj, now: datetime) -> str:
    del now
    found = [str(one.get("port", "*")) for one in obj.get("ports") or ()]
    return ",".join(found) or "<unset>"


def _controller(obj: Obj, now: datetime) -> str:
    del now
    owner = next((one for one in obj["metadata"].get("ownerReferences") or () if one.get("controller")), None)
    if owner is None:
        return NONE
    group = owner["apiVersion"].partition("/")[0] if "/" in owner["apiVersion"] else ""
    return f"{owner['kind'].lower()}{f'.{group}' if group else ''}/{owner['name']}"


def _node_status(obj: Obj, now: datetime) -> str:
    del now
    ready = next((c for c in obj.get("status", {}).get("conditions") or () if c["type"] == "Ready"), None)
    known = "Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"
    return f"{known},SchedulingDisabled" if obj["spec"].get("unschedulable") else known


BUILTIN: dict[str, tuple[Printed, ...]] = {
    "namespaces": (NAME, Printed("Status", _at("status", "phase")), AGE),
    "nodes": (
        NAME,
        Printed("Status", _node_status),
        Printed("Roles", lambda _obj, _now: NONE),
        AGE,
        Printed("Version", _at("status", "nodeInfo", "kubeletVersion", default="")),
    ),
    "pods": (
        NAME,
        Printed("Ready", _pod_ready),
        Printed("Status", _pod_status),
        Printed("Restarts", _restarts),
        AGE,
        _wide("IP", _at("status", "podIP")),
        _wide("Node", _at("spec", "nodeName")),
        _wide("Nominated Node", _at("status", "nominatedNodeName")),
        _wide("Readiness Gates", _gates),
    ),
    "services": (
        NAME,
        Printed("Type", _at("spec", "type")),
        Printed("Cluster-IP", _at("spec", "clusterIP")),
        Printed("External-IP", _external),
        Printed("Port(s)", _ports),
        AGE,
        _wide("Selector", _plain_selector),
    ),
    "configmaps": (NAME, Printed("Data", _sizes("data", "binaryData"), "integer"), AGE),
    "secrets": (NAME, Printed("Type", _at("type")), Printed("Data", _sizes("data"), "integer"), AGE),
    "serviceaccounts": (NAME, AGE),
    "events": (
        Printed("Last Seen", _last_seen),
        Printed("Type", _at("type")),
        Printed("Reason", _at("reason")),
        Printed("Object", _event_object),
        _wide("Subobject", _at("involvedObject", "fieldPath", default="")),
        _wide("Source", _event_source),
        Printed("Message", _at("message", default="")),
        _wide("First Seen", _first_seen),
        _wide("Count", _at("count", default=1)),
        _wide("Name", _at("metadata", "name")),
    ),
    "deployments.apps": (
        NAME,
        Printed("Ready", _ready_of_wanted),
        Printed("Up-to-date", _count("status", "updatedReplicas"), "integer"),
        Printed("Available", _count("status", "availableReplicas"), "integer"),
        AGE,
        _wide("Containers", _containers("name", *TEMPLATE)),
        _wide("Images", _containers("image", *TEMPLATE)),
        _wide("Selector", _selector),
    ),
    "replicasets.apps": (
        NAME,
        Printed("Desired", _count("spec", "replicas"), "integer"),
        Printed("Current", _count("status", "replicas"), "integer"),
        Printed("Ready", _count("status", "readyReplicas"), "integer"),
        AGE,
        _wide("Containers", _containers("name", *TEMPLATE)),
        _wide("Images", _containers("image", *TEMPLATE)),
        _wide("Selector", _selector),
    ),
    "controllerrevisions.apps": (
        NAME,
        Printed("Controller", _controller),
        Printed("Revision", _count("revision"), "integer"),
        AGE,
    ),
    "endpointslices.discovery.k8s.io": (
        NAME,
        Printed("AddressType", _at("addressType")),
        Printed("Ports", _slice_ports),
        Printed("Endpoints", _endpoints),
        AGE,
    ),
    "leases.coordination.k8s.io": (NAME, Printed("Holder", _at("spec", "holderIdentity", default="")), AGE),
    "poddisruptionbudgets.policy": (
        NAME,
        Printed("Min Available", _text("spec", "minAvailable", default="N/A")),
        Printed("Max Unavailable", _text("spec", "maxUnavailable", default="N/A")),
        Printed("Allowed Disruptions", _count("status", "disruptionsAllowed"), "integer"),
        AGE,
    ),
    "customresourcedefinitions.apiextensions.k8s.io": (
        NAME,
        Printed("Created At", _at("metadata", "creationTimestamp")),
    ),
}
