"""The chart and the manifests as a user meets them: through the real helm and the real `kubectl kustomize`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

Obj = dict[str, Any]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "headgate"
EVERY_VALUE = ROOT / "tests" / "chart" / "every-value.yaml"
REGISTRY = "http://mlflow.mlops:5000"
CLUSTER_SCOPED = frozenset({"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"})


def helm_program() -> str:
    found = os.environ.get("HEADGATE_HELM") or shutil.which("helm")
    if not found:
        pytest.skip("no helm: name it in HEADGATE_HELM or put it on the PATH (make cluster-test brings one)")
    return found


def kubectl_program() -> str:
    beside = Path(sys.executable).with_name("kubectl")
    return str(beside) if beside.exists() else "kubectl"


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=120
    )


def done(*command: str) -> str:
    result = run(*command)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"
    return result.stdout


class Helm:
    """One release of the chart, not installed."""

    def __init__(self, program: str) -> None:
        self.program = program

    def template(self, *arguments: str, values: Mapping[str, Any] | None = None) -> list[Obj]:
        return objects(done(*self._command("template", *arguments, values=values)))

    def refusal(self, values: Mapping[str, Any]) -> str:
        """What helm says of these values, which it must not take."""
        result = run(*self._command("template", values=values))
        assert result.returncode != 0, f"helm takes {values}"
        return result.stderr

    def _command(self, *arguments: str, values: Mapping[str, Any] | None) -> list[str]:
        verb, *more = arguments
        told = {"registry.uri": REGISTRY, **(values or {})}
        settings = [part for name, value in told.items() for part in ("--set-json", f"{name}={json.dumps(value)}")]
        return [self.program, verb, "headgate", str(CHART), "--namespace", "headgate-system", *settings, *more]


def objects(text: str) -> list[Obj]:
    return [obj for obj in yaml.safe_load_all(text) if obj]


def kustomize(folder: Path) -> list[Obj]:
    return objects(done(kubectl_program(), "kustomize", str(folder)))


def place(obj: Obj) -> tuple[str, str, str]:
    meta = obj["metadata"]
    return obj["kind"], meta.get("namespace", ""), meta["name"]


def of_kind(found: Iterable[Obj], kind: str) -> list[Obj]:
    return [obj for obj in found if obj["kind"] == kind]


def the(found: Iterable[Obj], kind: str, name: str | None = None) -> Obj:
    (one,) = [obj for obj in of_kind(found, kind) if name in (None, obj["metadata"]["name"])]
    return one


def environment(deployment: Obj) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}
