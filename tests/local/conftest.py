"""The API server under test: the one that --kubeconfig names, else an embedded control plane of this run's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kube_manifests import GADGETS, GROUP, RUN, Namespace, Obj, fresh, gadget_crd
from kube_wire import Cluster, Wire, eventually, read_kubeconfig

SLEEPER = "conformance.local/sleeper:1"
MODEL_DEPLOYMENTS = "modeldeployments.headgate.dev"
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


def wait_served(api: Wire, version: str, plural: str) -> None:
    """A new kind is served at once by some parts of a real server and a moment later by others."""
    eventually(lambda: api.get(f"{version}/{plural}").status == 200, f"{plural} are served")
    eventually(lambda: version.strip("/") in str(api.get("/openapi/v3").body), f"{plural} are documented")


@pytest.fixture(scope="session")
def gadgets(api: Wire) -> Iterator[str]:
    """The custom resource of the checks; what is given is the path of its definition."""
    path = f"{CRDS}/gadgets.{GROUP}"
    api.create(CRDS, gadget_crd())
    wait_served(api, GADGETS, "gadgets")
    yield path
    assert api.delete(path).status == 200


@pytest.fixture(scope="session")
def model_deployments(api: Wire) -> Iterator[str]:
    """Headgate's own custom resource; what is given is the path of its definition. One that was not there before is
    taken away again."""
    path = f"{CRDS}/{MODEL_DEPLOYMENTS}"
    ours = api.get(path).status == 404
    if ours:
        file = Path(__file__).parents[2] / "crds" / f"{MODEL_DEPLOYMENTS}.yaml"
        api.create(CRDS, yaml.safe_load(file.read_text(encoding="utf-8")))
        wait_served(api, "/apis/headgate.dev/v1alpha1", "modeldeployments")
    yield path
    if ours:
        assert api.delete(path).status == 200


@pytest.fixture(scope="module")
def ns(api: Wire, cluster: Cluster) -> Iterator[Namespace]:
    name = fresh(f"conformance-{RUN}")
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    made = Namespace(name)
    if not cluster.embedded:
        # A real cluster's controllers furnish a new namespace a moment later: with an account, without which no pod is
        # taken, and with a config map, which a watch would tell in the middle of a check.
        for path in (made("serviceaccounts", "default"), made("configmaps", "kube-root-ca.crt")):
            eventually(lambda path=path: api.get(path).status == 200, path)
    yield made
    assert api.delete(f"/api/v1/namespaces/{name}").status == 200


@pytest.fixture(scope="session")
def sleeping_pod_image(request: pytest.FixtureRequest, cluster: Cluster, api: Wire) -> Obj:
    """The image and command of a container that says `started` and then sleeps until it is asked to end."""
    if cluster.embedded:
        return {"image": SLEEPER}
    image = request.config.getoption("pod_image") or os.environ.get("HEADGATE_CONFORMANCE_IMAGE")
    if not image:
        nodes = api.read("/api/v1/nodes")["items"]
        there = [name for node in nodes for i in node["status"].get("images", []) for name in i.get("names") or []]
        image = next((name for name in there if "busybox:" in name), "busybox:1")
    script = 'trap "exit 0" TERM; echo started; while :; do sleep 0.2; done'
    return {"image": image, "command": ["sh", "-c", script]}
