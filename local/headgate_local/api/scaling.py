"""The scale subresource: one small view on kinds that have replicas."""

from __future__ import annotations

from typing import Any

from headgate_local import errors
from headgate_local.kinds import Kind, ScalePaths
from headgate_local.store import Obj, clone

API_VERSION = "autoscaling/v1"


def view(kind: Kind, obj: Obj) -> Obj:
    paths = _paths(kind)
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = _at(obj, paths.spec_replicas)
    status: Obj = {"replicas": _at(obj, paths.status_replicas) or 0}
    selector = selector_text(_at(obj, paths.selector)) if paths.selector else ""
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": API_VERSION,
        "metadata": {name: meta[name] for name in kept if name in meta},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def changed(kind: Kind, obj: Obj, scale: Obj) -> Obj:
    """The object with the replicas of a sent Scale; only that, and the version it was read at, can be set."""
    wanted = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(wanted, int) or wanted < 0:
        wrong = errors.invalid("spec.replicas", wanted, "must be greater than or equal to 0")
        raise errors.invalid_object("Scale", "autoscaling", obj["metadata"]["name"], [wrong])
    result: Obj = clone(obj)
    node = result
    for name in _paths(kind).spec_replicas[:-1]:
        node = node.setdefault(name, {})
    node[_paths(kind).spec_replicas[-1]] = wanted
    version = (scale.get("metadata") or {}).get("resourceVersion")
    if version:
        result["metadata"]["resourceVersion"] = version
    return result


def applied(kind: Kind, meta: Obj, replicas: Any) -> Obj:
    """The object configuration that an applied Scale stands for."""
    node: Any = replicas
    for name in reversed(_paths(kind).spec_replicas):
        node = {name: node}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, **node}


def _paths(kind: Kind) -> ScalePaths:
    assert kind.scale is not None  # noqa: S101 - the router only comes here for kinds with a scale
    return kind.scale


def _at(obj: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def selector_text(selector: Any) -> str:
    if isinstance(selector, str):
        return selector
    if not isinstance(selector, dict):
        return ""
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or ():
        values = ",".join(sorted(one.get("values") or ()))
        terms.append({
            "In": f"{one['key']} in ({values})",
            "NotIn": f"{one['key']} notin ({values})",
            "Exists": one["key"],
        }.get(one["operator"], f"!{one['key']}"))  # fmt: skip
    return ",".join(terms)
