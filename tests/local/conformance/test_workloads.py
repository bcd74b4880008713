"""Deployments and their ReplicaSets, as far as no pod has to run: the pods below fit no node."""

from __future__ import annotations

import pytest

from kube_manifests import Namespace, deployment, fresh
from kube_wire import Obj, Wire, eventually


def sets(api: Wire, ns: Namespace, name: str) -> list[Obj]:
    items = api.get(ns("replicasets"), labelSelector=f"app={name}").body["items"]
    return [item for item in items if item["metadata"].get("ownerReferences")]


def pods(api: Wire, ns: Namespace, name: str) -> list[Obj]:
    items = api.get(ns("pods"), labelSelector=f"app={name}").body["items"]
    return [item for item in items if "deletionTimestamp" not in item["metadata"]]


def observed(api: Wire, ns: Namespace, name: str) -> Obj | None:
    """The Deployment, once its controller has seen its present generation."""
    seen = api.read(ns("deployments", name))
    current = seen["status"].get("observedGeneration") == seen["metadata"]["generation"]
    return seen if current else None


def condition(obj: Obj, kind: str) -> Obj:
    found: Obj = next((c for c in obj["status"].get("conditions", []) if c["type"] == kind), {})
    return found


@pytest.fixture
def name(api: Wire, ns: Namespace) -> str:
    """A Deployment of two pods whose set and pods are there."""
    name = fresh("web")
    api.create(ns("deployments"), deployment(name, replicas=2))
    eventually(lambda: len(pods(api, ns, name)) == 2, "two pods")
    return name


def test_a_deployment_is_filled_with_defaults(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("deployments"), deployment(fresh("web"), replicas=0))["spec"]
    assert made["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    assert (made["revisionHistoryLimit"], made["progressDeadlineSeconds"]) == (10, 600)
    pod = made["template"]["spec"]
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Always", 30)
    assert pod["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_a_deployment_makes_one_set_named_by_the_hash_of_its_template(api: Wire, ns: Namespace, name: str) -> None:
    [made] = sets(api, ns, name)
    label = made["metadata"]["labels"]["pod-template-hash"]
    assert made["metadata"]["name"] == f"{name}-{label}"
    assert made["spec"]["selector"]["matchLabels"] == {"app": name, "pod-template-hash": label}
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": name, "pod-template-hash": label}
    assert made["spec"]["replicas"] == 2


def test_a_set_is_controlled_by_its_deployment(api: Wire, ns: Namespace, name: str) -> None:
    [made] = sets(api, ns, name)
    assert made["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": name,
            "uid": api.read(ns("deployments", name))["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_pods_are_controlled_by_their_set_and_carry_its_hash(api: Wire, ns: Namespace, name: str) -> None:
    [made] = sets(api, ns, name)
    for pod in pods(api, ns, name):
        [reference] = pod["metadata"]["ownerReferences"]
        assert (reference["kind"], reference["uid"]) == ("ReplicaSet", made["metadata"]["uid"])
        assert pod["metadata"]["labels"] == made["spec"]["template"]["metadata"]["labels"]
        assert pod["metadata"]["name"].startswith(made["metadata"]["name"] + "-")
        assert pod["status"]["phase"] == "Pending"


def test_the_status_counts_pods_and_follows_the_generation(api: Wire, ns: Namespace, name: str) -> None:
    seen = eventually(
        lambda: (got := observed(api, ns, name)) and got["status"].get("updatedReplicas") == 2 and got, "two counted"
    )
    assert seen["status"]["replicas"] == 2
    assert seen["status"]["unavailableReplicas"] == 2
    # Zeros are left out.
    assert not {"readyReplicas", "availableReplicas"} & set(seen["status"])


def test_a_deployment_without_ready_pods_is_not_available(api: Wire, ns: Namespace, name: str) -> None:
    seen = eventually(
        lambda: (got := observed(api, ns, name)) and condition(got, "Available") and got, "the condition is there"
    )
    available = condition(seen, "Available")
    assert (available["status"], available["reason"]) == ("False", "MinimumReplicasUnavailable")
    assert available["message"] == "Deployment does not have minimum availability."


def test_a_deployment_that_makes_a_set_is_progressing(api: Wire, ns: Namespace, name: str) -> None:
    def progressing() -> Obj | None:
        found = condition(api.read(ns("deployments", name)), "Progressing")
        return found if found.get("reason") == "ReplicaSetUpdated" else None

    assert eventually(progressing, "the set is told")["status"] == "True"


def test_a_deployment_and_its_set_are_annotated_with_the_revision(api: Wire, ns: Namespace, name: str) -> None:
    annotation = "deployment.kubernetes.io/revision"
    assert sets(api, ns, name)[0]["metadata"]["annotations"][annotation] == "1"
    eventually(
        lambda: api.read(ns("deployments", name))["metadata"].get("annotations", {}).get(annotation) == "1",
        "the deployment is annotated",
    )


def test_a_deployment_of_no_pods_is_available_and_complete(api: Wire, ns: Namespace) -> None:
    name = fresh("web")
    api.create(ns("deployments"), deployment(name, replicas=0))

    def complete() -> Obj | None:
        seen = observed(api, ns, name)
        return seen if seen and condition(seen, "Progressing").get("reason") == "NewReplicaSetAvailable" else None

    seen = eventually(complete, "complete")
    assert (condition(seen, "Available")["status"], condition(seen, "Available")["reason"]) == (
        "True",
        "MinimumReplicasAvailable",
    )
    assert "replicas" not in seen["status"]


def test_a_deployment_scaled_down_takes_pods_away_and_keeps_its_set(api: Wire, ns: Namespace, name: str) -> None:
    [before] = sets(api, ns, name)
    api.patch(ns("deployments", name, "scale"), {"spec": {"replicas": 0}})
    eventually(lambda: not pods(api, ns, name), "no pods")
    [after] = sets(api, ns, name)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["replicas"] == 0


def test_a_deployment_scaled_up_makes_pods_of_the_same_set(api: Wire, ns: Namespace, name: str) -> None:
    api.patch(ns("deployments", name, "scale"), {"spec": {"replicas": 3}})
    eventually(lambda: len(pods(api, ns, name)) == 3, "three pods")
    assert len(sets(api, ns, name)) == 1


def image(name: str) -> Obj:
    return {
        "spec": {"template": {"spec": {"containers": [{"name": "main", "image": f"conformance.invalid/{name}:1"}]}}}
    }


def wanted(api: Wire, ns: Namespace, name: str) -> dict[str, int]:
    """How many pods each set is to have, by its image."""
    return {
        item["spec"]["template"]["spec"]["containers"][0]["image"].split("/")[1]: item["spec"]["replicas"]
        for item in sets(api, ns, name)
    }


def test_a_new_template_makes_a_new_set_and_surges(api: Wire, ns: Namespace, name: str) -> None:
    api.patch(ns("deployments", name), image("next"))
    # 25 % of 2 is one pod more (rounded up) and none less (rounded down), ready or not.
    eventually(lambda: wanted(api, ns, name) == {"none:1": 2, "next:1": 1}, "one pod of the new set")


def test_a_surge_of_one_keeps_the_old_set_until_new_pods_are_ready(api: Wire, ns: Namespace) -> None:
    name = fresh("web")
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    made = deployment(name, replicas=1, strategy=strategy)
    api.create(ns("deployments"), made)
    eventually(lambda: len(pods(api, ns, name)) == 1, "one pod")
    api.patch(ns("deployments", name), image("next"))
    seen = eventually(lambda: (got := wanted(api, ns, name)).get("next:1") == 1 and got, "the new set has its pod")
    assert set(seen) == {"none:1", "next:1"}


def test_a_template_that_comes_back_finds_its_old_set(api: Wire, ns: Namespace, name: str) -> None:
    [first] = sets(api, ns, name)
    api.patch(ns("deployments", name), image("next"))
    eventually(lambda: len(sets(api, ns, name)) == 2, "a second set")
    api.patch(ns("deployments", name), image("none"))

    path = ns("replicasets", first["metadata"]["name"])
    annotation = "deployment.kubernetes.io/revision"
    eventually(
        lambda: api.read(path)["metadata"]["annotations"][annotation] == "3", "the first set is the newest again"
    )
    assert api.read(path)["metadata"]["uid"] == first["metadata"]["uid"]
    assert len(sets(api, ns, name)) == 2


def test_old_sets_beyond_the_history_limit_are_removed(api: Wire, ns: Namespace) -> None:
    name = fresh("web")
    api.create(ns("deployments"), deployment(name, replicas=0, revisionHistoryLimit=0))
    eventually(lambda: len(sets(api, ns, name)) == 1, "the first set")
    api.patch(ns("deployments", name), image("next"))
    eventually(lambda: wanted(api, ns, name) == {"next:1": 0}, "only the new set is left")


def test_a_paused_deployment_scales_but_does_not_roll(api: Wire, ns: Namespace, name: str) -> None:
    api.patch(ns("deployments", name), {"spec": {"paused": True, **image("next")["spec"], "replicas": 1}})
    eventually(lambda: observed(api, ns, name), "seen")
    eventually(lambda: wanted(api, ns, name) == {"none:1": 1}, "scaled, not rolled")


def test_a_deleted_pod_is_replaced(api: Wire, ns: Namespace, name: str) -> None:
    victim = pods(api, ns, name)[0]["metadata"]["uid"]
    api.delete(ns("pods", pods(api, ns, name)[0]["metadata"]["name"]), gracePeriodSeconds=0)

    def replaced() -> bool:
        present = {pod["metadata"]["uid"] for pod in pods(api, ns, name)}
        return len(present) == 2 and victim not in present

    eventually(replaced, "another pod is there")


def test_sets_and_pods_go_with_their_deployment(api: Wire, ns: Namespace, name: str) -> None:
    api.delete(ns("deployments", name))
    eventually(lambda: not sets(api, ns, name) and not pods(api, ns, name), "sets and pods are gone")


def test_a_deployment_deleted_in_the_foreground_goes_last(api: Wire, ns: Namespace, name: str) -> None:
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
    api.delete(ns("deployments", name), options)
    eventually(lambda: api.get(ns("deployments", name)).status == 404, "the deployment is gone")
    assert sets(api, ns, name) == []


def test_a_status_of_sets_tells_their_pods(api: Wire, ns: Namespace, name: str) -> None:
    def counted() -> Obj | None:
        [seen] = sets(api, ns, name)
        return seen["status"] if seen["status"].get("replicas") == 2 else None

    status = eventually(counted, "the set counts its pods")
    assert status["fullyLabeledReplicas"] == 2
    assert status["observedGeneration"] == 1
    assert not status.get("readyReplicas")
