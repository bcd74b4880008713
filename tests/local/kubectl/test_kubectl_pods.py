"""What kubectl shows of pods that run."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from kube_manifests import Namespace, Obj, deployment, pod, service
from kube_wire import Wire

Kubectl = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def web(kubectl: Kubectl, sleeping_pod_image: Obj) -> str:
    """A Deployment of one running pod with a Service in front."""
    wanted = deployment("web")
    wanted["spec"]["template"]["spec"] = pod("web", sleeping_pod_image)["spec"]
    kubectl("apply", "-f", "-", given=wanted)
    kubectl("apply", "-f", "-", given=service("web", {"app": "web"}))
    done = kubectl("rollout", "status", "deployment/web", "--timeout=40s")
    assert done.stdout.endswith('deployment "web" successfully rolled out\n')
    return "web"


def test_get_deployments_counts_ready_pods(kubectl: Kubectl, web: str) -> None:
    head, row = (line.split() for line in kubectl("get", "deployment", web).stdout.splitlines())
    assert head == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row[:4] == [web, "1/1", "1", "1"]


def test_get_pods_tells_ready_status_and_restarts(kubectl: Kubectl, web: str) -> None:
    head, row = (line.split() for line in kubectl("get", "pods", "-l", f"app={web}").stdout.splitlines())
    assert head == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row[1:4] == ["1/1", "Running", "0"]


def test_get_pods_wide_tells_address_and_node(kubectl: Kubectl, web: str) -> None:
    head, row = (line.split() for line in kubectl("get", "pods", "-l", f"app={web}", "-o", "wide").stdout.splitlines())
    address = kubectl("get", "pods", "-l", f"app={web}", "-o=jsonpath={.items[0].status.podIP}").stdout
    assert row[head.index("IP")] == address


def test_get_services_tells_address_and_ports(kubectl: Kubectl, web: str) -> None:
    head, row = (line.split() for line in kubectl("get", "service", web).stdout.splitlines())
    assert head == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert (row[1], row[3], row[4]) == ("ClusterIP", "<none>", "9080/TCP")


def test_get_replica_sets_and_slices_print_their_columns(kubectl: Kubectl, web: str) -> None:
    head, row = (line.split() for line in kubectl("get", "rs", "-l", f"app={web}").stdout.splitlines())
    assert head == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
    assert row[1:4] == ["1", "1", "1"]
    labels = f"kubernetes.io/service-name={web}"
    head, row = (line.split() for line in kubectl("get", "endpointslices", "-l", labels).stdout.splitlines())
    assert head == ["NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"]
    assert row[1:3] == ["IPv4", "8080"]


def test_logs_print_what_a_pod_said(kubectl: Kubectl, web: str) -> None:
    assert kubectl("logs", f"deployment/{web}").stdout == "started\n"


def test_logs_by_label_and_tail(kubectl: Kubectl, web: str) -> None:
    assert kubectl("logs", "-l", f"app={web}", "--tail=1").stdout == "started\n"


def test_wait_for_pods_to_be_ready(kubectl: Kubectl, web: str) -> None:
    done = kubectl("wait", "pod", "-l", f"app={web}", "--for=condition=Ready", "--timeout=20s")
    assert done.stdout.endswith(" condition met\n")


def test_describe_of_a_pod_shows_container_state_and_conditions(kubectl: Kubectl, web: str) -> None:
    lines = [line.split() for line in kubectl("describe", "pod", "-l", f"app={web}").stdout.splitlines()]
    assert ["Status:", "Running"] in lines
    assert ["State:", "Running"] in lines
    assert ["Ready", "True"] in lines


def test_describe_of_a_service_shows_its_endpoints(kubectl: Kubectl, web: str) -> None:
    address = kubectl("get", "pods", "-l", f"app={web}", "-o=jsonpath={.items[0].status.podIP}").stdout
    assert f"{address}:8080" in kubectl("describe", "service", web).stdout


def test_get_all_shows_the_workload_with_its_parts(kubectl: Kubectl, web: str) -> None:
    text = kubectl("get", "all").stdout
    for part in ("pod/web-", "service/web ", "deployment.apps/web ", "replicaset.apps/web-"):
        assert part in text


def test_delete_of_a_deployment_ends_its_pods(kubectl: Kubectl, api: Wire, ns: Namespace, web: str) -> None:
    wanted = deployment("passing")
    kubectl("apply", "-f", "-", given=wanted)
    kubectl("wait", "deployment/passing", "--for=jsonpath={.status.replicas}=1", "--timeout=20s")
    kubectl("delete", "deployment", "passing", "--cascade=foreground", "--timeout=40s")
    kubectl("wait", "--for=delete", "pod", "-l", "app=passing", "--timeout=30s")
    assert api.get(ns("pods"), labelSelector="app=passing").body["items"] == []
