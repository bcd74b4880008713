"""What needs pods that run: readiness, EndpointSlices, graceful ends and logs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from kube_manifests import Namespace, deployment, fresh, owner, pod, service
from kube_wire import Obj, Wire, eventually


def conditions(obj: Obj) -> dict[str, str]:
    return {c["type"]: c["status"] for c in obj["status"].get("conditions", [])}


def start(api: Wire, ns: Namespace, container: Obj, name: str, **labels: str) -> Obj:
    made = api.create(ns("pods"), pod(name, container, **labels))
    assert made["status"]["phase"] == "Pending"
    return eventually(
        lambda: (got := api.read(ns("pods", name))) and conditions(got).get("Ready") == "True" and got,
        f"pod {name} is ready",
    )


@pytest.fixture(scope="module")
def running(api: Wire, ns: Namespace, sleeping_pod_image: Obj) -> Iterator[Obj]:
    """A pod of its file's own that no check ends, and a Service in front of it."""
    api.create(ns("services"), service("front", {"app": "shared"}))
    yield start(api, ns, sleeping_pod_image, "shared", app="shared")
    with contextlib.suppress(AssertionError):
        api.delete(ns("pods", "shared"), gracePeriodSeconds=0)


def slices(api: Wire, ns: Namespace, name: str) -> list[Obj]:
    return list(api.get(ns("endpointslices"), labelSelector=f"kubernetes.io/service-name={name}").body["items"])


def endpoints(api: Wire, ns: Namespace, name: str) -> dict[str, bool]:
    """Whether each pod behind a Service is ready, by its name."""
    return {
        endpoint["targetRef"]["name"]: endpoint["conditions"]["ready"]
        for item in slices(api, ns, name)
        for endpoint in item.get("endpoints") or []
    }


def test_a_running_pod_has_an_address_a_start_and_its_conditions(running: Obj) -> None:
    status = running["status"]
    assert status["phase"] == "Running"
    assert status["podIP"] == status["podIPs"][0]["ip"]
    assert status["startTime"]
    for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready"):
        assert conditions(running)[kind] == "True", kind


def test_a_running_container_tells_its_state(running: Obj) -> None:
    [container] = running["status"]["containerStatuses"]
    assert (container["name"], container["ready"], container["started"], container["restartCount"]) == (
        "main",
        True,
        True,
        0,
    )
    assert container["state"]["running"]["startedAt"]
    assert running["spec"]["nodeName"]


def test_the_log_of_a_container_is_plain_text(api: Wire, ns: Namespace, running: Obj) -> None:
    answer = eventually(
        lambda: (got := api.get(ns("pods", "shared", "log"), accept="*/*")).body and got, "the log has a line"
    )
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.body == "started\n"


def test_the_end_of_a_log_can_be_asked_for(api: Wire, ns: Namespace, running: Obj) -> None:
    eventually(lambda: api.get(ns("pods", "shared", "log"), accept="*/*").body, "the log has a line")
    assert api.get(ns("pods", "shared", "log"), accept="*/*", tailLines=1, container="main").body == "started\n"
    assert api.get(ns("pods", "shared", "log"), accept="*/*", tailLines=0).body == ""


def test_the_log_of_an_unknown_container_is_a_bad_request(api: Wire, ns: Namespace, running: Obj) -> None:
    answer = api.get(ns("pods", "shared", "log"), container="spoon")
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_a_service_has_a_slice_of_its_own(api: Wire, ns: Namespace, running: Obj) -> None:
    [item] = eventually(lambda: slices(api, ns, "front"), "the slice is there")
    labels = item["metadata"]["labels"]
    assert labels["kubernetes.io/service-name"] == "front"
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    assert item["addressType"] == "IPv4"
    made = owner(api.read(ns("services", "front")), controller=True, blockOwnerDeletion=True)
    assert item["metadata"]["ownerReferences"] == [made]


def test_a_ready_pod_is_an_endpoint_with_its_address_and_the_target_port(
    api: Wire, ns: Namespace, running: Obj
) -> None:
    eventually(lambda: endpoints(api, ns, "front") == {"shared": True}, "the pod is an endpoint")
    [item] = slices(api, ns, "front")
    assert item["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    [endpoint] = item["endpoints"]
    assert endpoint["addresses"] == [running["status"]["podIP"]]
    assert endpoint["conditions"] == {"ready": True, "serving": True, "terminating": False}
    assert endpoint["targetRef"]["uid"] == running["metadata"]["uid"]
    assert endpoint["nodeName"] == running["spec"]["nodeName"]


def test_a_switched_selector_switches_the_endpoints(
    api: Wire, ns: Namespace, running: Obj, sleeping_pod_image: Obj
) -> None:
    start(api, ns, sleeping_pod_image, "green", app="green")
    api.create(ns("services"), service("switch", {"app": "shared"}))
    eventually(lambda: endpoints(api, ns, "switch") == {"shared": True}, "the first pod is the endpoint")
    api.apply(ns("services", "switch"), service("switch", {"app": "green"}), force=True)
    eventually(lambda: endpoints(api, ns, "switch") == {"green": True}, "the second pod is the endpoint")
    api.delete(ns("pods", "green"), gracePeriodSeconds=0)
    eventually(lambda: endpoints(api, ns, "switch") == {}, "no endpoint is left")


def test_a_relabelled_pod_leaves_the_endpoints(api: Wire, ns: Namespace, running: Obj) -> None:
    api.create(ns("services"), service("labelled", {"app": "shared", "extra": "yes"}))
    api.patch(ns("pods", "shared"), {"metadata": {"labels": {"extra": "yes"}}})
    eventually(lambda: "shared" in endpoints(api, ns, "labelled"), "the pod is an endpoint")
    api.patch(ns("pods", "shared"), {"metadata": {"labels": {"extra": None}}})
    eventually(lambda: endpoints(api, ns, "labelled") == {}, "no endpoint is left")


def test_the_slices_go_with_their_service(api: Wire, ns: Namespace, running: Obj) -> None:
    api.create(ns("services"), service("passing", {"app": "shared"}))
    eventually(lambda: slices(api, ns, "passing"), "the slice is there")
    api.delete(ns("services", "passing"))
    eventually(lambda: slices(api, ns, "passing") == [], "the slice is gone")


def test_a_deleted_pod_is_marked_with_its_grace_and_then_gone(
    api: Wire, ns: Namespace, running: Obj, sleeping_pod_image: Obj
) -> None:
    start(api, ns, sleeping_pod_image, "leaving", app="leaving")
    query = {
        "fieldSelector": "metadata.name=leaving",
        "resourceVersion": api.read(ns("pods"))["metadata"]["resourceVersion"],
    }
    with api.watch(ns("pods"), **query) as events:
        answer = api.delete(ns("pods", "leaving"))
        assert (answer.status, answer.body["kind"]) == (200, "Pod")
        metadata = answer.body["metadata"]
        assert metadata["deletionGracePeriodSeconds"] == 5
        assert metadata["deletionTimestamp"]
        kinds = [event["type"] for event in iter_until_deleted(events)]
    assert kinds[0] == "MODIFIED"
    assert kinds[-1] == "DELETED"
    assert api.get(ns("pods", "leaving")).status == 404


def iter_until_deleted(events: Iterator[Obj]) -> Iterator[Obj]:
    for event in events:
        yield event
        if event["type"] == "DELETED":
            return


def test_a_pod_deleted_without_grace_is_gone_at_once(
    api: Wire, ns: Namespace, running: Obj, sleeping_pod_image: Obj
) -> None:
    start(api, ns, sleeping_pod_image, "killed", app="killed")
    assert api.delete(ns("pods", "killed"), gracePeriodSeconds=0).status == 200
    assert api.get(ns("pods", "killed")).status == 404


def test_a_pod_that_is_not_ready_is_no_ready_endpoint(
    api: Wire, ns: Namespace, running: Obj, sleeping_pod_image: Obj
) -> None:
    probe = {"tcpSocket": {"port": 9}, "periodSeconds": 1}
    api.create(ns("services"), service("deaf", {"app": "deaf"}))
    api.create(ns("pods"), pod("deaf", {**sleeping_pod_image, "readinessProbe": probe}, app="deaf"))
    eventually(lambda: api.read(ns("pods", "deaf"))["status"]["phase"] == "Running", "the pod runs")
    eventually(lambda: endpoints(api, ns, "deaf") == {"deaf": False}, "the pod is listed as not ready")
    assert conditions(api.read(ns("pods", "deaf")))["Ready"] == "False"
    api.delete(ns("pods", "deaf"), gracePeriodSeconds=0)


def test_an_image_that_cannot_be_had_keeps_the_pod_waiting(api: Wire, ns: Namespace, running: Obj) -> None:
    name = fresh("imageless")
    # Never, because a real kubelet takes ten seconds to find that there is no such registry.
    api.create(ns("pods"), pod(name, {"image": "conformance.invalid/none:1", "imagePullPolicy": "Never"}))

    def waiting() -> str | None:
        for status in api.read(ns("pods", name))["status"].get("containerStatuses", []):
            reason = status["state"].get("waiting", {}).get("reason")
            if reason in {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"}:
                return str(reason)
        return None

    assert eventually(waiting, "the pull has failed")
    assert api.read(ns("pods", name))["status"]["phase"] == "Pending"
    api.delete(ns("pods", name), gracePeriodSeconds=0)


def test_a_pods_container_cannot_be_changed_but_its_image(api: Wire, ns: Namespace, running: Obj) -> None:
    seen = api.read(ns("pods", "shared"))
    seen["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
    del seen["metadata"]["resourceVersion"]
    answer = api.put(ns("pods", "shared"), seen)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert "pod updates may not change fields other than" in answer.message


def test_a_deployment_of_running_pods_becomes_available_and_rolls(
    api: Wire, ns: Namespace, running: Obj, sleeping_pod_image: Obj
) -> None:
    name = fresh("rolling")
    made = deployment(name, replicas=1)
    template = made["spec"]["template"]
    template["spec"] = pod(name, sleeping_pod_image)["spec"]
    api.create(ns("deployments"), made)

    def complete() -> Obj | None:
        seen = api.read(ns("deployments", name))
        status = seen["status"]
        current = status.get("observedGeneration") == seen["metadata"]["generation"]
        counts = [status.get(field) for field in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
        return seen if current and counts == [1, 1, 1, 1] else None

    seen = eventually(complete, "the deployment is complete")
    assert conditions(seen) == {"Available": "True", "Progressing": "True"}
    assert "unavailableReplicas" not in seen["status"]
    old = {item["metadata"]["name"] for item in api.get(ns("pods"), labelSelector=f"app={name}").body["items"]}
    api.patch(ns("deployments", name), {"spec": {"template": {"metadata": {"labels": {"round": "two"}}}}})
    eventually(complete, "the new template is rolled out")
    eventually(
        lambda: old.isdisjoint(
            item["metadata"]["name"] for item in api.get(ns("pods"), labelSelector=f"app={name}").body["items"]
        ),
        "the old pod is gone",
    )
    api.delete(ns("deployments", name))
