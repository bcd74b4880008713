"""The API server under test: the one that --kubeconfig names, else an embedded control plane of this run's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kube_manifests import GADGETS, GROUP, RUN, Namespace, Obj, fresh, gadget_crd
from kube_wire import Cluster, Wire, eventually, read_kubeconfig

SLEEPER = "conformance.local/sleeper:1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


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
def gadgets(api: Wire) -> Iterator[str]:
    """The custom resource of the checks; what is given is the path of its definition."""
    path = f"{CRDS}/gadgets.{GROUP}"
    api.create(CRDS, gadget_crd())
    eventually(lambda: api.get(GADGETS + "/gadgets").status == 200, "the custom resource is served")
    yield path
    assert api.delete(path).status == 200


@pytest.fixture(scope="module")
def ns(api: Wire) -> Iterator[Namespace]:
    name = fresh(f"conformance-{RUN}")
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield Namespace(name)
    assert api.delete(f"/api/v1/namespaces/{name}").status == 200


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
