"""The same simulation on the embedded plane: real server-side apply, schema, ownership and controllers."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from fake_runtime import FakeRuntime, Script, loop_clock
from headgate_local.api.request import Request
from headgate_local.errors import ApiError
from headgate_local.kubelet.runtime import Exit
from headgate_local.plane import Plane
from headgate_operator.kube import Reply
from operator_world import definition
from simulation.bare_cluster import ACCEPTS_AFTER_TERM, DIFFERS

Obj = dict[str, Any]


class _Runtime(FakeRuntime):
    """Tells before a container dies by itself."""

    hurt: Callable[[], None] = staticmethod(lambda: None)

    def _end(self, container_id: str, end: Exit) -> None:
        container = self.containers.get(container_id)
        if container is not None and container.terminating is None:
            self.hurt()
        super()._end(container_id, end)


class PlaneCluster:
    """The same face as `BareCluster`."""

    def __init__(self, chance: random.Random) -> None:
        self.runtime = _Runtime()
        self.plane = Plane(now=loop_clock, runtime=self.runtime, choose=chance)
        self.erring: set[str] = set()
        self.endpoint_lag = 0.0  # the plane's controllers are never late

    async def __aenter__(self) -> PlaneCluster:
        await self.plane.__aenter__()
        self.plane.client.create(definition())
        self.plane.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ops"}})
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.plane.__aexit__(*error)

    @property
    def hurt(self) -> Callable[[], None]:
        return self.runtime.hurt

    @hurt.setter
    def hurt(self, told: Callable[[], None]) -> None:
        self.runtime.hurt = told  # type: ignore[method-assign]

    # --- for the operator -------------------------------------------------------------------------------------------

    def handle(self, method: str, path: str, query: Any, content_type: str, body: Obj | None) -> Reply:
        sent = json.dumps(body).encode() if body is not None else b""
        headers = {"content-type": content_type, "accept": "application/json", "user-agent": "headgate-operator"}
        answer = self.plane.api.handle(Request(method, unquote(path), query, headers, sent))
        return Reply(answer.status, answer.body, dict(answer.headers))

    def readyz(self, ip: str) -> tuple[int, Obj] | None:
        return self.runtime.readyz(ip)

    def counters(self, ip: str) -> Obj | None:
        return self.runtime.counters(ip)

    # --- for the oracle and for users -------------------------------------------------------------------------------

    def on_change(self, listener: Callable[[str, Obj | None, Obj | None], None]) -> None:
        self.plane.api.store.on_change(
            lambda change: listener(change.kind, change.old, None if change.type == "DELETED" else change.new)
        )

    def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        return self.plane.client.get(kind, namespace, name)

    def list(self, kind: str, namespace: str, labels: dict[str, str] | None = None) -> list[Obj]:
        return self.plane.client.list(kind, namespace, labels)

    def create(self, obj: Obj) -> None:
        self.plane.client.create(obj)

    def merge(self, kind: str, namespace: str, name: str, changes: Obj) -> None:
        with _gone_already():
            self.plane.client.patch_merge(kind, namespace, name, changes)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        with _gone_already():
            self.plane.client.delete(kind, namespace, name)

    def forget_status(self, namespace: str, name: str) -> None:
        obj = self.get("ModelDeployment", namespace, name)
        if obj is not None:
            self.plane.client.update_status({**obj, "status": {}})

    def script(self, version: str, script: Script) -> None:
        if script.digest == DIFFERS:  # containers of a script are all alike
            script = Script(ready_after=script.ready_after, fails="DigestMismatch")
        self.runtime.script(version, replace(script, drain=ACCEPTS_AFTER_TERM + 1))

    def answers(self, pod: str) -> bool:
        now = asyncio.get_running_loop().time()
        for container in self.runtime.of_pod(pod):
            if container.terminating is not None:
                return now - container.terminating < ACCEPTS_AFTER_TERM
            status, _ = self.runtime.readyz(container.launch.pod.ip) or (0, {})
            return status == 200
        return False

    def crash(self, pod: str, *, code: int = 1) -> None:
        self.runtime.crash(pod, code)

    def lose(self, pod: str) -> None:
        self.runtime.crash(pod, 137)
        self.remove("Pod", "default", pod)


@contextmanager
def _gone_already() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if error.status != 404:
            raise
