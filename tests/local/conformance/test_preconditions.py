"""Optimistic locking, preconditions of deletes, and when the generation rises: what lets two writers live together."""

from __future__ import annotations

from kube_manifests import Namespace, configmap, deployment, gadget, service
from kube_wire import Obj, Wire


def preconditions(**wanted: str) -> Obj:
    return {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": wanted}


def test_a_replace_with_an_old_resource_version_conflicts(api: Wire, ns: Namespace) -> None:
    old = api.create(ns("configmaps"), configmap("put", a="1"))
    api.put(ns("configmaps", "put"), {**old, "data": {"a": "2"}})
    answer = api.put(ns("configmaps", "put"), {**old, "data": {"a": "3"}})
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert api.read(ns("configmaps", "put"))["data"] == {"a": "2"}


def test_a_config_map_without_resource_version_is_replaced_anyway(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), configmap("blind", a="1"))
    answer = api.put(ns("configmaps", "blind"), configmap("blind", a="2"))
    assert (answer.status, answer.body["data"]) == (200, {"a": "2"})


def test_a_custom_resource_without_resource_version_is_not_replaced(api: Wire, ns: Namespace) -> None:
    api.create(ns("gadgets"), gadget("blind", code="ab"))
    answer = api.put(ns("gadgets", "blind"), gadget("blind", code="cd"))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.fields == {"metadata.resourceVersion"}
    assert "must be specified for an update" in answer.message


def test_a_merge_patch_with_an_old_resource_version_conflicts(api: Wire, ns: Namespace) -> None:
    old = api.create(ns("configmaps"), configmap("merge", a="1"))["metadata"]["resourceVersion"]
    path = ns("configmaps", "merge")
    first = api.patch(path, {"metadata": {"resourceVersion": old}, "data": {"a": "2"}})
    assert first.status == 200
    answer = api.patch(path, {"metadata": {"resourceVersion": old}, "data": {"a": "3"}})
    assert (answer.status, answer.reason) == (409, "Conflict")


def test_a_status_replace_with_an_old_resource_version_conflicts(api: Wire, ns: Namespace) -> None:
    old = api.create(ns("gadgets"), gadget("ahead", code="ab"))
    path = ns("gadgets", "ahead", "status")
    assert api.put(path, {**old, "status": {"note": "one"}}).status == 200
    answer = api.put(path, {**old, "status": {"note": "two"}})
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert api.read(ns("gadgets", "ahead"))["status"] == {"note": "one"}


def test_a_delete_with_another_uid_conflicts_and_says_both(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap("namesake"))
    wrong = "00000000-0000-0000-0000-000000000000"
    answer = api.delete(ns("configmaps", "namesake"), preconditions(uid=wrong))
    assert (answer.status, answer.reason) == (409, "Conflict")
    uid = made["metadata"]["uid"]
    assert f"the UID in the precondition ({wrong}) does not match the UID in record ({uid})" in answer.message
    assert api.get(ns("configmaps", "namesake")).status == 200


def test_a_delete_with_an_old_resource_version_conflicts(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap("moved", a="1"))
    api.patch(ns("configmaps", "moved"), {"data": {"a": "2"}})
    uid, old = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    answer = api.delete(ns("configmaps", "moved"), preconditions(uid=uid, resourceVersion=old))
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert "the ResourceVersion in the precondition" in answer.message


def test_a_delete_with_the_present_uid_and_resource_version_succeeds(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("gadgets"), gadget("exact", code="ab"))["metadata"]
    body = preconditions(uid=made["uid"], resourceVersion=made["resourceVersion"])
    assert api.delete(ns("gadgets", "exact"), body).status == 200
    assert api.get(ns("gadgets", "exact")).status == 404


def test_the_generation_begins_at_one_and_rises_with_the_spec_only(api: Wire, ns: Namespace) -> None:
    path = ns("gadgets", "counted")
    assert api.create(ns("gadgets"), gadget("counted", code="ab"))["metadata"]["generation"] == 1
    labelled = api.patch(path, {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}})
    assert labelled.body["metadata"]["generation"] == 1
    changed = api.patch(path, {"spec": {"code": "cd"}})
    assert changed.body["metadata"]["generation"] == 2
    same = api.patch(path, {"spec": {"code": "cd"}})
    assert same.body["metadata"]["generation"] == 2


def test_a_status_write_keeps_the_generation_and_moves_the_resource_version(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("gadgets"), gadget("observed", code="ab"))["metadata"]
    after = api.patch(ns("gadgets", "observed", "status"), {"status": {"note": "seen"}}).body["metadata"]
    assert after["generation"] == made["generation"]
    assert int(after["resourceVersion"]) > int(made["resourceVersion"])


def test_the_generation_is_the_servers(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("gadgets"), gadget("bold", code="ab", metadata={"generation": 41}))
    assert made["metadata"]["generation"] == 1
    assert api.patch(ns("gadgets", "bold"), {"metadata": {"generation": 42}}).body["metadata"]["generation"] == 1


def test_the_generation_of_a_deployment_rises_with_its_spec(api: Wire, ns: Namespace) -> None:
    assert api.create(ns("deployments"), deployment("grown", replicas=0))["metadata"]["generation"] == 1
    after = api.patch(ns("deployments", "grown"), {"spec": {"minReadySeconds": 1}})
    assert after.body["metadata"]["generation"] == 2
    labelled = api.patch(ns("deployments", "grown"), {"metadata": {"labels": {"a": "b"}}})
    assert labelled.body["metadata"]["generation"] == 2


def test_a_service_keeps_its_cluster_ip_when_a_replace_leaves_it_out(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("services"), service("kept", {"app": "one"}))
    assert made["spec"]["clusterIP"]
    assert made["spec"]["type"] == "ClusterIP"
    wanted = service("kept", {"app": "two"})
    answer = api.put(ns("services", "kept"), wanted)
    assert answer.status == 200
    assert answer.body["spec"]["selector"] == {"app": "two"}
    assert answer.body["spec"]["clusterIP"] == made["spec"]["clusterIP"]
