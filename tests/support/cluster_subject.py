"""One ModelDeployment in a namespace of its own, as its user sees it in a real cluster."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cluster_lab import Lab
from cluster_load import Load
from cluster_registry import plan

Obj = dict[str, Any]
T = TypeVar("T")

DEADLINE = 90.0
LOOK_SECONDS = 0.1
MARK = "headgate.dev/deployment"
KINDS = {
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "ControllerRevision": "apis/apps/v1/namespaces/{}/controllerrevisions",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "EndpointSlice": "apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    "Event": "api/v1/namespaces/{}/events",
    "Lease": "apis/coordination.k8s.io/v1/namespaces/{}/leases",
    "ModelDeployment": "apis/headgate.dev/v1alpha1/namespaces/{}/modeldeployments",
    "Pod": "api/v1/namespaces/{}/pods",
    "PodDisruptionBudget": "apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "ReplicaSet": "apis/apps/v1/namespaces/{}/replicasets",
    "ResourceQuota": "api/v1/namespaces/{}/resourcequotas",
    "Secret": "api/v1/namespaces/{}/secrets",
    "Service": "api/v1/namespaces/{}/services",
}
# What a ModelDeployment brings into being, directly or not.
CHILDREN = (
    "ConfigMap",
    "ControllerRevision",
    "Deployment",
    "EndpointSlice",
    "Pod",
    "PodDisruptionBudget",
    "ReplicaSet",
    "Service",
)


@dataclass(frozen=True)
class Subject:
    lab: Lab
    namespace: str
    name: str = "iris"
    marks: dict[str, str] = field(default_factory=dict)  # by version, what was logged as it

    # -- what the user does ---------------------------------------------------------------------------------

    @property
    def model(self) -> str:
        """A registered model of this subject's own."""
        return f"model-{self.namespace}"

    def release(self, mark: str, *, alias: bool = True) -> str:
        """What was logged under `mark` becomes the next version, under the alias that the subject follows."""
        version = self.lab.registry.register(self.model, mark, alias="champion" if alias else None)
        self.marks[version] = mark
        return version

    def move_alias(self, version: str) -> None:
        self.lab.registry.set_alias(self.model, version)

    def manifest(self, **spec: Any) -> Obj:
        usual = {
            "model": {"name": self.model, "alias": "champion"},
            "replicas": 2,
            "serving": {"resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}},
            "traffic": {"service": {"type": "NodePort"}},
        }
        return {
            "apiVersion": "headgate.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": usual | spec | {"rollout": {"strategy": "BlueGreen", **spec.get("rollout", {})}},
        }

    def apply(self, **spec: Any) -> None:
        self.kubectl("apply", "-f", "-", given=self.manifest(**spec))

    def patch(self, **spec: Any) -> None:
        answer = self.lab.wire.patch(self.path("ModelDeployment", self.name), {"spec": spec})
        assert answer.status == 200, answer.body

    def kubectl(self, *arguments: str, given: Obj | None = None) -> str:
        text = None if given is None else json.dumps(given)
        return self.lab.kubectl(f"--namespace={self.namespace}", *arguments, given=text)

    def headgate(self, verb: str, *more: str) -> str:
        return self.lab.headgate(verb, self.name, "-n", self.namespace, *more)

    def goes_live(self, mark: str = "1", **spec: Any) -> str:
        """One version, one ModelDeployment, and it serves; the version."""
        version = self.release(mark)
        self.apply(**spec)
        self.serves(version)
        return version

    # -- what the user sees ---------------------------------------------------------------------------------

    def read(self) -> Obj:
        return self.child("ModelDeployment", self.name)

    @property
    def status(self) -> Obj:
        return dict(self.read().get("status", {}))

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Status, reason and message."""
        found = [c for c in self.status.get("conditions", []) if c["type"] == kind]
        return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else ("", "", "")

    def waits_for(self, kind: str, status: str, reason: str, *, within: float = DEADLINE) -> str:
        """The message of the condition, once it is so."""
        seen = self.until(
            lambda: said if (said := self.condition(kind))[:2] == (status, reason) else None,
            f"{kind} is {status} because of {reason}",
            within=within,
        )
        return seen[2]

    def serves(self, version: str, *, within: float = DEADLINE) -> None:
        """Status says that the version has all the traffic, and that the last change of the spec was acted on."""
        self.until(lambda: self._settled(version), f"version {version} has all the traffic", within=within)

    def _settled(self, version: str) -> bool:
        seen = self.read()
        status = seen.get("status", {})
        said = {c["type"]: c for c in status.get("conditions", [])}
        generation = seen.get("metadata", {}).get("generation")
        acted = status.get("observedGeneration") == generation
        serving = status.get("stable", {}).get("version") == version
        there = said.get("Available", {}).get("status") == "True"
        return bool(acted and serving and there and "rollout" not in status)

    def has_pods(self, count: int, *, without: Obj | None = None) -> None:
        """So many are ready, and the others have ended, this one among them."""
        if without is not None:
            name = without["metadata"]["name"]
            self.until(lambda: not self.child("Pod", name), f"{name} has ended")
        self.until(lambda: self.status.get("ready") == f"{count}/{count}", f"{count} pods are ready")
        self.until(lambda: len(self.children("Pod", leaving=True)) == count, "the others have ended")

    def sees(self, kind: str, met: Callable[[Obj], Any], what: str, *, within: float = DEADLINE) -> None:
        """Returns within milliseconds of the write that makes `met` true of an object: by a watch, not by looking."""
        which = {"fieldSelector": f"metadata.name={self.name}"} if kind == "ModelDeployment" else {}
        labelled = {"labelSelector": f"{MARK}={self.name}"} if not which else {}
        end = time.monotonic() + within
        while time.monotonic() < end:
            with self.lab.wire.watch(self.path(kind), **which, **labelled) as events:
                if any(event["type"] in {"ADDED", "MODIFIED"} and met(event["object"]) for event in events):
                    return
        raise AssertionError(f"not within {within:.0f} s: {what}\n{self.told()}")

    def ends_with(self, pod: Obj, *, within: float = DEADLINE) -> int:
        """The exit code of a pod's only container, as the pod's last words tell it."""
        name, end = pod["metadata"]["name"], time.monotonic() + within
        codes: list[int] = []
        while time.monotonic() < end:
            with self.lab.wire.watch(self.path("Pod"), fieldSelector=f"metadata.name={name}") as events:
                for event in events:
                    for told in event["object"]["status"].get("containerStatuses") or []:
                        codes += [told["state"]["terminated"]["exitCode"]] if "terminated" in told["state"] else []
                    if event["type"] == "DELETED":
                        assert codes, f"nobody saw how {name} ended"
                        return codes[-1]
        raise AssertionError(f"not within {within:.0f} s: {name} has ended")

    def step(self) -> str:
        """Where a rollout is: one word for each step that another write of the operator begins."""
        status = self.status
        if "candidate" in status:
            return "verified" if "verifiedAt" in status["candidate"] else "verifying"
        return str(status.get("rollout", {}).get("phase", "resting")).lower()

    def rejected(self) -> list[tuple[str, str]]:
        """Version and gate of what is in quarantine."""
        return [(entry["version"], entry["gate"]) for entry in self.status.get("rejected", [])]

    def outcomes(self) -> list[str]:
        return [entry["outcome"] for entry in self.status.get("history", [])]

    # -- its children ---------------------------------------------------------------------------------------

    def child(self, kind: str, name: str) -> Obj:
        answer = self.lab.wire.get(self.path(kind, name))
        return dict(answer.body) if answer.status == 200 else {}

    def children(self, kind: str, *, leaving: bool = False) -> list[Obj]:
        """Those that carry the subject's label; those on their way out only if asked for."""
        path = f"{self.path(kind)}?labelSelector={MARK}%3D{self.name}"
        items = self.lab.wire.read(path)["items"]
        return [obj for obj in items if leaving or "deletionTimestamp" not in obj["metadata"]]

    def pods(self, version: str | None = None) -> list[Obj]:
        found = self.children("Pod")
        return [p for p in found if version in (None, p["metadata"]["labels"]["headgate.dev/model-version"])]

    def leftovers(self, *, leaving: bool = True) -> list[str]:
        """What is still there of what the ModelDeployment brought into being, and any Lease in its namespace."""
        found = [f"{kind} {o['metadata']['name']}" for kind in CHILDREN for o in self.children(kind, leaving=leaving)]
        leases = self.lab.wire.read(self.path("Lease"))["items"]
        return found + [f"Lease {lease['metadata']['name']}" for lease in leases]

    def versions_to_the_world(self) -> Mapping[str, str]:
        """resourceVersion of the ModelDeployment and its children: equal = nobody wrote anything."""
        objects = [("ModelDeployment", self.read())]
        objects += [(kind, obj) for kind in CHILDREN for obj in self.children(kind)]
        return {f"{kind} {o['metadata']['name']}": o["metadata"]["resourceVersion"] for kind, o in objects}

    def events(self) -> dict[str, str]:
        """The last message of each reason that was told about the ModelDeployment."""
        items = self.lab.wire.read(self.path("Event"))["items"]
        mine = [e for e in items if (e.get("involvedObject") or e.get("regarding") or {}).get("name") == self.name]
        return {event["reason"]: event.get("message") or event.get("note", "") for event in mine}

    # -- its clients ----------------------------------------------------------------------------------------

    def inside(self) -> str:
        return f"http://{self.name}.{self.namespace}.svc.cluster.local"

    def outside(self) -> str:
        port = self.until(lambda: self._node_port(), "the public Service has a port on the node")
        return f"http://{self.lab.platform.node_address()}:{port}"

    def _node_port(self) -> int:
        ports = self.child("Service", self.name).get("spec", {}).get("ports", [])
        return next((int(port.get("nodePort", 0)) for port in ports), 0)

    def load(self, *options: str, sends: Obj | None = None) -> Load:
        """Continuous requests from inside and outside, whose answers are held against what each version says."""
        return self.lab.load(self.inside(), self.outside(), sends or plan(self.lab.registry, self.marks), *options)

    # -- waiting --------------------------------------------------------------------------------------------

    def until(self, look: Callable[[], T | None], what: str, *, within: float = DEADLINE) -> T:
        """The first truthy answer of `look`; after `within` seconds it fails with what is there instead."""
        end = time.monotonic() + within
        while not (seen := look()):
            assert time.monotonic() < end, f"not within {within:.0f} s: {what}\n{self.told()}"
            time.sleep(LOOK_SECONDS)
        return seen

    def told(self) -> str:
        pods = [
            (p["metadata"]["name"], p["status"].get("phase"), p["status"].get("containerStatuses")) for p in self.pods()
        ]
        self.lab.operator.collect()
        tail = "\n".join(self.lab.operator.lines()[-40:])
        return f"{json.dumps(self.status, indent=1)}\npods: {json.dumps(pods)}\n{self.events()}\n{tail}"

    def path(self, kind: str, name: str = "") -> str:
        return "/" + KINDS[kind].format(self.namespace) + (f"/{name}" if name else "")
