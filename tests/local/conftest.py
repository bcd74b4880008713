"""The API server under test: the one that --kubeconfig names, else an embedded control plane of this run's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kube_manifests import Obj
from kube_wire import Cluster, Wire, read_kubeconfig

SLEEPER = "conformance.local/sleeper:1"


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    scratch = tmp_path_factory.mktemp("cluster")
    given = request.config.getoption("kubeconfig") or os.environ.get("HEADGATE_CONFORMANCE_KUBECONFIG")
    if given:
        yield read_kubeconfig(Path(given), scratch)
        return
    state = scratch / "plane"
    program = [sys.executable, "-m", "headgate_local"]
    sleeper = f"{SLEEPER}={sys.executable} -c 'import time; print(\"started\", flush=True); time.sleep(3600)'"
    try:
        subprocess.run([*program, "up", "--state", str(state), "--image", sleeper], check=True, timeout=60)
        yield read_kubeconfig(state / "kubeconfig", scratch, embedded=True)
    finally:
        subprocess.run([*program, "down", "--state", str(state)], check=True, timeout=60)


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[Wire]:
    wire = Wire(cluster)
    yield wire
    wire.close()


@pytest.fixture(scope="session")
def sleeping_pod_image(request: pytest.FixtureRequest, cluster: Cluster, api: Wire) -> Obj:
    """The image and command of a container that says `started` and then sleeps until it is asked to end."""
    if cluster.embedded:
        return {"image": SLEEPER}
    image = request.config.getoption("pod_image") or os.environ.get("HEADGATE_CONFORMANCE_IMAGE")
    if not image:
        nodes = api.read("/api/v1/nodes")["items"]
        there = [name for node in nodes for i in node["status"].get("images", []) for name in i.get("names", [])]
        image = next((name for name in there if "busybox:" in name), "busybox:1")
    script = 'trap "exit 0" TERM; echo started; while :; do sleep 0.2; done'
    return {"image": image, "command": ["sh", "-c", script]}
