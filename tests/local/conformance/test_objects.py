"""Creating, reading, replacing and deleting objects, and what the server itself writes into them."""

from __future__ import annotations

import re

from kube_manifests import RUN, Namespace, configmap, deployment, fresh, gadget, lease, pod, service
from kube_wire import Obj, Wire


def test_a_created_object_comes_back_with_what_the_server_fills_in(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("configmaps"), configmap("filled", key="value"))
    assert answer.status == 201
    metadata = answer.body["metadata"]
    assert (answer.body["apiVersion"], answer.body["kind"]) == ("v1", "ConfigMap")
    assert answer.body["data"] == {"key": "value"}
    assert metadata["namespace"] == ns.name
    assert re.fullmatch(r"[0-9a-f-]{36}", metadata["uid"])
    assert int(metadata["resourceVersion"]) > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    # ConfigMaps have no desired state, hence no generation; nor is there a selfLink any more.
    assert not {"generation", "selfLink"} & set(metadata)


def test_a_read_returns_what_the_create_answered(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap("same", key="value"))
    assert api.read(ns("configmaps", "same")) == made


def test_answers_are_json_and_not_to_be_cached(api: Wire, ns: Namespace) -> None:
    answer = api.get(ns("configmaps"))
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-cache, private"


def test_uid_creation_time_and_resource_version_of_a_create_are_not_the_clients(api: Wire, ns: Namespace) -> None:
    wanted = configmap("claims")
    wanted["metadata"] |= {"uid": "00000000-0000-0000-0000-000000000000", "creationTimestamp": "2001-01-01T00:00:00Z"}
    made = api.create(ns("configmaps"), wanted)
    assert made["metadata"]["uid"] != wanted["metadata"]["uid"]
    assert not made["metadata"]["creationTimestamp"].startswith("2001")


def test_a_create_with_a_resource_version_is_refused(api: Wire, ns: Namespace) -> None:
    wanted = configmap("versioned")
    wanted["metadata"]["resourceVersion"] = "1"
    answer = api.post(ns("configmaps"), wanted)
    # Surprising: a server error, not a 4xx.
    assert answer.status == 500
    assert answer.message == "resourceVersion should not be set on objects to be created"


def test_generate_name_makes_a_unique_name(api: Wire, ns: Namespace) -> None:
    wanted = configmap()
    wanted["metadata"] = {"generateName": "made-"}
    first, second = (api.create(ns("configmaps"), wanted)["metadata"] for _ in range(2))
    assert re.fullmatch(r"made-[a-z0-9]{5}", first["name"])
    assert first["generateName"] == "made-"
    assert first["name"] != second["name"]


def test_a_namespace_is_filled_in_from_the_path(api: Wire, ns: Namespace) -> None:
    wanted = configmap("placed")
    wanted["metadata"]["namespace"] = ns.name
    assert api.post(ns("configmaps"), wanted).status == 201


def test_a_namespace_that_differs_from_the_path_is_a_bad_request(api: Wire, ns: Namespace) -> None:
    wanted = configmap("elsewhere")
    wanted["metadata"]["namespace"] = "another"
    answer = api.post(ns("configmaps"), wanted)
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert answer.message == "the namespace of the provided object does not match the namespace sent on the request"


def test_a_create_in_a_missing_namespace_is_not_found(api: Wire) -> None:
    answer = api.post(Namespace("there-is-none")("configmaps"), configmap("lost"))
    assert (answer.status, answer.reason) == (404, "NotFound")
    assert answer.message == 'namespaces "there-is-none" not found'


def test_a_list_of_a_missing_namespace_is_empty(api: Wire) -> None:
    assert api.read(Namespace("there-is-none")("configmaps"))["items"] == []


def test_a_replace_takes_away_what_it_leaves_out(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap("replaced", a="1", b="2"))
    made["data"] = {"b": "3"}
    answer = api.put(ns("configmaps", "replaced"), made)
    assert answer.status == 200
    assert answer.body["data"] == {"b": "3"}
    assert answer.body["metadata"]["uid"] == made["metadata"]["uid"]
    assert int(answer.body["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


def test_a_replace_that_changes_nothing_keeps_the_resource_version(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap("untouched", a="1"))
    again = api.put(ns("configmaps", "untouched"), made)
    assert again.body["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_replace_under_another_name_is_a_bad_request(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap("right"))
    answer = api.put(ns("configmaps", "wrong"), made)
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert answer.message == "the name of the object (right) does not match the name on the URL (wrong)"


def test_a_replace_of_a_missing_custom_resource_is_not_found(api: Wire, ns: Namespace) -> None:
    answer = api.put(ns("gadgets", "missing"), {**gadget("missing", code="ab")})
    # Absence is told even though the missing resourceVersion would be refused too.
    assert answer.status == 404


def test_a_delete_of_a_config_map_answers_success_and_the_uid(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap("goes"))
    answer = api.delete(ns("configmaps", "goes"))
    assert answer.status == 200
    assert (answer.body["kind"], answer.body["status"]) == ("Status", "Success")
    assert answer.body["details"] == {"name": "goes", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert api.get(ns("configmaps", "goes")).status == 404


def test_a_name_is_free_again_after_its_deletion(api: Wire, ns: Namespace) -> None:
    first = api.create(ns("configmaps"), configmap("again"))
    api.delete(ns("configmaps", "again"))
    second = api.create(ns("configmaps"), configmap("again"))
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


def test_a_dry_run_create_checks_and_fills_in_but_stores_nothing(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("gadgets"), gadget("rehearsal", code="ab"), dryRun="All")
    assert answer.status == 201
    assert answer.body["spec"]["size"] == "Small"
    assert api.get(ns("gadgets", "rehearsal")).status == 404
    assert api.post(ns("gadgets"), gadget("rehearsal"), dryRun="All").status == 422


def test_a_dry_run_delete_deletes_nothing(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), configmap("spared"))
    assert api.delete(ns("configmaps", "spared"), dryRun="All").status == 200
    assert api.get(ns("configmaps", "spared")).status == 200


def test_every_kind_that_headgate_writes_can_be_created_read_and_deleted(api: Wire, ns: Namespace) -> None:
    name = fresh("kind")
    asleep = {"nodeSelector": {"conformance.headgate.dev/nowhere": "true"}}
    waiting = pod(name, {"image": "conformance.invalid/none:1"})
    revision = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": name}, "revision": 1}
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name},
        "addressType": "IPv4",
        # A real server refuses loopback addresses here; the embedded one lives on them.
        "endpoints": [{"addresses": ["10.9.9.9"]}],
        "ports": [{"port": 80}],
    }
    objects: dict[str, Obj] = {
        # First, because a pod is refused while its service account is not there.
        "serviceaccounts": {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        "secrets": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}},
        "services": service(name, {"app": name}),
        "pods": waiting | {"spec": waiting["spec"] | asleep | {"serviceAccountName": name}},
        "deployments": deployment(name, replicas=0),
        "controllerrevisions": revision | {"data": {"a": 1}},
        "leases": lease(name, holderIdentity="me"),
        "endpointslices": slice_,
        "gadgets": gadget(name, code="ab"),
    }
    for resource, obj in objects.items():
        made = api.create(ns(resource), obj)
        assert made["kind"] == obj["kind"]
        assert api.read(ns(resource, name))["metadata"]["uid"] == made["metadata"]["uid"]
    for resource in reversed(objects):
        assert api.delete(ns(resource, name), gracePeriodSeconds=0).status == 200, resource
        assert api.get(ns(resource, name)).status == 404, resource


def test_pod_disruption_budgets_can_be_created_and_deleted(api: Wire, ns: Namespace) -> None:
    path = f"/apis/policy/v1/namespaces/{ns.name}/poddisruptionbudgets"
    selector = {"matchLabels": {"app": RUN}}
    spec = {"maxUnavailable": 1, "selector": selector}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "one"}, "spec": spec}
    assert api.create(path, budget)["spec"]["maxUnavailable"] == 1
    assert api.delete(f"{path}/one").status == 200
