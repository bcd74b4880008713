"""Deployments, pods and EndpointSlices on the bare store: controllers that are late, servers that are a script."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fake_runtime import BUCKETS, Script
from headgate_operator.kube import Reply
from simulation.bare_store import BareStore, Change

Obj = dict[str, Any]
SERVICE_LABEL = "kubernetes.io/service-name"
VERSION_LABEL = "headgate.dev/model-version"
REVISION_LABEL = "headgate.dev/revision"
REQUESTS_A_SECOND = 300.0  # to the public Service, spread evenly
ERRING = 0.2  # of a version that errs
ACCEPTS_AFTER_TERM = 5.0  # the servers' drain delay
DIFFERS = "differs"  # as a script's digest: another one in every pod


@dataclass(slots=True)
class Server:
    """What runs in a pod."""

    name: str
    ip: str
    namespace: str
    labels: dict[str, str]
    script: Script
    started: float
    linger: float  # how long its clients stay when it gets no new ones
    running: bool = True
    terminating: float | None = None
    restarts: int = 0
    listed: bool = False  # in the public endpoints
    listed_until: float | None = None
    share: float = 0.0  # requests a second
    counted_at: float = 0.0
    served: float = 0.0  # by the present process


class BareCluster:
    """The same face as `PlaneCluster`: what the simulation needs of a cluster."""

    def __init__(self, chance: random.Random) -> None:
        self.store = BareStore()
        self.erring: set[str] = set()  # versions that answer some requests with 500
        self._scripts: dict[str, Script] = {}
        self.endpoint_lag = 0.3  # seconds at most
        self.hurt: Callable[[], None] = lambda: None  # told before a pod dies by itself
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._servers: dict[str, Server] = {}  # by pod
        self._by_ip: dict[str, Server] = {}
        self._numbers = itertools.count(1)
        self._due: set[tuple[str, str, str]] = set()
        self.store.on_change(self._changed)

    async def __aenter__(self) -> BareCluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    # --- for the operator -------------------------------------------------------------------------------------------

    def handle(self, method: str, path: str, query: Any, content_type: str, body: Obj | None) -> Reply:
        return self.store.handle(method, path, query, body)

    def readyz(self, ip: str) -> tuple[int, Obj] | None:
        server = self._by_ip.get(ip)
        if server is None or not server.running:
            return None
        if server.terminating is not None:
            return 503, _unready("Draining")
        script = server.script
        if script.never_ready or self._loop.time() - server.started < script.ready_after:
            return 503, _unready("Loading")
        if script.fails:
            return 503, _unready(script.fails, permanent=script.permanent)
        version = server.labels[VERSION_LABEL]
        salt = ip if script.digest == DIFFERS else script.digest or ""
        return 200, {
            "ready": True,
            "model": "iris-classifier",
            "version": version,
            "revision": server.labels[REVISION_LABEL],
            "digest": "sha256:" + hashlib.sha256(f"{version}/{salt}".encode()).hexdigest(),
            "golden": script.golden,
        }

    def counters(self, ip: str) -> Obj | None:
        server = self._by_ip.get(ip)
        if server is None or not server.running:
            return None
        busy = self.busy(server)
        self._count_requests(server)
        return {
            "start_id": f"{server.name}/{server.restarts}",
            "uptime_seconds": self._loop.time() - server.started,
            "model": "iris-classifier",
            "version": server.labels[VERSION_LABEL],
            "revision": server.labels[REVISION_LABEL],
            "ready": (self.readyz(ip) or (0, {}))[0] == 200,
            "draining": server.terminating is not None,
            "in_flight": int(busy),
            "open_connections": int(busy),
            "last_request_age_seconds": 0.0 if busy else None,
            "bucket_upper_bounds_seconds": BUCKETS,
            "requests": self._rows(server),
            "errors": [],
        }

    def _count_requests(self, server: Server) -> None:
        now = self._loop.time()
        server.served += server.share * (now - server.counted_at)
        server.counted_at = now

    def _rows(self, server: Server) -> list[list[Any]]:
        """All as fast as each other: one bucket."""
        errs = ERRING if server.labels[VERSION_LABEL] in self.erring else 0.0
        failed = int(server.served * errs)
        told = ((200, int(server.served) - failed), (500, failed))
        buckets = [0] * (len(BUCKETS) + 1)
        return [["predict", code, count, [*buckets[:30], count, *buckets[31:]]] for code, count in told]

    def busy(self, server: Server) -> bool:
        left = None if server.listed_until is None else self._loop.time() - server.listed_until
        return server.listed or (left is not None and left < server.linger)

    # --- for the oracle and for users -------------------------------------------------------------------------------

    def on_change(self, listener: Callable[[str, Obj | None, Obj | None], None]) -> None:
        self.store.on_change(lambda change: listener(change.kind, change.old, change.new))

    def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        return self.store.get(kind, namespace, name)

    def list(self, kind: str, namespace: str, labels: dict[str, str] | None = None) -> list[Obj]:
        return self.store.list(kind, namespace, labels)

    def create(self, obj: Obj) -> Obj:
        return self.store.put(obj)

    def merge(self, kind: str, namespace: str, name: str, changes: Obj) -> None:
        self.store.merge(kind, namespace, name, changes)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        if kind == "Pod":
            self._terminate(name)
        else:
            self.store.remove(kind, namespace, name)

    def forget_status(self, namespace: str, name: str) -> None:
        obj = self.store.get("ModelDeployment", namespace, name)
        if obj is not None:
            self.store.put({key: value for key, value in obj.items() if key != "status"})

    def script(self, version: str, script: Script) -> None:
        """From the next container on."""
        self._scripts[version] = script

    def answers(self, pod: str) -> bool:
        """A request that is sent to it now is answered."""
        server = self._servers.get(pod)
        if server is None or not server.running:
            return False
        if server.terminating is not None:
            return self._loop.time() - server.terminating < ACCEPTS_AFTER_TERM
        return (self.readyz(server.ip) or (0, {}))[0] == 200

    def lose(self, pod: str) -> None:
        """Its node is gone, at once."""
        self._gone(pod)

    def crash(self, pod: str, *, code: int = 1) -> None:
        server = self._servers.get(pod)
        if server is None or not server.running:
            return
        if server.listed:
            self.hurt()
        server.running = False
        server.restarts += 1
        pause = 0.5 if server.restarts == 1 else min(300.0, 10.0 * 2 ** (server.restarts - 2))
        self._show(server, code=code)
        self._loop.call_later(pause, self._restart, server)

    # --- pods -------------------------------------------------------------------------------------------------------

    def _restart(self, server: Server) -> None:
        if self._servers.get(server.name) is server:
            server.running = True
            server.script = self._script_for(server.labels)  # a new container behaves as containers do now
            self._started(server)

    def _started(self, server: Server) -> None:
        server.started = server.counted_at = self._loop.time()
        server.served = 0.0
        self._show(server)
        script = server.script
        self._loop.call_later(script.ready_after + self._chance.uniform(0.01, 1.0), self._show, server)
        if script.crash_after is not None and (script.crashes is None or server.restarts < script.crashes):
            attempt = server.restarts
            self._loop.call_later(script.crash_after, lambda: server.restarts == attempt and self.crash(server.name))

    def _script_for(self, labels: dict[str, str]) -> Script:
        return self._scripts.get(labels[VERSION_LABEL], Script())

    def _show(self, server: Server, *, code: int | None = None) -> None:
        """The kubelet writes the pod's status."""
        old = self.store.get("Pod", server.namespace, server.name)
        if old is None or self._servers.get(server.name) is not server:
            return
        ready = self.answers(server.name) and server.terminating is None
        state: Obj = {"running": {}} if server.running else {"waiting": {"reason": "CrashLoopBackOff"}}
        one: Obj = {"name": "server", "restartCount": server.restarts, "state": state, "image": "server:1"}
        if server.restarts:
            reason = "OOMKilled" if code == 137 else "Error"
            one["lastState"] = {"terminated": {"exitCode": code or 1, "reason": reason}}
        status = {
            "phase": "Running",
            "podIP": server.ip,
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True" if ready else "False"},
            ],
            "containerStatuses": [one],
        }
        if status != old.get("status"):
            self.store.put({**old, "status": status})

    def _create_pod(self, deployment: Obj) -> None:
        number, meta = next(self._numbers), deployment["metadata"]
        name, labels = f"{meta['name']}-{number}", deployment["spec"]["template"]["metadata"]["labels"]
        ip = f"10.0.{number // 250}.{number % 250 + 1}"
        owner = {"kind": "ReplicaSet", "name": meta["name"], "uid": meta["uid"], "controller": True}
        server = Server(
            name, ip, meta["namespace"], dict(labels), self._script_for(labels), 0.0, self._chance.uniform(0, 8)
        )
        self._servers[name] = self._by_ip[ip] = server
        metadata = {"name": name, "namespace": meta["namespace"], "labels": dict(labels), "ownerReferences": [owner]}
        self.store.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": {}})
        self._started(server)

    def _terminate(self, name: str) -> None:
        server = self._servers.get(name)
        if server is None or server.terminating is not None:
            return
        server.terminating = self._loop.time()
        old = self.store.get("Pod", server.namespace, name)
        if old is not None:
            self.store.put({**old, "metadata": {**old["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})
        self._show(server)
        self._loop.call_later(ACCEPTS_AFTER_TERM + self._chance.uniform(0, 3), self._gone, name)

    def _gone(self, name: str) -> None:
        server = self._servers.pop(name, None)
        if server is not None:
            self._by_ip.pop(server.ip, None)
            self.store.remove("Pod", server.namespace, name)

    def server(self, pod: str) -> Server | None:
        return self._servers.get(pod)

    # --- controllers ------------------------------------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        obj = change.new or change.old
        assert obj is not None
        namespace, labels = obj["metadata"]["namespace"], obj["metadata"].get("labels", {})
        if change.kind == "Deployment":
            self._soon("deployment", namespace, change.name, 0.2)
        elif change.kind == "Pod":
            owner = obj["metadata"]["ownerReferences"][0]["name"]
            self._soon("deployment", namespace, owner, 0.2)
            for service in self.store.list("Service", namespace):
                if service["spec"]["selector"].items() <= labels.items():
                    self._soon("slice", namespace, service["metadata"]["name"], self.endpoint_lag)
        elif change.kind == "Service":
            self._soon("slice", namespace, change.name, self.endpoint_lag)

    def _soon(self, what: str, namespace: str, name: str, at_most: float) -> None:
        place = (what, namespace, name)
        if place not in self._due:
            self._due.add(place)
            self._loop.call_later(self._chance.uniform(0.005, at_most), self._sync, place)

    def _sync(self, place: tuple[str, str, str]) -> None:
        self._due.discard(place)
        what, namespace, name = place
        if what == "deployment":
            self._sync_deployment(namespace, name)
        else:
            self._sync_slice(namespace, name)

    def _sync_deployment(self, namespace: str, name: str) -> None:
        deployment = self.store.get("Deployment", namespace, name)
        pods = [
            pod
            for pod in self.store.list("Pod", namespace)
            if pod["metadata"]["ownerReferences"][0]["name"] == name and "deletionTimestamp" not in pod["metadata"]
        ]
        wanted = deployment["spec"]["replicas"] if deployment is not None else 0
        # Those that are not ready go first, and of them the youngest.
        pods.sort(key=lambda pod: (is_ready(pod), -int(pod["metadata"]["name"].rsplit("-", 1)[1])))
        surplus = pods[: max(0, len(pods) - wanted)]
        for pod in surplus:
            self._terminate(pod["metadata"]["name"])
        if deployment is None:
            return
        for _ in range(wanted - len(pods)):
            self._create_pod(deployment)
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": min(len(pods), wanted),
            "readyReplicas": sum(map(is_ready, pods)),
        }
        if status != deployment.get("status"):
            self.store.put({**deployment, "status": status})

    def _sync_slice(self, namespace: str, name: str) -> None:
        service, slice_name = self.store.get("Service", namespace, name), f"{name}-slice"
        if service is None:
            self.store.remove("EndpointSlice", namespace, slice_name)
            return
        endpoints = []
        for pod in self.store.list("Pod", namespace, service["spec"]["selector"]):
            if "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("podIP"):
                target = {"kind": "Pod", "name": pod["metadata"]["name"]}
                endpoints.append({"targetRef": target, "conditions": {"ready": is_ready(pod)}})
        old = self.store.get("EndpointSlice", namespace, slice_name)
        if not name.endswith("-candidate"):
            self._count_clients(endpoints)
        if old is not None and old["endpoints"] == endpoints:
            return
        labels = {**service["metadata"].get("labels", {}), SERVICE_LABEL: name}
        metadata = {"name": slice_name, "namespace": namespace, "labels": labels}
        kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
        self.store.put({**kind, "metadata": metadata, "endpoints": endpoints})

    def _count_clients(self, endpoints: list[Obj]) -> None:
        listed = {one["targetRef"]["name"] for one in endpoints if one["conditions"]["ready"]}
        for server in self._servers.values():
            self._count_requests(server)
            if server.listed and server.name not in listed:
                server.listed_until = self._loop.time()
            server.listed = server.name in listed
            server.share = REQUESTS_A_SECOND / len(listed) if server.listed else 0.0


def is_ready(pod: Obj) -> bool:
    conditions = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def _unready(reason: str, *, permanent: bool = False) -> Obj:
    return {"ready": False, "reason": reason, "permanent": permanent, "message": reason}
