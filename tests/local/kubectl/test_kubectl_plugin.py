"""`kubectl headgate`: kubectl finds our command line by its name, and hands everything on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kube_manifests import Namespace
from kube_wire import Cluster

PROGRAMS = Path(sys.executable).parent


@pytest.mark.usefixtures("model_deployments")
def test_kubectl_runs_our_commands_as_its_own(cluster: Cluster, ns: Namespace, tmp_path: Path) -> None:
    path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", "")])
    env = {**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(tmp_path)}
    arguments = ["headgate", "status", "--namespace", ns.name]
    done = subprocess.run(
        [str(PROGRAMS / "kubectl"), *arguments], capture_output=True, text=True, timeout=60, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"No ModelDeployments in namespace {ns.name}.\n"
