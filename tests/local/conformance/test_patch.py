"""Merge patch, JSON patch, and where a strategic merge patch is refused."""

from __future__ import annotations

import pytest

from kube_manifests import Namespace, configmap, deployment, fresh, gadget
from kube_wire import JSON_PATCH, MERGE, STRATEGIC, Obj, Wire


def made(api: Wire, ns: Namespace, **spec: object) -> str:
    """The path of a new gadget."""
    name = fresh("patched")
    api.create(ns("gadgets"), gadget(name, **{"code": "ab", **spec}))
    return ns("gadgets", name)


def test_a_merge_patch_merges_objects_and_null_removes(api: Wire, ns: Namespace) -> None:
    path = made(api, ns, nested={"level": 1, "note": "x"}, labels={"a": "1", "b": "2"})
    after = api.patch(path, {"spec": {"nested": {"note": None}, "labels": {"a": None, "c": "3"}}})
    assert after.status == 200
    assert after.body["spec"]["nested"] == {"level": 1}
    assert after.body["spec"]["labels"] == {"b": "2", "c": "3"}


def test_a_merge_patch_replaces_lists_whole(api: Wire, ns: Namespace) -> None:
    path = made(api, ns, parts=[{"name": "a"}, {"name": "b"}])
    assert api.patch(path, {"spec": {"parts": [{"name": "c"}]}}).body["spec"]["parts"] == [{"name": "c"}]


def test_a_removed_field_gets_its_default_again(api: Wire, ns: Namespace) -> None:
    path = made(api, ns, size="Large")
    assert api.patch(path, {"spec": {"size": None}}).body["spec"]["size"] == "Small"


def test_a_merge_patch_that_breaks_the_schema_is_refused(api: Wire, ns: Namespace) -> None:
    path = made(api, ns)
    answer = api.patch(path, {"spec": {"code": None}})
    assert (answer.status, answer.fields) == (422, {"spec.code"})
    assert api.read(path)["spec"]["code"] == "ab"


def test_a_merge_patch_cannot_change_the_name(api: Wire, ns: Namespace) -> None:
    path = made(api, ns)
    answer = api.patch(path, {"metadata": {"name": "another"}})
    assert answer.status == 400
    assert "the name of the object (another) does not match the name on the URL" in answer.message


def test_a_json_patch_adds_replaces_and_removes(api: Wire, ns: Namespace) -> None:
    path = made(api, ns, labels={"a": "1"})
    operations = [
        {"op": "add", "path": "/spec/labels/b~1c", "value": "2"},
        {"op": "replace", "path": "/spec/code", "value": "cd"},
        {"op": "remove", "path": "/spec/labels/a"},
    ]
    after = api.patch(path, operations, JSON_PATCH)
    assert after.status == 200
    assert (after.body["spec"]["labels"], after.body["spec"]["code"]) == ({"b/c": "2"}, "cd")


def test_a_json_patch_works_on_list_places(api: Wire, ns: Namespace) -> None:
    path = made(api, ns, steps=[{"weight": 1}, {"weight": 2}])
    operations = [
        {"op": "add", "path": "/spec/steps/-", "value": {"weight": 9}},
        {"op": "remove", "path": "/spec/steps/0"},
    ]
    assert api.patch(path, operations, JSON_PATCH).body["spec"]["steps"] == [{"weight": 2}, {"weight": 9}]


def test_a_json_patch_goes_through_when_its_test_holds(api: Wire, ns: Namespace) -> None:
    path = made(api, ns)
    version = api.read(path)["metadata"]["resourceVersion"]
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/code", "value": "cd"},
    ]
    assert api.patch(path, operations, JSON_PATCH).status == 200


def test_a_json_patch_whose_test_fails_is_invalid_and_changes_nothing(api: Wire, ns: Namespace) -> None:
    path = made(api, ns)
    operations = [
        {"op": "replace", "path": "/spec/code", "value": "cd"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "1"},
    ]
    answer = api.patch(path, operations, JSON_PATCH)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert api.read(path)["spec"]["code"] == "ab"


def test_a_json_patch_of_a_missing_place_is_invalid(api: Wire, ns: Namespace) -> None:
    answer = api.patch(made(api, ns), [{"op": "remove", "path": "/spec/labels"}], JSON_PATCH)
    assert (answer.status, answer.reason) == (422, "Invalid")


def test_a_json_patch_that_is_no_list_is_a_bad_request(api: Wire, ns: Namespace) -> None:
    assert api.patch(made(api, ns), {"op": "add"}, JSON_PATCH).status == 400


def test_a_json_patch_of_the_status_goes_through_its_door(api: Wire, ns: Namespace) -> None:
    path = made(api, ns)
    operations = [{"op": "add", "path": "/status", "value": {"note": "set"}}]
    assert api.patch(path + "/status", operations, JSON_PATCH).body["status"] == {"note": "set"}


def test_a_strategic_merge_patch_of_a_custom_resource_is_415(api: Wire, ns: Namespace) -> None:
    answer = api.patch(made(api, ns), {"spec": {"code": "cd"}}, STRATEGIC)
    assert (answer.status, answer.reason) == (415, "UnsupportedMediaType")
    for accepted in ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"):
        assert accepted in answer.message


def test_a_patch_sent_as_plain_json_is_415(api: Wire, ns: Namespace) -> None:
    answer = api.patch(made(api, ns), {"spec": {"code": "cd"}}, "application/json")
    assert (answer.status, answer.reason) == (415, "UnsupportedMediaType")


def test_a_strategic_merge_patch_merges_containers_by_name(api: Wire, ns: Namespace) -> None:
    api.create(ns("deployments"), deployment("strategic", replicas=0))
    containers = [{"name": "main", "env": [{"name": "A", "value": "1"}]}]
    after = api.patch(
        ns("deployments", "strategic"), {"spec": {"template": {"spec": {"containers": containers}}}}, STRATEGIC
    )
    [container] = after.body["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "conformance.invalid/none:1"
    assert container["env"] == [{"name": "A", "value": "1"}]


def test_a_patch_that_changes_nothing_keeps_the_resource_version(api: Wire, ns: Namespace) -> None:
    path = made(api, ns)
    before = api.read(path)["metadata"]["resourceVersion"]
    assert api.patch(path, {"spec": {"code": "ab"}}).body["metadata"]["resourceVersion"] == before


def test_a_dry_run_patch_shows_the_outcome_and_stores_nothing(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), configmap("tried", a="1"))
    assert api.patch(ns("configmaps", "tried"), {"data": {"a": "2"}}, dryRun="All").body["data"] == {"a": "2"}
    assert api.read(ns("configmaps", "tried"))["data"] == {"a": "1"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/a", "value": "2"},
        {"op": "remove", "path": "/data/b"},
        {"op": "add", "path": "/spoon/fork", "value": "x"},
        {"op": "spoon", "path": "/data/b", "value": "x"},
    ],
    ids=["a test that fails", "nothing to remove", "nowhere to add", "no operation"],
)
def test_a_json_patch_that_cannot_be_done_does_not_say_why(api: Wire, ns: Namespace, operation: Obj) -> None:
    name = fresh("cm")
    api.create(ns("configmaps"), configmap(name, a="1"))
    answer = api.patch(ns("configmaps", name), [{"op": "add", "path": "/data/c", "value": "3"}, operation], JSON_PATCH)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.message == "the server rejected our request due to an error in our request"
    assert api.read(ns("configmaps", name))["data"] == {"a": "1"}


def test_a_json_patch_replaces_also_what_is_not_there(api: Wire, ns: Namespace) -> None:
    name = fresh("cm")
    api.create(ns("configmaps"), configmap(name, a="1"))
    # RFC 6902 forbids it.
    patch = [{"op": "replace", "path": "/data/b", "value": "2"}]
    assert api.patch(ns("configmaps", name), patch, JSON_PATCH).body["data"] == {"a": "1", "b": "2"}


def test_a_json_patch_has_at_most_ten_thousand_operations(api: Wire, ns: Namespace) -> None:
    name = fresh("cm")
    api.create(ns("configmaps"), configmap(name, a="1"))
    patch = [{"op": "test", "path": "/data/a", "value": "1"}] * 10_001
    answer = api.patch(ns("configmaps", name), patch, JSON_PATCH)
    assert (answer.status, answer.reason) == (413, "RequestEntityTooLarge")
    assert answer.message.endswith("The allowed maximum operations in a JSON patch is 10000, got 10001")


@pytest.mark.parametrize(
    ("form", "patch", "wanted"),
    [
        (JSON_PATCH, {"op": "add"}, "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        (MERGE, ["a"], "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (MERGE, "a", "json: cannot unmarshal string into Go value of type map[string]interface {}"),
        (MERGE, b"{", ""),
    ],
    ids=["an object as JSON patch", "a list as merge patch", "a text as merge patch", "no JSON"],
)
def test_a_patch_of_another_shape_is_a_bad_request(
    api: Wire, ns: Namespace, form: str, patch: object, wanted: str
) -> None:
    name = fresh("cm")
    api.create(ns("configmaps"), configmap(name, a="1"))
    answer = api.patch(ns("configmaps", name), patch, form)
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert answer.message.startswith(f"error decoding patch: {wanted}")
