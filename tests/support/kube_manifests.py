"""Objects for the checks against a Kubernetes API: unique names, the smallest valid manifest of each kind, and a CRD
that uses every schema feature which Headgate's own CRD relies on."""

from __future__ import annotations

import itertools
import secrets
from typing import Any

Obj = dict[str, Any]

# Unique by run, so that two runs against one cluster do not meet.
RUN = secrets.token_hex(3)
GROUP = f"r{RUN}.conformance.headgate.dev"
GADGETS = f"/apis/{GROUP}/v1"
PREFIXES = {
    "configmaps": "/api/v1",
    "secrets": "/api/v1",
    "services": "/api/v1",
    "pods": "/api/v1",
    "events": "/api/v1",
    "serviceaccounts": "/api/v1",
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "controllerrevisions": "/apis/apps/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "gadgets": GADGETS,
}
_numbers = itertools.count(1)


def fresh(stem: str) -> str:
    return f"{stem}-{next(_numbers)}"


class Namespace:
    """Paths inside one namespace: `ns("pods")`, `ns("pods", "web-0")`, `ns("pods", "web-0", "status")`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, resource: str, *parts: str) -> str:
        return "/".join([f"{PREFIXES[resource]}/namespaces/{self.name}/{resource}", *parts])


def configmap(name: str = "", *, labels: dict[str, str] | None = None, **data: str) -> Obj:
    metadata: Obj = {"name": name or fresh("cm"), **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **({"data": data} if data else {})}


def pod(name: str, container: Obj, **labels: str) -> Obj:
    spec = {"terminationGracePeriodSeconds": 5, "containers": [{"name": "main", **container}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


# No node has this label, so on a cluster with a kubelet the pods stay Pending and nothing is pulled.
NOWHERE = {"conformance.headgate.dev/nowhere": "true"}


def deployment(name: str, *, replicas: int = 1, image: str = "conformance.invalid/none:1", **spec: Any) -> Obj:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"nodeSelector": NOWHERE, "containers": [{"name": "main", "image": image}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


def service(name: str, selector: dict[str, str], **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 9080, "targetPort": 8080}]
    body = {"selector": selector, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


def budget(name: str, selector: Obj | None = None, **spec: Any) -> Obj:
    body = {**({"selector": selector} if selector is not None else {}), **spec}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": body}


def eviction(pod_name: str, **delete_options: Any) -> Obj:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod_name}}
    return {**body, **({"deleteOptions": delete_options} if delete_options else {})}


def lease(name: str, **spec: Any) -> Obj:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}


def gadget(name: str = "", *, metadata: Obj | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gadget",
        "metadata": {"name": name or fresh("gadget"), **(metadata or {})},
        "spec": spec,
    }


def owner(obj: Obj, **more: Any) -> Obj:
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        **more,
    }


def _text(limit: int = 64, **more: Any) -> Obj:
    return {"type": "string", "maxLength": limit, **more}


def _object(**properties: Obj) -> Obj:
    return {"type": "object", "properties": properties}


def _rule(rule: str, **more: str) -> Obj:
    return {"rule": rule, **more}


def gadget_crd() -> Obj:
    spec = {
        **_object(
            size={"type": "string", "enum": ["Small", "Large"], "default": "Small"},
            replicas={"type": "integer", "format": "int32", "minimum": 0, "maximum": 10, "default": 1},
            limit={"type": "integer", "format": "int32", "minimum": 0, "maximum": 10},
            ratio={"type": "number"},
            enabled={"type": "boolean"},
            code=_text(5, minLength=2, pattern="^[a-z]+$"),
            comment=_text(nullable=True),
            nested=_object(level={"type": "integer", "default": 3}, note=_text()),
            port={"x-kubernetes-int-or-string": True},
            free={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            words={"type": "array", "maxItems": 5, "x-kubernetes-list-type": "set", "items": _text()},
            parts={
                "type": "array",
                "maxItems": 5,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {**_object(name=_text(), count={"type": "integer"}, note=_text()), "required": ["name"]},
            },
            steps={
                "type": "array",
                "maxItems": 5,
                "x-kubernetes-list-type": "atomic",
                "items": _object(weight={"type": "integer"}),
                "x-kubernetes-validations": [
                    _rule("self.all(a, !has(a.weight) || a.weight <= 100)", message="a weight is at most 100")
                ],
            },
            # An expression that makes a text of a number (`string(size(self))`) is refused for its estimated cost.
            word=_text(
                **{
                    "x-kubernetes-validations": [
                        _rule("self != 'never'", messageExpression="'the word ' + self + ' is refused'")
                    ]
                }
            ),
            labels={"type": "object", "maxProperties": 5, "additionalProperties": _text()},
            selector={
                "type": "object",
                "maxProperties": 5,
                "additionalProperties": _text(),
                "x-kubernetes-map-type": "atomic",
            },
            wait=_text(
                pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$",
                **{"x-kubernetes-validations": [_rule("duration(self) <= duration('1h')", message="at most 1h")]},
            ),
            fixed=_text(**{"x-kubernetes-validations": [_rule("self == oldSelf", message="fixed cannot be changed")]}),
            source={
                **_object(version=_text(), alias=_text()),
                "x-kubernetes-validations": [
                    _rule(
                        "has(self.version) != has(self.alias)",
                        message="give exactly one of version and alias",
                        reason="FieldValueInvalid",
                    )
                ],
            },
            at={"type": "string", "format": "date-time"},
        ),
        "required": ["code"],
    }
    condition = {
        **_object(type=_text(), status=_text(), reason=_text(), message=_text(256)),
        "required": ["type", "status"],
    }
    status = _object(
        observedGeneration={"type": "integer", "format": "int64"},
        replicas={"type": "integer"},
        selector=_text(),
        note=_text(),
        conditions={
            "type": "array",
            "maxItems": 5,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": condition,
        },
    )
    schema = {
        **_object(spec=spec, status=status),
        "required": ["spec"],
        "x-kubernetes-validations": [
            _rule("size(self.metadata.name) <= 30", message="the name may have at most 30 characters"),
        ],
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": "Code", "type": "string", "jsonPath": ".spec.code"},
            {"name": "Wanted", "type": "integer", "jsonPath": ".spec.replicas"},
            {"name": "Reason", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].reason'},
            {"name": "Note", "type": "string", "jsonPath": ".status.note", "priority": 1, "description": "a remark"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }
    names = {
        "plural": "gadgets",
        "singular": "gadget",
        "kind": "Gadget",
        "listKind": "GadgetList",
        "shortNames": ["gd"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"gadgets.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }
