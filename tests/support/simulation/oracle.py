"""What may never happen, looked at after every change of the cluster and at every write that is begun.

The world is judged by what its servers are, not by what the status says of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from headgate_operator.kube import Reply
from simulation.bare_cluster import is_ready
from simulation.wire import Sent

Obj = dict[str, Any]
NAMESPACE, NAME = "default", "iris"
LEASE_PATH = "/leases"
RENEW_DEADLINE = 10.0
MOST_PASSES_A_MINUTE = 400
AFTERMATH = 10.0  # seconds after an accident in which what looks whole may still fall apart
SLICE_OF = {"kubernetes.io/service-name": NAME}


class Cluster(Protocol):
    def get(self, kind: str, namespace: str, name: str) -> Obj | None: ...
    def list(self, kind: str, namespace: str, labels: dict[str, str] | None = None) -> list[Obj]: ...
    def answers(self, pod: str) -> bool: ...


class Oracle:
    def __init__(
        self, cluster: Cluster, *, is_good: Callable[[str], bool], now: Callable[[], float], note: Callable[[str], None]
    ) -> None:
        self._cluster, self._is_good, self._now, self._note = cluster, is_good, now, note
        self.violations: list[str] = []
        self.established = False  # everything that is promised is there; until then, or after an accident, it is not
        self.calm = False
        self.writes = 0
        self.retried = False
        self.edited = False  # somebody wrote the public Service, and nobody has put it right yet
        self._lease: tuple[str, float] | None = None  # who holds it, and when the last renewal was sent
        self._passes: deque[float] = deque()
        self._destroyed: dict[str, str] = {}  # by process: what its present pass has destroyed
        self._promise = self._replicas = 0
        self._least = 0  # of the promise, while the traffic goes back to a stable version that a rollout had shrunk
        self._returning = False
        self._hurt_until = 0.0
        self._rejected: set[str] = set()
        self._stable = ""
        self._shared = "nobody's"  # the revision that a wide selector stands for

    def broken(self, rule: str) -> None:
        self._note(f"BROKEN: {rule}")
        self.violations.append(f"{self._now():.2f} s: {rule}")

    def accident(self) -> None:
        """Something that serves was hurt from outside: nothing is promised until all is there again, and stays."""
        self.established = False
        self._hurt_until = self._now() + AFTERMATH

    # --- writes -------------------------------------------------------------------------------------------------------

    def began(self, sent: Sent) -> None:
        if LEASE_PATH in sent.path:
            return
        holder = self._lease
        if holder is None or holder[0] != sent.process:
            self.broken(f"{sent.process} begins a write while {holder[0] if holder else 'nobody'} leads")
        elif sent.at - holder[1] >= RENEW_DEADLINE:
            self.broken(f"{sent.process} begins a write {sent.at - holder[1]:.1f} s after its last renewal")
        if "/events" in sent.path:
            return
        if sent.process in self._destroyed:
            self.broken(f"{sent.method} {sent.path} after {self._destroyed[sent.process]} in the same pass")
        if self._destroys(sent):
            self._destroyed[sent.process] = f"{sent.method} {sent.path}"

    def done(self, sent: Sent, reply: Reply) -> None:
        if LEASE_PATH not in sent.path:
            self.writes += 1
            return
        if reply.status < 300 and isinstance(reply.body, dict):
            spec = reply.body["spec"]
            self._lease = (spec["holderIdentity"], sent.at) if spec["holderIdentity"] else None

    def _destroys(self, sent: Sent) -> bool:
        if sent.method == "DELETE":
            return True
        if sent.method != "PATCH" or "/deployments/" not in sent.path or sent.body is None:
            return False
        live = self._cluster.get("Deployment", NAMESPACE, sent.body["metadata"]["name"])
        return bool(sent.body["spec"]["replicas"] == 0 and live is not None and live["spec"]["replicas"] > 0)

    # --- passes -------------------------------------------------------------------------------------------------------

    def began_pass(self, process: str) -> None:
        self._destroyed.pop(process, None)
        now = self._now()
        self._passes.append(now)
        while now - self._passes[0] > 60:
            self._passes.popleft()
        if len(self._passes) > MOST_PASSES_A_MINUTE:
            self.broken(f"{len(self._passes)} passes within a minute")
            self._passes.clear()

    # --- changes ------------------------------------------------------------------------------------------------------

    def changed(self, kind: str, old: Obj | None, new: Obj | None) -> None:
        obj = new or old
        if obj is None or obj["metadata"].get("namespace") != NAMESPACE:
            return
        if kind == "ModelDeployment" and new is not None:
            self._of_status((old or {}).get("status", {}), new.get("status", {}))
            self._of_promise(new["spec"])
        if kind == "Service" and obj["metadata"]["name"] == NAME:
            self._of_selector(new)
        if kind in {"Service", "EndpointSlice", "Pod", "ModelDeployment"}:
            self._of_capacity(kind)

    def _of_status(self, old: Obj, new: Obj) -> None:
        stable, candidate = new.get("stable"), new.get("candidate")
        for role in (stable, candidate if candidate and "verifiedAt" in candidate else None):
            if role and not self._is_good(role["version"]):
                self.broken(f"version {role['version']} counts as verified, and it is no good one")
        rejected = {entry["revision"] for entry in new.get("rejected", [])}
        begun = candidate["revision"] if candidate else None
        if begun and begun != old.get("candidate", {}).get("revision") and begun in rejected:
            self.broken(f"version {candidate['version']} is rejected, and it is tried again")
        if not rejected >= self._rejected and not self.retried and new:
            self.broken(f"the quarantine forgets {self._rejected - rejected}")
        if rejected != self._rejected:
            self.retried = False
        self._rejected = rejected
        self._stable = stable["revision"] if stable else ""
        rollout = new.get("rollout", {})
        self._shared = self._stable if rollout.get("phase") == "Canary" else "nobody's"
        if rollout.get("outcome") in {"RolledBack", "Reverted"}:
            self._returning = True

    def status_lost(self) -> None:
        self._rejected = set()
        self.accident()

    def _of_promise(self, spec: Obj) -> None:
        """Economical goes back to a stable version of half the size, Rolling to what is left of it: it grows then. At
        all other times both keep to the whole number."""
        replicas = spec.get("replicas", 1)
        if replicas > self._replicas:
            self.established = False
        self._replicas = replicas
        rollout = spec.get("rollout", {})
        self._promise = replicas
        self._least = (replicas + 1) // 2 if rollout.get("capacity") == "Economical" else replicas
        if rollout.get("strategy") == "Rolling":
            self._least = min(replicas, 1)

    def _of_selector(self, service: Obj | None) -> None:
        if service is None or self.edited:
            return
        revision = service["spec"]["selector"].get("headgate.dev/revision")
        version = self._version(revision)
        if revision not in {None, "none"} and version and not self._is_good(version):
            self.broken(f"the public Service selects version {version}, which is no good one")
        if revision is None:
            revisions = {pod["metadata"]["labels"]["headgate.dev/revision"] for pod in self._pods()}
            if len(revisions) != 2:
                self.broken(f"the selector is wide while {len(revisions)} revisions have pods")

    def _version(self, revision: str | None) -> str:
        found = self._cluster.list("Deployment", NAMESPACE, {"headgate.dev/revision": str(revision)})
        return found[0]["metadata"]["labels"]["headgate.dev/model-version"] if found else ""

    def _pods(self) -> list[Obj]:
        pods = self._cluster.list("Pod", NAMESPACE, {"headgate.dev/deployment": NAME})
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def _of_capacity(self, what: str) -> None:
        service = self._cluster.get("Service", NAMESPACE, NAME)
        if service is None or self._promise == 0:
            return
        selector = service["spec"]["selector"].items()
        ready = sum(is_ready(pod) for pod in self._pods() if selector <= pod["metadata"]["labels"].items())
        listed = self.listed()
        answering = sum(map(self._cluster.answers, listed))
        right = service["spec"]["selector"].get("headgate.dev/revision", self._shared) == self._stable
        whole = ready >= self._promise and answering == len(listed) >= self._promise
        if whole and right and self._now() >= self._hurt_until:
            self.established, self._returning = True, False
        if not self.established:
            return
        promised = self._least if self._returning else self._promise
        if answering < len(listed):
            dead = [name for name in listed if not self._cluster.answers(name)]
            self._lost(f"{what}: requests go to {', '.join(dead)}, and nobody answers there")
        elif answering < promised:
            self._lost(f"{what}: {answering} endpoints answer, {promised} are promised")
        elif ready < promised:
            self._lost(f"{what}: the Service selects {ready} ready pods, {promised} are promised")

    def _lost(self, rule: str) -> None:
        self.broken(rule)
        self.established = False  # told once

    def listed(self) -> list[str]:
        """Pods that traffic is sent to."""
        return [
            endpoint["targetRef"]["name"]
            for one in self._cluster.list("EndpointSlice", NAMESPACE, SLICE_OF)
            for endpoint in one.get("endpoints") or []
            if endpoint["conditions"].get("ready")
        ]
