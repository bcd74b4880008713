"""Server-side apply: creating, updating, owning, giving up and fighting over fields."""

from __future__ import annotations

from typing import Any

import pytest

from kube_manifests import GROUP, Namespace, configmap, deployment, fresh, gadget
from kube_wire import Obj, Wire


def intent(name: str, *, metadata: Obj | None = None, **spec: Any) -> Obj:
    return gadget(name, metadata=metadata, **spec)


def owned(obj: Obj, manager: str, subresource: str = "") -> Obj:
    """The field set that a manager has applied."""
    [entry] = [
        e
        for e in obj["metadata"]["managedFields"]
        if e["manager"] == manager and e["operation"] == "Apply" and e.get("subresource", "") == subresource
    ]
    return dict(entry["fieldsV1"])


@pytest.fixture
def name() -> str:
    return fresh("applied")


@pytest.fixture
def path(ns: Namespace, name: str) -> str:
    return ns("gadgets", name)


def test_an_apply_creates_what_is_missing(api: Wire, path: str, name: str) -> None:
    answer = api.apply(path, intent(name, code="ab"))
    assert answer.status == 201
    assert answer.body["spec"]["code"] == "ab"
    assert answer.body["metadata"]["generation"] == 1


def test_an_apply_of_an_existing_object_answers_200(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab"))
    answer = api.apply(path, intent(name, code="cd"))
    assert (answer.status, answer.body["spec"]["code"]) == (200, "cd")
    assert answer.body["metadata"]["generation"] == 2


def test_an_apply_in_yaml_is_understood(api: Wire, path: str, name: str) -> None:
    text = f"apiVersion: {GROUP}/v1\nkind: Gadget\nmetadata:\n  name: {name}\nspec:\n  code: ab  # a remark\n"
    assert api.apply(path, text.encode()).status == 201


def test_an_apply_records_manager_operation_version_and_fields(api: Wire, path: str, name: str) -> None:
    made = api.apply(path, intent(name, code="ab", labels={"a": "1"}), manager="first").body
    [entry] = made["metadata"]["managedFields"]
    time = entry.pop("time")
    assert time == made["metadata"]["creationTimestamp"]
    # Defaults (spec.size, spec.replicas) are nobody's.
    assert entry == {
        "manager": "first",
        "operation": "Apply",
        "apiVersion": f"{GROUP}/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:code": {}, "f:labels": {"f:a": {}}}},
    }


def test_a_create_is_recorded_as_an_update_that_owns_defaults_too(api: Wire, ns: Namespace, name: str) -> None:
    made = api.post(ns("gadgets"), gadget(name, code="ab"), fieldManager="poster").body
    [entry] = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("poster", "Update")
    assert entry["fieldsV1"] == {"f:spec": {".": {}, "f:code": {}, "f:replicas": {}, "f:size": {}}}


def test_the_manager_of_a_plain_write_is_the_user_agent_up_to_the_slash(api: Wire, ns: Namespace, name: str) -> None:
    made = api.post(ns("gadgets"), gadget(name, code="ab"), headers={"User-Agent": "tool/1.2 (x)"}).body
    assert made["metadata"]["managedFields"][0]["manager"] == "tool"


def test_applying_the_same_again_changes_nothing_at_all(api: Wire, path: str, name: str) -> None:
    wanted = intent(name, code="ab", parts=[{"name": "a", "count": 1}], labels={"x": "y"})
    first = api.apply(path, wanted).body
    assert api.apply(path, wanted).body == first
    assert api.read(path) == first


def test_an_apply_that_drops_a_field_removes_it(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab", comment="x", labels={"a": "1", "b": "2"}))
    after = api.apply(path, intent(name, code="ab", labels={"b": "2"})).body
    assert "comment" not in after["spec"]
    assert after["spec"]["labels"] == {"b": "2"}


def test_a_dropped_field_with_a_default_falls_back_to_it(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab", replicas=5))
    assert api.apply(path, intent(name, code="ab")).body["spec"]["replicas"] == 1


def test_a_dropped_label_is_removed(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab", metadata={"labels": {"a": "1", "b": "2"}}))
    after = api.apply(path, intent(name, code="ab", metadata={"labels": {"a": "1"}})).body
    assert after["metadata"]["labels"] == {"a": "1"}


def test_what_others_wrote_stays(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab"))
    api.patch(path, {"metadata": {"labels": {"theirs": "yes"}}, "spec": {"comment": "theirs"}})
    after = api.apply(path, intent(name, code="cd")).body
    assert after["metadata"]["labels"] == {"theirs": "yes"}
    assert after["spec"]["comment"] == "theirs"


def test_another_managers_value_is_a_conflict_that_names_manager_and_field(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab"), manager="first")
    answer = api.apply(path, intent(name, code="cd"), manager="second")
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert answer.message == 'Apply failed with 1 conflict: conflict with "first": .spec.code'
    assert answer.causes == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "first"', "field": ".spec.code"}
    ]
    assert api.read(path)["spec"]["code"] == "ab"


def test_several_conflicts_are_counted(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab", comment="x", parts=[{"name": "a", "count": 1}]), manager="first")
    answer = api.apply(path, intent(name, code="cd", comment="y", parts=[{"name": "a", "count": 2}]), manager="second")
    assert answer.message.startswith('Apply failed with 3 conflicts: conflicts with "first":\n- ')
    assert answer.fields == {".spec.code", ".spec.comment", '.spec.parts[name="a"].count'}


def test_a_plain_write_conflicts_with_an_apply_too(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab"))
    api.patch(path, {"spec": {"code": "cd"}}, fieldManager="editor")
    answer = api.apply(path, intent(name, code="ab"))
    assert answer.status == 409
    # Someone who did not apply is told with the version and time of the write.
    assert answer.message.startswith(f'Apply failed with 1 conflict: conflict with "editor" using {GROUP}/v1')


def test_force_takes_the_field_away_from_its_manager(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab", comment="x"), manager="first")
    after = api.apply(path, intent(name, code="cd"), manager="second", force=True)
    assert (after.status, after.body["spec"]["code"]) == (200, "cd")
    assert owned(after.body, "first") == {"f:spec": {"f:comment": {}}}
    assert owned(after.body, "second") == {"f:spec": {"f:code": {}}}


def test_equal_values_are_shared_without_conflict(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab", comment="x"), manager="first")
    after = api.apply(path, intent(name, code="ab"), manager="second")
    assert after.status == 200
    assert "f:code" in owned(after.body, "first")["f:spec"]
    assert owned(after.body, "second") == {"f:spec": {"f:code": {}}}


def test_a_shared_field_stays_until_its_last_manager_drops_it(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab", comment="x"), manager="first")
    api.apply(path, intent(name, code="ab", comment="x"), manager="second")
    assert api.apply(path, intent(name, code="ab"), manager="first").body["spec"]["comment"] == "x"
    assert "comment" not in api.apply(path, intent(name, code="ab"), manager="second").body["spec"]


def test_a_changed_shared_field_conflicts(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab"), manager="first")
    api.apply(path, intent(name, code="ab"), manager="second")
    answer = api.apply(path, intent(name, code="cd"), manager="first")
    assert (answer.status, answer.causes[0]["message"]) == (409, 'conflict with "second"')


def test_a_plain_update_takes_ownership_of_what_it_changes(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab", comment="x"))
    after = api.patch(path, {"spec": {"code": "cd"}}, fieldManager="editor").body
    assert owned(after, "conformance") == {"f:spec": {"f:comment": {}}}
    [entry] = [e for e in after["metadata"]["managedFields"] if e["manager"] == "editor"]
    assert (entry["operation"], entry["fieldsV1"]) == ("Update", {"f:spec": {"f:code": {}}})


def test_an_apply_without_a_manager_is_refused(api: Wire, path: str, name: str) -> None:
    answer = api.patch(path, intent(name, code="ab"), "application/apply-patch+yaml")
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert (
        answer.message
        == 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
    )


def test_force_without_apply_is_refused(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab"))
    answer = api.patch(path, {"spec": {"code": "cd"}}, force=True)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert "may not be specified for non-apply patch" in answer.message


def test_an_apply_without_kind_is_a_bad_request(api: Wire, path: str, name: str) -> None:
    assert api.apply(path, {"metadata": {"name": name}, "spec": {"code": "ab"}}).status == 400


def test_an_apply_under_another_name_is_a_bad_request(api: Wire, path: str) -> None:
    assert api.apply(path, intent("another", code="ab")).status == 400


def test_an_apply_without_a_name_is_a_bad_request(api: Wire, path: str, name: str) -> None:
    wanted = intent(name, code="ab")
    del wanted["metadata"]["name"]
    answer = api.apply(path, wanted)
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert "name must be provided" in answer.message


def test_an_apply_must_not_bring_managed_fields(api: Wire, path: str, name: str) -> None:
    made = api.apply(path, intent(name, code="ab")).body
    answer = api.apply(path, made)
    assert answer.status == 400
    assert answer.message == "metadata.managedFields must be nil"


def test_an_invalid_apply_is_refused_like_any_write(api: Wire, path: str, name: str) -> None:
    answer = api.apply(path, intent(name, code="TOOLONG"))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert api.get(path).status == 404


def test_an_unknown_field_fails_an_apply_and_is_not_pruned(api: Wire, path: str, name: str) -> None:
    # Surprising: other writes prune it and warn, but an apply cannot be typed with it: a server error.
    answer = api.apply(path, intent(name, code="ab", spoon=1))
    assert answer.status == 500
    assert ".spec.spoon: field not declared in schema" in answer.message


def test_an_unknown_field_fails_an_apply_of_a_built_in_kind(api: Wire, ns: Namespace) -> None:
    name = fresh("typo")
    wanted = deployment(name, replicas=0)
    wanted["spec"]["replcias"] = 3
    answer = api.apply(ns("deployments", name), wanted)
    assert answer.status == 500
    assert ".spec.replcias: field not declared in schema" in answer.message


def test_an_apply_with_an_old_resource_version_conflicts(api: Wire, path: str, name: str) -> None:
    old = api.apply(path, intent(name, code="ab")).body["metadata"]["resourceVersion"]
    api.apply(path, intent(name, code="cd"))
    answer = api.apply(path, intent(name, code="ef", metadata={"resourceVersion": old}), force=True)
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert "the object has been modified" in answer.message


def test_an_apply_with_the_present_resource_version_succeeds(api: Wire, path: str, name: str) -> None:
    version = api.apply(path, intent(name, code="ab")).body["metadata"]["resourceVersion"]
    answer = api.apply(path, intent(name, code="cd", metadata={"resourceVersion": version}))
    assert (answer.status, answer.body["spec"]["code"]) == (200, "cd")


def test_an_apply_with_a_resource_version_creates_what_is_gone(api: Wire, path: str, name: str) -> None:
    # Surprising, and dangerous: only a uid keeps a writer from raising the dead.
    answer = api.apply(path, intent(name, code="ab", metadata={"resourceVersion": "5"}))
    assert answer.status == 201
    assert answer.body["metadata"]["resourceVersion"] != "5"


def test_an_apply_with_the_uid_of_another_object_is_invalid(api: Wire, path: str, name: str) -> None:
    # Surprising: 422 and no conflict, while a missing object with a uid is a 409.
    api.apply(path, intent(name, code="ab"))
    other = "00000000-0000-0000-0000-000000000000"
    answer = api.apply(path, intent(name, code="ab", metadata={"uid": other}), force=True)
    assert (answer.status, answer.reason, answer.fields) == (422, "Invalid", {"metadata.uid"})
    assert "field is immutable" in answer.message


def test_an_apply_to_a_namesake_with_old_uid_and_version_conflicts(api: Wire, path: str, name: str) -> None:
    old = api.apply(path, intent(name, code="ab")).body["metadata"]
    api.delete(path)
    api.apply(path, intent(name, code="ab"))
    seen = {"uid": old["uid"], "resourceVersion": old["resourceVersion"]}
    answer = api.apply(path, intent(name, code="cd", metadata=seen), force=True)
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert api.read(path)["spec"]["code"] == "ab"


def test_an_apply_with_a_uid_does_not_create(api: Wire, path: str, name: str) -> None:
    other = "00000000-0000-0000-0000-000000000000"
    answer = api.apply(path, intent(name, code="ab", metadata={"uid": other}))
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert "uid mismatch: the provided object specified uid" in answer.message
    assert api.get(path).status == 404


def test_a_dry_run_apply_stores_nothing(api: Wire, path: str, name: str) -> None:
    answer = api.apply(path, intent(name, code="ab"), dryRun="All")
    assert (answer.status, answer.body["spec"]["size"]) == (201, "Small")
    assert api.get(path).status == 404


def test_the_status_applied_through_its_door_is_owned_apart(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab"))
    status = {**intent(name), "status": {"note": "x"}}
    del status["spec"]
    after = api.apply(path + "/status", status)
    assert (after.status, after.body["status"]) == (200, {"note": "x"})
    assert owned(after.body, "conformance") == {"f:spec": {"f:code": {}}}
    assert owned(after.body, "conformance", "status") == {"f:status": {"f:note": {}}}


def test_an_apply_of_the_object_leaves_the_status_that_it_drops(api: Wire, path: str, name: str) -> None:
    api.apply(path, intent(name, code="ab"))
    api.apply(path + "/status", {**intent(name), "status": {"note": "x"}})
    after = api.apply(path, {**intent(name, code="cd"), "status": {"note": "mine"}})
    assert (after.body["spec"]["code"], after.body["status"]) == ("cd", {"note": "x"})


def test_an_apply_of_the_status_does_not_create(api: Wire, path: str, name: str) -> None:
    answer = api.apply(path + "/status", {**intent(name), "status": {"note": "x"}})
    assert (answer.status, answer.reason) == (404, "NotFound")


def test_an_emptied_apply_gives_every_field_up(api: Wire, ns: Namespace) -> None:
    name = fresh("given-up")
    target = ns("configmaps", name)
    api.apply(target, configmap(name, a="1", b="2"), manager="first")
    bare = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    after = api.apply(target, bare, manager="first")
    assert (after.status, after.body.get("data", {})) == (200, {})
    # Surprising: a manager that owns nothing any more is not even named.
    assert not after.body["metadata"].get("managedFields")


def test_an_applied_null_clears_and_owns_a_field_of_a_built_in_kind(api: Wire, ns: Namespace, name: str) -> None:
    path = f"/apis/policy/v1/namespaces/{ns.name}/poddisruptionbudgets/{name}"
    spec = {"maxUnavailable": 1, "minAvailable": None, "selector": {"matchLabels": {"app": "web"}}}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
    made = api.apply(path, budget, manager="first").body
    assert "minAvailable" not in made["spec"]
    assert "f:minAvailable" in owned(made, "first")["f:spec"]
    api.patch(path, {"spec": {"maxUnavailable": None, "minAvailable": 2}})
    answer = api.apply(path, budget, manager="first", force="true")
    assert answer.status == 200
    assert answer.body["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
