"""An API server on a clock that a test moves, and the smallest objects to try it with."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from headgate_local.api.request import Request, Response
from headgate_local.api.server import ApiServer
from headgate_local.client import LocalClient

Obj = dict[str, Any]
START = datetime(2026, 1, 1, tzinfo=UTC)


class ApiWorld:
    """The server, a client, and the hands that move its clock."""

    def __init__(self) -> None:
        self.now = START
        numbers = itertools.count(1)
        self.api = ApiServer(now=lambda: self.now, uid=lambda: f"uid-{next(numbers)}")
        self.client = LocalClient(self.api, manager="tester")

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "",
        **query: str,
    ) -> Response:
        headers = {"content-type": content_type, "user-agent": "tester/1.0", "accept": accept}
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.api.handle(Request(method, path, query, headers, data))


def config_map(name: str = "settings", *, labels: Mapping[str, str] | None = None, **data: str) -> Obj:
    meta: Obj = {"name": name, "namespace": "default"}
    if labels:
        meta["labels"] = dict(labels)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def deployment(name: str = "web", **container: Any) -> Obj:
    labels = {"app": name}
    containers = [{"name": "main", "image": "registry.local/web:1", **container}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


def crd(schema: Obj, *, plural: str = "widgets", kind: str = "Widget", **version: Any) -> Obj:
    """The definition of a namespaced kind in tests.dev/v1 whose spec has the given schema."""
    root = {"type": "object", "properties": {"spec": schema, "status": STATUS}, **version.pop("root", {})}
    one = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": root}, **version}
    names = {"plural": plural, "kind": kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.tests.dev"},
        "spec": {"group": "tests.dev", "scope": "Namespaced", "names": names, "versions": [one]},
    }


STATUS: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def widget(name: str = "one", **spec: Any) -> Obj:
    return {
        "apiVersion": "tests.dev/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }
