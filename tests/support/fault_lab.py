"""Everything for real on one machine: control plane, operator and server processes, and a registry with bad days.

`Lab` starts, kills and ends the parts. `Subject` is one ModelDeployment in a namespace of its own as a user sees it:
its status, Events and children through the API, its answers through the public Service. Nothing here sleeps a fixed
time: whoever waits names a condition, and fails with what was there instead.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests

import model_dirs
from fake_mlflow import FakeMlflow
from kube_wire import Wire, read_kubeconfig
from steady_load import SteadyLoad

Obj = dict[str, Any]
T = TypeVar("T")

ROOT = Path(__file__).parents[2]
DEADLINE = 45.0
LOOK_SECONDS = 0.05
CRASH_IMAGE = "example.test/crash:1"
CRASH = f"""crash={sys.executable} -c 'import sys; sys.exit("no such accelerator")'"""
ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
ADDRESS = "local.headgate.dev/address"
MARK = "headgate.dev/deployment"
KINDS = {
    "ControllerRevision": "apis/apps/v1/namespaces/{}/controllerrevisions",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "Service": "api/v1/namespaces/{}/services",
    "PodDisruptionBudget": "apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Pod": "api/v1/namespaces/{}/pods",
    "ReplicaSet": "apis/apps/v1/namespaces/{}/replicasets",
    "ModelDeployment": "apis/headgate.dev/v1alpha1/namespaces/{}/modeldeployments",
    "Event": "api/v1/namespaces/{}/events",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Lab:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "plane"
        self.log = folder / "operator.log"
        self.registry = FakeMlflow()
        self._operator: subprocess.Popen[bytes] | None = None
        self._health = free_port()
        self._names = 0

    def __enter__(self) -> "Lab":
        self.registry.start()
        try:
            self._local("up", "--port", str(free_port()), "--crash-backoff", "1", "--image", CRASH)
            self.wire = Wire(read_kubeconfig(self.state / "kubeconfig", self.folder, embedded=True))
            self.start_operator()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_operator()
        self._local("down")
        if hasattr(self, "wire"):
            self.wire.close()
        self.registry.stop()

    def _local(self, verb: str, *more: str) -> None:
        command = [sys.executable, "-m", "headgate_local", verb, "--state", str(self.state), *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    # -- the operator ---------------------------------------------------------------------------------------

    def start_operator(self, *more: str) -> None:
        command = [sys.executable, "-m", "headgate_operator", "--registry-uri", self.registry.uri]
        command += ["--poll-interval", "500ms", "--no-leader-elect", "--log-format", "text"]
        command += ["--health-host", "127.0.0.1", "--health-port", str(self._health), *more]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HEADGATE_")}
        environment["KUBECONFIG"] = str(self.state / "kubeconfig")
        with self.log.open("ab") as log:
            self._operator = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        eventually(lambda: self._health_says("readyz") is not None, "the operator is ready", told=self.tail)

    def stop_operator(self, *, kill: bool = False) -> None:
        if self._operator is not None:
            (self._operator.kill if kill else self._operator.terminate)()
            self._operator.wait(timeout=30)
            self._operator = None

    def metric(self, name: str) -> float:
        """The value of one series of the operator, 0 where it is not there."""
        lines = (self._health_says("metrics") or "").splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def _health_says(self, path: str) -> str | None:
        try:
            answer = requests.get(f"http://127.0.0.1:{self._health}/{path}", timeout=5)
        except requests.ConnectionError:
            return None
        return answer.text if answer.status_code == 200 else None

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    # -- the registry ---------------------------------------------------------------------------------------

    @contextmanager
    def registry_fails(self, how: str) -> Iterator[None]:
        """`how` is a fault of FakeMlflow, or "refused": nobody listens."""
        port = self.registry.port
        self.registry.stop() if how == "refused" else self.registry.fail(how)
        try:
            yield
        finally:
            self.registry.start(port) if how == "refused" else self.registry.heal()

    def register(self, model: str, folder: Path | None = None, *, alias: str = "champion") -> str:
        """The next version of `model`: the given model directory, or a good one of its own bytes."""
        with tempfile.TemporaryDirectory() as scratch:
            number = len(self.registry.models[model].versions) + 1 if model in self.registry.models else 1
            made = folder or good_model(Path(scratch) / "model", str(number))
            return self.registry.register(model, made, aliases=[alias] if alias else [])

    # -- the cluster ----------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, given: Obj | None = None, code: int = 0) -> str:
        """What it printed on both of its outputs."""
        program = str(Path(sys.executable).with_name("kubectl"))
        done = subprocess.run(
            [
                program,
                f"--kubeconfig={self.state / 'kubeconfig'}",
                f"--cache-dir={self.folder / 'kubectl'}",
                *arguments,
            ],
            input=json.dumps(given) if given is not None else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "HOME": str(self.folder)},
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def headgate(self, *arguments: str) -> str:
        environment = {**os.environ, "KUBECONFIG": str(self.state / "kubeconfig")}
        command = [sys.executable, "-m", "headgate_cli", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def subject(self, name: str = "iris") -> Iterator["Subject"]:
        self._names += 1
        namespace = f"faults-{self._names}"
        self.wire.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        try:
            yield Subject(self, namespace, name)
        finally:
            self.registry.heal()
            self.wire.delete(f"/api/v1/namespaces/{namespace}")


@dataclass(frozen=True)
class Reply:
    status: int
    version: str
    body: Any


@dataclass(frozen=True)
class Subject:
    lab: Lab
    namespace: str
    name: str

    # -- what the user does ---------------------------------------------------------------------------------

    @property
    def model(self) -> str:
        """A registered model of this subject's own."""
        return f"model-{self.namespace}"

    def manifest(self, **spec: Any) -> Obj:
        spec["rollout"] = {"strategy": "BlueGreen", **spec.get("rollout", {})}
        return {
            "apiVersion": "headgate.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"model": {"name": self.model, "alias": "champion"}, "replicas": 1, **spec},
        }

    def apply(self, **spec: Any) -> None:
        self.kubectl("apply", "-f", "-", given=self.manifest(**spec))

    def patch(self, **spec: Any) -> None:
        answer = self.lab.wire.patch(self._path("ModelDeployment", self.name), {"spec": spec})
        assert answer.status == 200, answer.body

    def kubectl(self, *arguments: str, given: Obj | None = None, code: int = 0) -> str:
        return self.lab.kubectl(f"--namespace={self.namespace}", *arguments, given=given, code=code)

    def headgate(self, verb: str, *options: str) -> str:
        return self.lab.headgate(verb, self.name, "-n", self.namespace, *options)

    def release(self, folder: Path | None = None) -> str:
        """A new version under the alias that the subject follows."""
        return self.lab.register(self.model, folder)

    def goes_live(self, **spec: Any) -> str:
        """One version, one ModelDeployment, and it serves; the version."""
        version = self.release()
        self.apply(**spec)
        self.serves(version)
        return version

    # -- what the user sees ---------------------------------------------------------------------------------

    def read(self) -> Obj:
        answer = self.lab.wire.get(self._path("ModelDeployment", self.name))
        return dict(answer.body) if answer.status == 200 else {}

    @property
    def status(self) -> Obj:
        return dict(self.read().get("status", {}))

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Status, reason and message."""
        found: list[Obj] = [c for c in self.status.get("conditions", []) if c["type"] == kind]
        return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else ("", "", "")

    def waits_for(self, kind: str, status: str, reason: str) -> str:
        """The message of the condition, once it is so."""
        seen = self.until(
            lambda: said if (said := self.condition(kind))[:2] == (status, reason) else None,
            f"{kind} is {status} because of {reason}",
        )
        return seen[2]

    def serves(self, version: str) -> None:
        """The version has all the traffic, and says so itself."""
        self.until(lambda: self._settled(version), f"version {version} has all the traffic")
        self.until(lambda: self.ask().version == version, f"version {version} answers")

    def _settled(self, version: str) -> bool:
        seen = self.read()
        status = seen.get("status", {})
        conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
        acted = status.get("observedGeneration") == seen.get("metadata", {}).get("generation", 0)
        serving = status.get("stable", {}).get("version") == version
        return bool(acted and serving and "rollout" not in status and conditions.get("Available") == "True")

    @property
    def url(self) -> str:
        service = self.until(lambda: self.child("Service", self.name), "the public Service is there")
        told = self.until(
            lambda: self.child("Service", self.name).get("metadata", {}).get("annotations", {}).get(ADDRESS),
            f"the Service has an address: {service}",
        )
        return f"http://{told.split(',')[0].split('=')[-1].strip()}/predict"

    def ask(self) -> Reply:
        """One prediction through the public Service; status 0 = nobody answers."""
        try:
            answer = requests.post(self.url, json=ROW, timeout=15)
        except requests.ConnectionError as error:
            return Reply(0, "", str(error))
        body = answer.json() if "json" in answer.headers.get("content-type", "") else answer.text
        return Reply(answer.status_code, answer.headers.get("x-model-version", ""), body)

    def load(self) -> SteadyLoad:
        return SteadyLoad(self.url, ROW)

    def answered(self, load: SteadyLoad, version: str) -> None:
        """From now on the load is answered by this version on fresh connections: twenty of them, at least."""
        now = time.monotonic()
        self.until(lambda: load.count(since=now) >= 40, "the load goes on")
        assert load.versions(since=now, pooled=False) == {version}

    def child(self, kind: str, name: str) -> Obj:
        answer = self.lab.wire.get(self._path(kind, name))
        return dict(answer.body) if answer.status == 200 else {}

    def children(self, kind: str) -> list[Obj]:
        """Those that carry the subject's label and are not on their way out."""
        items = self.lab.wire.read(self._path(kind) + f"?labelSelector={MARK}%3D{self.name}")["items"]
        return [obj for obj in items if "deletionTimestamp" not in obj["metadata"]]

    def all_children(self) -> list[Obj]:
        kinds = ("ControllerRevision", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "ReplicaSet", "Pod")
        return [obj for kind in kinds for obj in self.children(kind)]

    def pods(self) -> list[str]:
        return sorted(pod["metadata"]["name"] for pod in self.children("Pod"))

    def deployment(self, role: str = "stable") -> str:
        return str(self.status[role]["deployment"])

    def versions_to_the_world(self) -> Mapping[str, str]:
        """resourceVersion of everything in the namespace: equal = nobody wrote anything."""
        found = {}
        for kind in KINDS:
            for obj in self.lab.wire.read(self._path(kind))["items"]:
                found[f"{kind} {obj['metadata']['name']}"] = obj["metadata"]["resourceVersion"]
        return found

    def events(self) -> dict[str, str]:
        """The last message of each reason that was told about the ModelDeployment."""
        items = self.lab.wire.read(self._path("Event"))["items"]
        return {e["reason"]: e.get("message") or e.get("note", "") for e in items if self._is_mine(e)}

    def _is_mine(self, event: Obj) -> bool:
        return bool((event.get("involvedObject") or event.get("regarding") or {}).get("name") == self.name)

    def rejected(self) -> list[tuple[str, str]]:
        """Version and gate of what is in quarantine."""
        return [(entry["version"], entry["gate"]) for entry in self.status.get("rejected", [])]

    def outcomes(self) -> list[str]:
        return [entry["outcome"] for entry in self.status.get("history", [])]

    def until(self, look: Callable[[], T], what: str, *, within: float = DEADLINE) -> T:
        return eventually(look, what, within=within, told=self._told)

    def _told(self) -> str:
        pods = [(p["metadata"]["name"], p.get("status", {}).get("phase")) for p in self.children("Pod")]
        return f"{json.dumps(self.status, indent=1)}\npods: {pods}\n{self.events()}\n{self.lab.tail()}"

    def _path(self, kind: str, name: str = "") -> str:
        return "/" + KINDS[kind].format(self.namespace) + (f"/{name}" if name else "")


def eventually(look: Callable[[], T], what: str, *, within: float = DEADLINE, told: Callable[[], str]) -> T:
    """The first truthy answer of `look`; after `within` seconds it fails with what is there instead."""
    end = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < end, f"not within {within:.0f} s: {what}\n{told()}"
        time.sleep(LOOK_SECONDS)
    return seen


def good_model(folder: Path, mark: str = "1") -> Path:
    """A small ONNX classifier with an input example. `mark` makes its bytes, and so its digest, its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return model_dirs.onnx_iris(folder, example={"inputs": [[5.1, 3.5, 1.4, 0.2]]}, metadata={"mark": mark})


def file_of(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()
