"""The parts of the demonstration on this machine: control plane, MLflow server, operator, and how to talk to them.

All state lies in one folder: a temporary one that goes away with the lab, or, with `--keep`, the usual folder of
`headgate local`, whose `down` then ends everything.
"""

import json
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from headgate_cli.demo import ledger, registry
from headgate_cli.demo.processes import Child, ChildError, run, wait_until
from headgate_cli.demo.timeline import Timeline
from headgate_cli.kube import MODEL_DEPLOYMENTS, SERVICES, Cluster

PLANE_SECONDS = 60.0
REGISTRY_SECONDS = 120.0
TRAINING_SECONDS = 180.0
OPERATOR_SECONDS = 60.0
POLL_INTERVAL = "2s"
ADDRESS_ANNOTATION = "local.headgate.dev/address"
# `headgate local down` ends every process that carries this, with the plane's state folder as the value.
PLANE_MARKER = "HEADGATE_LOCAL_PLANE"
NEXT_STEPS = """
Everything still runs. To go on:
  export KUBECONFIG=$(headgate local kubeconfig) MLFLOW_TRACKING_URI={registry}
  kubectl get mdep
  curl -s --json '{{"features": [5.1, 3.5, 1.4, 0.2]}}' {url}/predict
  headgate status iris --watch
  headgate history iris
  headgate local down                                 # ends everything"""


class Lab:
    """Starts, kills and ends the parts. Not thread-safe; the story is its only user."""

    def __init__(self, state: Path, timeline: Timeline, *, temporary: bool) -> None:
        self._state = state
        self._say = timeline
        self._temporary = temporary
        self._children: dict[str, Child] = {}
        self._plane = False
        self._cluster: Cluster | None = None
        self._registry_port = free_port()
        self._health_port = free_port()

    @classmethod
    def temporary(cls, timeline: Timeline) -> Self:
        return cls(Path(tempfile.mkdtemp(prefix="headgate-demo-")), timeline, temporary=True)

    @classmethod
    def kept(cls, timeline: Timeline) -> Self:
        """A lab in the folder of `headgate local`. Raises ChildError if a control plane runs there already."""
        named = os.environ.get("HEADGATE_LOCAL_STATE")
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        lab = cls(Path(named) if named else base / "headgate-local", timeline, temporary=False)
        lab._say.event(f"everything is kept in {lab._state}")
        if (lab._state / "kubeconfig").exists() and lab._runs():
            raise ChildError("a control plane runs already; end it first: headgate local down")
        return lab

    @property
    def registry_uri(self) -> str:
        return f"http://127.0.0.1:{self._registry_port}"

    @property
    def kubeconfig(self) -> Path:
        return self._state / "kubeconfig"

    def start(self) -> None:
        """Bring everything up, in the order in which a person would."""
        self.start_plane()
        self.start_registry()
        self.train()
        self.start_operator()

    def start_plane(self) -> None:
        with self._say.waiting("the control plane starts"):
            self._local("up", timeout=PLANE_SECONDS)
        self._plane = True
        self._say.event("control plane: Kubernetes API on loopback, no containers")

    def start_registry(self) -> None:
        data = self._state / "mlflow"
        data.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._registry_port)]
        command += ["--backend-store-uri", f"sqlite:///{data / 'mlflow.db'}", "--workers", "1"]
        command += ["--artifacts-destination", str(data / "artifacts")]
        # MLflow's job runner adds six processes that a registry does not need.
        env = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        child = self._start("mlflow", command, env={**env, **self._scratch()})
        with self._say.waiting("MLflow starts") as tick:

            def ready() -> bool:
                tick()
                return registry.answers(f"{self.registry_uri}/health")

            wait_until(ready, child, timeout=REGISTRY_SECONDS)
        self._say.event(f"MLflow {self.registry_uri} on SQLite")

    def stop_registry(self) -> None:
        self._children.pop("mlflow").stop()

    def train(self) -> None:
        command = [sys.executable, "-m", "headgate_cli.demo.train", "--registry", self.registry_uri]
        with self._say.waiting("six models are trained and registered"):
            log = self._log("training")
            lines = run("training", command, log=log, env=self._scratch(), timeout=TRAINING_SECONDS)
        for line in lines.splitlines():
            self._say.event(f"registered {line}")

    def set_alias(self, model: str, alias: str, version: str) -> None:
        registry.set_alias(self.registry_uri, model, alias, version)

    def start_operator(self) -> None:
        command = [sys.executable, "-m", "headgate_operator", "--registry-uri", self.registry_uri]
        command += ["--poll-interval", POLL_INTERVAL, "--health-host", "127.0.0.1"]
        command += ["--health-port", str(self._health_port), "--lease-namespace", "default"]
        child = self._start("operator", command, env={"KUBECONFIG": str(self.kubeconfig)})
        with self._say.waiting("the operator starts") as tick:

            def ready() -> bool:
                tick()
                return registry.answers(f"http://127.0.0.1:{self._health_port}/readyz")

            wait_until(ready, child, timeout=OPERATOR_SECONDS)
        self._say.event("operator runs")

    def kill_operator(self) -> None:
        self._children.pop("operator").kill()

    def check(self) -> None:
        """Raise ChildError if a part has ended by itself."""
        for child in self._children.values():
            child.check()

    def apply(self, manifest: dict[str, Any]) -> None:
        self._connect().apply(MODEL_DEPLOYMENTS, manifest, manager="headgate-demo")

    def status(self, namespace: str, name: str) -> dict[str, Any]:
        """The status of a ModelDeployment; empty where there is none yet."""
        found = self._connect().get(MODEL_DEPLOYMENTS, namespace, name) or {}
        status: dict[str, Any] = found.get("status", {})
        return status

    def public_url(self, name: str, namespace: str = "default") -> str:
        """Where the Service `name` listens on this machine."""
        service = self._connect().get(SERVICES, namespace, name) or {}
        address = service.get("metadata", {}).get("annotations", {}).get(ADDRESS_ANNOTATION, "")
        if not address:
            raise ChildError(f"Service {name} has no address on this machine yet")
        return f"http://{address.split(',')[0].split('=')[-1].strip()}"

    def headgate(self, *arguments: str) -> str:
        """Run the `headgate` command line as a person would; its output."""
        command = [sys.executable, "-m", "headgate_cli", *arguments]
        env = {"KUBECONFIG": str(self.kubeconfig)}
        return run(f"headgate {arguments[0]}", command, log=self._log("cli"), env=env, timeout=60)

    def replay(self, rollout: int, **names: str) -> dict[str, Any]:
        """What `headgate replay` decides from the counts of that rollout in the operator's log."""
        recorded = self._state / "logs" / f"rollout-{rollout}.json"
        recorded.write_text(json.dumps(names | ledger.case_of(self._log("operator"), rollout)), encoding="utf-8")
        return ledger.decided(self.headgate("replay", str(recorded)))

    def close(self) -> None:
        """End every part; a temporary folder goes too."""
        for name in ("operator", "mlflow"):
            if child := self._children.pop(name, None):
                child.stop()
        if self._plane:
            self._local("down", timeout=60)
            self._plane = False
        if self._temporary:
            shutil.rmtree(self._state, ignore_errors=True)

    def next_steps(self) -> str:
        """What to try with everything still running."""
        return NEXT_STEPS.format(registry=self.registry_uri, url=self.public_url("iris"))

    def _runs(self) -> bool:
        try:
            self._local("status", timeout=PLANE_SECONDS)
        except ChildError:
            return False
        return True

    def _connect(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster.connect(kubeconfig=self.kubeconfig)
        return self._cluster

    def _start(self, name: str, command: list[str], *, env: dict[str, str]) -> Child:
        child = Child(name, command, log=self._log(name), env={**env, PLANE_MARKER: str(self._state)})
        self._children[name] = child
        return child

    def _scratch(self) -> dict[str, str]:
        # MLflow leaves lock files in the folder for temporary files; this one goes away with the lab.
        folder = self._state / "mlflow" / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return {"TMPDIR": str(folder)}

    def _log(self, name: str) -> Path:
        folder = self._state / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"demo-{name}.log"

    def _local(self, verb: str, *, timeout: float) -> str:
        command = [sys.executable, "-m", "headgate_local", verb, "--state", str(self._state)]
        if verb == "up":
            command += ["--port", str(free_port())]
        return run(f"headgate local {verb}", command, log=self._log("local"), timeout=timeout)


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
