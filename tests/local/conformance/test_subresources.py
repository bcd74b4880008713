"""status and scale: each door writes its own part of an object and nothing else."""

from __future__ import annotations

import pytest

from kube_manifests import GROUP, Namespace, deployment, gadget
from kube_wire import Wire


def test_a_create_drops_the_status(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("gadgets"), {**gadget("early", code="ab"), "status": {"note": "mine"}})
    assert "status" not in made


def test_a_replace_of_the_object_leaves_the_status(api: Wire, ns: Namespace) -> None:
    api.create(ns("gadgets"), gadget("put-main", code="ab"))
    seen = api.patch(ns("gadgets", "put-main", "status"), {"status": {"note": "kept"}}).body
    seen["spec"]["code"] = "cd"
    seen["status"] = {"note": "overwritten"}
    after = api.put(ns("gadgets", "put-main"), seen)
    assert after.status == 200
    assert (after.body["spec"]["code"], after.body["status"]) == ("cd", {"note": "kept"})


def test_a_patch_of_the_object_leaves_the_status(api: Wire, ns: Namespace) -> None:
    api.create(ns("gadgets"), gadget("patch-main", code="ab"))
    after = api.patch(ns("gadgets", "patch-main"), {"spec": {"code": "cd"}, "status": {"note": "no"}})
    assert after.body["spec"]["code"] == "cd"
    assert "status" not in after.body


def test_a_replace_of_the_status_leaves_spec_and_metadata(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("gadgets"), gadget("put-status", code="ab"))
    made["spec"]["code"] = "cd"
    made["metadata"]["labels"] = {"a": "b"}
    made["metadata"]["annotations"] = {"a": "b"}
    made["status"] = {"note": "written"}
    after = api.put(ns("gadgets", "put-status", "status"), made).body
    assert (after["spec"]["code"], after["status"]) == ("ab", {"note": "written"})
    assert not {"labels", "annotations"} & set(after["metadata"])


def test_a_patch_of_the_status_leaves_spec_and_labels(api: Wire, ns: Namespace) -> None:
    api.create(ns("gadgets"), gadget("patch-status", code="ab"))
    patch = {"metadata": {"labels": {"a": "b"}}, "spec": {"code": "cd"}, "status": {"replicas": 2}}
    after = api.patch(ns("gadgets", "patch-status", "status"), patch).body
    assert (after["spec"]["code"], after["status"]) == ("ab", {"replicas": 2})
    assert "labels" not in after["metadata"]


def test_a_replace_of_the_status_removes_what_it_leaves_out(api: Wire, ns: Namespace) -> None:
    api.create(ns("gadgets"), gadget("shrinks", code="ab"))
    path = ns("gadgets", "shrinks", "status")
    seen = api.patch(path, {"status": {"note": "a", "replicas": 2}}).body
    assert api.put(path, {**seen, "status": {"replicas": 3}}).body["status"] == {"replicas": 3}


def test_the_status_is_validated(api: Wire, ns: Namespace) -> None:
    api.create(ns("gadgets"), gadget("checked", code="ab"))
    answer = api.patch(ns("gadgets", "checked", "status"), {"status": {"observedGeneration": "many"}})
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.fields == {"status.observedGeneration"}


def test_unknown_status_fields_are_pruned(api: Wire, ns: Namespace) -> None:
    api.create(ns("gadgets"), gadget("pruned", code="ab"))
    after = api.patch(ns("gadgets", "pruned", "status"), {"status": {"note": "a", "spoon": 1}})
    assert after.body["status"] == {"note": "a"}


def test_the_status_can_be_read_alone_as_the_whole_object(api: Wire, ns: Namespace) -> None:
    api.create(ns("gadgets"), gadget("whole", code="ab"))
    assert api.read(ns("gadgets", "whole", "status")) == api.read(ns("gadgets", "whole"))


def test_a_status_write_of_a_deployment_leaves_its_spec(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("deployments"), deployment("door", replicas=0))
    patch = {"spec": {"replicas": 5}, "status": {"conditions": [{"type": "Mine", "status": "True"}]}}
    after = api.patch(ns("deployments", "door", "status"), patch)
    assert after.status == 200
    assert after.body["spec"] == made["spec"]


def test_a_write_of_a_deployment_leaves_its_status(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("deployments"), {**deployment("main", replicas=0), "status": {"replicas": 7}})
    assert "replicas" not in made["status"]
    after = api.patch(ns("deployments", "main"), {"status": {"replicas": 8}})
    assert "replicas" not in after.body["status"]


@pytest.fixture
def scaled(api: Wire, ns: Namespace) -> str:
    """The path of the scale of a gadget whose status a controller has written."""
    made = gadget(code="ab", replicas=3)
    name = api.create(ns("gadgets"), made)["metadata"]["name"]
    api.patch(ns("gadgets", name, "status"), {"status": {"replicas": 2, "selector": "app=x,tier in (a,b)"}})
    return ns("gadgets", name, "scale")


def test_the_scale_of_a_custom_resource_maps_the_paths(api: Wire, scaled: str) -> None:
    scale = api.read(scaled)
    assert (scale["apiVersion"], scale["kind"]) == ("autoscaling/v1", "Scale")
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 2, "selector": "app=x,tier in (a,b)"}
    whole = api.read(scaled.removesuffix("/scale"))["metadata"]
    for field in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp"):
        assert scale["metadata"][field] == whole[field]


def test_a_replace_of_the_scale_writes_the_spec_and_raises_the_generation(api: Wire, scaled: str) -> None:
    scale = api.read(scaled)
    scale["spec"]["replicas"] = 5
    answer = api.put(scaled, scale)
    assert (answer.status, answer.body["spec"]) == (200, {"replicas": 5})
    whole = api.read(scaled.removesuffix("/scale"))
    assert whole["spec"] == {"code": "ab", "replicas": 5, "size": "Small"}
    assert whole["metadata"]["generation"] == 2


def test_a_patch_of_the_scale_writes_the_spec(api: Wire, scaled: str) -> None:
    answer = api.patch(scaled, {"spec": {"replicas": 4}})
    assert (answer.status, answer.body["spec"]) == (200, {"replicas": 4})
    assert api.read(scaled.removesuffix("/scale"))["spec"]["replicas"] == 4


def test_the_scale_cannot_write_the_status(api: Wire, scaled: str) -> None:
    api.patch(scaled, {"spec": {"replicas": 4}, "status": {"replicas": 9}})
    assert api.read(scaled.removesuffix("/scale"))["status"]["replicas"] == 2


def test_a_scale_that_the_schema_forbids_is_refused(api: Wire, scaled: str) -> None:
    answer = api.patch(scaled, {"spec": {"replicas": 11}})
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.body["details"]["group"] == GROUP
    assert answer.fields == {"spec.replicas"}


def test_a_scale_with_an_old_resource_version_conflicts(api: Wire, scaled: str) -> None:
    old = api.read(scaled)
    assert api.put(scaled, {**old, "spec": {"replicas": 5}}).status == 200
    answer = api.put(scaled, {**old, "spec": {"replicas": 6}})
    assert (answer.status, answer.reason) == (409, "Conflict")


def test_a_deployment_is_scaled_through_its_scale(api: Wire, ns: Namespace) -> None:
    api.create(ns("deployments"), deployment("wide", replicas=0))
    scale = api.read(ns("deployments", "wide", "scale"))
    assert scale["spec"] == {}
    assert scale["status"]["selector"] == "app=wide"
    answer = api.patch(ns("deployments", "wide", "scale"), {"spec": {"replicas": 1}})
    assert answer.body["spec"] == {"replicas": 1}
    assert api.read(ns("deployments", "wide"))["spec"]["replicas"] == 1
