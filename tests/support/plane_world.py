"""A plane in virtual time and the objects its tests put into it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fake_runtime import FakeRuntime, Script, loop_clock
from headgate_local.plane import Plane

Obj = dict[str, Any]
NAMESPACE = "default"


def scripted_plane(script: Script | None = None, **options: Any) -> tuple[Plane, FakeRuntime]:
    runtime = FakeRuntime(script)
    return Plane(now=loop_clock, runtime=runtime, **options), runtime


async def eventually(condition: Callable[[], Any], within: float = 60.0, every: float = 0.05) -> Any:
    """Wait until the condition holds, on the event loop's clock; its value."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        value = condition()
        if value:
            return value
        if loop.time() > deadline:
            raise AssertionError(f"not within {within:g} s: {condition}")
        await asyncio.sleep(every)


def container(**fields: Any) -> Obj:
    probe = {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1}
    return {"name": "server", "image": "web:1", "readinessProbe": probe} | fields


def pod(name: str = "web", *, spec: Obj | None = None, labels: dict[str, str] | None = None, **fields: Any) -> Obj:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels or {"app": "web"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container(**fields)], **(spec or {})},
    }


def deployment(replicas: int = 3, *, image: str = "web:1", name: str = "web", **spec: Any) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container(image=image)]}},
            **spec,
        },
    }


def service(name: str = "web", **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    metadata = {"name": name, "namespace": NAMESPACE}
    spec = {"selector": {"app": "web"}, "ports": ports} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


class World:
    """Short questions to a plane."""

    def __init__(self, plane: Plane, runtime: FakeRuntime) -> None:
        self.plane, self.runtime, self.client = plane, runtime, plane.client

    def deployment(self, name: str = "web") -> Obj:
        found = self.client.get("Deployment", NAMESPACE, name)
        assert found is not None
        return found

    def status(self, name: str = "web") -> Obj:
        return self.deployment(name).get("status", {})

    def condition(self, kind: str, name: str = "web") -> Obj:
        return next((c for c in self.status(name).get("conditions", []) if c["type"] == kind), {})

    def set_image(self, image: str, name: str = "web") -> None:
        self.patch({"spec": {"template": {"spec": {"containers": [container(image=image)]}}}}, name)

    def patch(self, changes: Obj, name: str = "web") -> None:
        self.client.patch_merge("Deployment", NAMESPACE, name, changes)

    def pods(self) -> list[Obj]:
        return self.client.list("Pod", NAMESPACE)

    def pod(self, name: str = "web") -> Obj:
        found = self.client.get("Pod", NAMESPACE, name)
        assert found is not None
        return found

    def container_status(self, name: str = "web") -> Obj:
        statuses = self.pod(name).get("status", {}).get("containerStatuses", [])
        return statuses[0] if statuses else {}

    def ready(self, image: str | None = None) -> int:
        return sum(_is_ready(p) and (image is None or _image(p) == image) for p in self.pods())

    def active(self) -> int:
        return sum("deletionTimestamp" not in p["metadata"] for p in self.pods())

    def is_rolled_out(self, name: str = "web") -> bool:
        """What `kubectl rollout status` waits for."""
        found, status = self.deployment(name), self.status(name)
        wanted = found["spec"]["replicas"]
        counts = [status.get(field, 0) for field in ("updatedReplicas", "replicas", "availableReplicas")]
        return status.get("observedGeneration", 0) >= found["metadata"]["generation"] and counts == [wanted] * 3

    def endpoints(self, name: str = "web") -> list[Obj]:
        slices = self.client.list("EndpointSlice", NAMESPACE, labels={"kubernetes.io/service-name": name})
        return [endpoint for slice_ in slices for endpoint in slice_.get("endpoints") or []]

    def replica_sets(self) -> list[Obj]:
        return self.client.list("ReplicaSet", NAMESPACE)


def _is_ready(obj: Obj) -> bool:
    if "deletionTimestamp" in obj["metadata"]:
        return False
    conditions = obj.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _image(obj: Obj) -> str:
    return str(obj["spec"]["containers"][0]["image"])
