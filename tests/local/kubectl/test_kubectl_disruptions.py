"""Budgets, cordons and drains with kubectl. A node is closed to new pods for the length of a check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from subprocess import CompletedProcess

import pytest

from kube_manifests import Namespace, Obj, fresh, pod
from kube_wire import Wire, eventually

Kubectl = Callable[..., CompletedProcess[str]]


@pytest.fixture
def one_pod(api: Wire, ns: Namespace, sleeping_pod_image: Obj) -> Iterator[str]:
    """A ready pod of nobody; its name is also its label `app`."""
    name = fresh("drained")
    api.create(ns("pods"), pod(name, sleeping_pod_image, app=name))
    eventually(
        lambda: "True" in [c["status"] for c in api.read(ns("pods", name))["status"].get("conditions", [])
                           if c["type"] == "Ready"],
        f"{name} is ready",
    )  # fmt: skip
    yield name
    api.delete(ns("pods", name), gracePeriodSeconds=0)


@pytest.fixture
def node(api: Wire, kubectl: Kubectl, ns: Namespace, one_pod: str) -> Iterator[str]:
    """The node of the pod; it takes pods again at the end."""
    name = api.read(ns("pods", one_pod))["spec"]["nodeName"]
    yield str(name)
    kubectl("uncordon", name)


def drain(kubectl: Kubectl, node: str, app: str, *options: str, code: int = 0) -> CompletedProcess[str]:
    # Only the check's own pod: everything else on the node stays.
    return kubectl("drain", node, f"--pod-selector=app={app}", "--force", "--ignore-daemonsets", *options, code=code)


def test_create_and_get_of_a_budget_print_its_numbers(kubectl: Kubectl, ns: Namespace) -> None:
    name = fresh("budget")
    done = kubectl("create", "poddisruptionbudget", name, "--selector=app=web", "--min-available=50%")
    assert done.stdout == f"poddisruptionbudget.policy/{name} created\n"
    head, row = kubectl("get", "pdb", name).stdout.splitlines()
    assert head.split() == ["NAME", "MIN", "AVAILABLE", "MAX", "UNAVAILABLE", "ALLOWED", "DISRUPTIONS", "AGE"]
    assert row.split()[:4] == [name, "50%", "N/A", "0"]


def test_describe_of_a_budget_tells_its_status(kubectl: Kubectl, api: Wire, ns: Namespace, one_pod: str) -> None:
    kubectl("create", "pdb", one_pod, f"--selector=app={one_pod}", "--min-available=1")
    eventually(
        lambda: api.read(ns("poddisruptionbudgets", one_pod))["status"]["currentHealthy"] == 1, "the pod is counted"
    )
    text = kubectl("describe", "pdb", one_pod).stdout
    seen = dict(line.strip().split(":", 1) for line in text.splitlines() if ":" in line)
    assert (seen["Min available"].strip(), seen["Selector"].strip()) == ("1", f"app={one_pod}")
    wanted = {"Allowed disruptions": "0", "Current": "1", "Desired": "1", "Total": "1"}
    assert {key: seen[key].strip() for key in wanted} == wanted


def test_drain_evicts_a_pod_and_waits_for_its_end(
    kubectl: Kubectl, api: Wire, ns: Namespace, one_pod: str, node: str
) -> None:
    done = drain(kubectl, node, one_pod)
    assert done.stdout.splitlines() == [
        f"node/{node} cordoned",
        f"evicting pod {ns.name}/{one_pod}",
        f"pod/{one_pod} evicted",
        f"node/{node} drained",
    ]
    assert api.get(ns("pods", one_pod)).status == 404


def test_drain_is_held_up_by_a_budget(kubectl: Kubectl, api: Wire, ns: Namespace, one_pod: str, node: str) -> None:
    kubectl("create", "pdb", one_pod, f"--selector=app={one_pod}", "--min-available=1")
    eventually(
        lambda: api.read(ns("poddisruptionbudgets", one_pod))["status"]["currentHealthy"] == 1, "the pod is counted"
    )
    done = drain(kubectl, node, one_pod, "--timeout=1s", code=1)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in done.stderr
    assert "deletionTimestamp" not in api.read(ns("pods", one_pod))["metadata"]


def test_drain_as_a_server_dry_run_evicts_nothing(
    kubectl: Kubectl, api: Wire, ns: Namespace, one_pod: str, node: str
) -> None:
    done = drain(kubectl, node, one_pod, "--dry-run=server")
    assert f"evicting pod {ns.name}/{one_pod} (server dry run)" in done.stdout
    assert "deletionTimestamp" not in api.read(ns("pods", one_pod))["metadata"]
    assert "unschedulable" not in api.read(f"/api/v1/nodes/{node}")["spec"]


def test_a_cordoned_node_takes_no_new_pod_until_it_is_open_again(
    kubectl: Kubectl, api: Wire, ns: Namespace, node: str, sleeping_pod_image: Obj
) -> None:
    assert kubectl("cordon", node).stdout == f"node/{node} cordoned\n"
    assert kubectl("cordon", node).stdout == f"node/{node} already cordoned\n"
    assert kubectl("get", "node", node).stdout.splitlines()[1].split()[1] == "Ready,SchedulingDisabled"
    name = fresh("late")
    api.create(ns("pods"), {**(made := pod(name, sleeping_pod_image)), "spec": {**made["spec"], **pinned(api, node)}})
    refused = eventually(
        lambda: next(
            (c for c in api.read(ns("pods", name))["status"].get("conditions", []) if c["type"] == "PodScheduled"), None
        ),
        "the scheduler has looked at the pod",
    )
    assert (refused["status"], refused["reason"]) == ("False", "Unschedulable")
    assert "1 node(s) were unschedulable" in refused["message"]
    assert kubectl("uncordon", node).stdout == f"node/{node} uncordoned\n"
    eventually(lambda: api.read(ns("pods", name))["spec"].get("nodeName") == node, "the pod is on the node")
    api.delete(ns("pods", name), gracePeriodSeconds=0)


def pinned(api: Wire, node: str) -> Obj:
    """A pod that may only go to this node."""
    label = "kubernetes.io/hostname"
    return {"nodeSelector": {label: api.read(f"/api/v1/nodes/{node}")["metadata"]["labels"][label]}}
