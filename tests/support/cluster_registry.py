"""A real MLflow server on this machine, which pods reach under the name of a Service.

The Service has no selector: an EndpointSlice of the test's own points to this machine. Models are trained and logged
once; each test registers versions of its own of them, by MLflow's REST API.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

import cluster_models
from cluster_platform import ROOT
from headgate_cli.demo.processes import Child, run, wait_until
from kube_wire import Wire

Obj = dict[str, Any]

NAME = "mlflow"
PORT = 5000
START_SECONDS = 120.0
TRAINING_SECONDS = 240.0
ALIAS = "champion"
RECORD = ROOT / "build" / "cluster" / "mlflow.process"
# MLflow's job runner adds six processes that a registry does not need.
ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


class Registry:
    def __init__(self, folder: Path, address: str, namespace: str) -> None:
        self._folder, self._address, self._namespace = folder / "mlflow", address, namespace
        self._folder.mkdir()
        self._port = free_port(address)
        self._child: Child | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self.models: dict[str, Obj] = {}

    @property
    def url(self) -> str:
        """As pods see it."""
        return f"http://{NAME}.{self._namespace}:{PORT}"

    @property
    def local_url(self) -> str:
        return f"http://{self._address}:{self._port}"

    def publish(self, wire: Wire) -> None:
        """The Service and where it leads."""
        port = {"name": "http", "port": PORT, "protocol": "TCP"}
        services = f"/api/v1/namespaces/{self._namespace}/services"
        wire.create(services, {"metadata": {"name": NAME}, "spec": {"ports": [{**port, "targetPort": self._port}]}})
        slices = f"/apis/discovery.k8s.io/v1/namespaces/{self._namespace}/endpointslices"
        labels = {"kubernetes.io/service-name": NAME}
        slice_of_ours = {
            "metadata": {"name": NAME, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [self._address], "conditions": {"ready": True}}],
            "ports": [{**port, "port": self._port}],
        }
        wire.create(slices, slice_of_ours)

    def start(self) -> None:
        hosts = f"{NAME}.{self._namespace}:{PORT},{self._address}:{self._port}"
        command = [sys.executable, "-m", "mlflow", "server", "--host", self._address, "--port", str(self._port)]
        command += ["--backend-store-uri", f"sqlite:///{self._folder / 'mlflow.db'}", "--workers", "1"]
        command += ["--artifacts-destination", str(self._folder / "artifacts"), "--allowed-hosts", hosts]
        end_orphan()
        child = Child(NAME, command, log=self._folder / "mlflow.log", env=ENVIRONMENT | self._scratch())
        self._child = child
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        RECORD.write_text(f"{child.pid} {start_time(child.pid)}", encoding="utf-8")
        wait_until(self._answers, child, timeout=START_SECONDS)

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None
            RECORD.unlink(missing_ok=True)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Its process is gone, and comes back with the same data."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def train(self) -> None:
        out = self._folder / "models.json"
        command = [sys.executable, cluster_models.__file__, self.local_url, str(out)]
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        environment = self._scratch() | {"PYTHONPATH": path.rstrip(os.pathsep)}
        run("training", command, log=self._folder / "training.log", env=environment, timeout=TRAINING_SECONDS)
        self.models = json.loads(out.read_text(encoding="utf-8"))

    @contextmanager
    def damaged(self, logged: str) -> Iterator[None]:
        """The files of what was logged under a name are cut in half, and whole again afterwards."""
        identifier = self.models[logged]["source"].removeprefix("models:/")
        (file,) = (self._folder / "artifacts").rglob(f"{identifier}/artifacts/model.onnx")
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        try:
            yield
        finally:
            file.write_bytes(whole)

    def register(self, model: str, logged: str, *, alias: str | None = ALIAS) -> str:
        """Make what was logged under a name the next version of a model; the version."""
        if self._call("registered-models/get", params={"name": model}, missing=True) is None:
            self._call("registered-models/create", {"name": model})
        body = {"name": model, "source": self.models[logged]["source"], "run_id": self.models[logged]["run_id"]}
        body |= {"model_id": body["source"].removeprefix("models:/")}
        made = self._call("model-versions/create", body) or {}
        version = str(made["model_version"]["version"])
        if alias:
            self.set_alias(model, version, alias)
        return version

    def set_alias(self, model: str, version: str, alias: str = ALIAS) -> None:
        self._call("registered-models/alias", {"name": model, "alias": alias, "version": version})

    def _call(
        self, path: str, body: Obj | None = None, *, params: Obj | None = None, missing: bool = False
    ) -> Obj | None:
        url = f"{self.local_url}/api/2.0/mlflow/{path}"
        answer = self._session.request("POST" if body else "GET", url, json=body, params=params, timeout=30)
        if missing and answer.status_code == 404:
            return None
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    def _answers(self) -> bool:
        try:
            return self._session.get(f"{self.local_url}/health", timeout=1).status_code == 200
        except requests.RequestException:
            return False

    def _scratch(self) -> dict[str, str]:
        folder = self._folder / "tmp"
        folder.mkdir(exist_ok=True)
        return {"TMPDIR": str(folder)}


def end_orphan() -> None:
    """The server of a session that was killed: told by its number and start, which no other process shares."""
    number, _, started = (RECORD.read_text(encoding="utf-8") if RECORD.is_file() else "").partition(" ")
    if number and start_time(int(number)) == started:
        os.killpg(int(number), signal.SIGKILL)
    RECORD.unlink(missing_ok=True)


def start_time(number: int) -> str:
    """Of a process, in the kernel's ticks; empty where there is none."""
    try:
        return Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def plan(registry: Registry, marks: dict[str, str]) -> Obj:
    """What the load sends and which answers are right: `marks` tells what was logged as which version."""
    rounds = []
    for number, row in enumerate(cluster_models.ROWS):
        answer = {version: registry.models[mark]["answers"][number] for version, mark in marks.items()}
        rounds.append({"body": {"features": row}, "answer": answer})
    return {"path": "/predict", "at": ["prediction"], "rounds": rounds}


def slow_body(spins: int) -> Obj:
    def scalar(name: str, value: int) -> Obj:
        return {"name": name, "datatype": "INT64", "shape": [1], "data": [value]}

    return {"inputs": [scalar("spins", spins), scalar("index", 0)]}
