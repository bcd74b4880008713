"""Server-side apply: what merges, what vanishes, and who is asked first."""

from __future__ import annotations

import pytest

from api_world import ApiWorld, Obj, config_map, deployment
from headgate_local.errors import ApiError


@pytest.fixture
def world() -> ApiWorld:
    return ApiWorld()


def env(obj: Obj) -> dict[str, str]:
    container = obj["spec"]["template"]["spec"]["containers"][0]
    return {one["name"]: one["value"] for one in container.get("env", [])}


def variables(**values: str) -> list[Obj]:
    return [{"name": name, "value": value} for name, value in values.items()]


def managers(obj: Obj) -> list[tuple[str, str]]:
    return [(one["manager"], one["operation"]) for one in obj["metadata"]["managedFields"]]


def test_an_apply_creates_and_owns_what_it_names(world: ApiWorld) -> None:
    made = world.client.apply(config_map(a="1"), "alice")
    [entry] = made["metadata"]["managedFields"]
    assert entry["fieldsV1"] == {"f:data": {"f:a": {}}}
    assert (entry["manager"], entry["operation"]) == ("alice", "Apply")


def test_the_same_apply_again_changes_nothing(world: ApiWorld) -> None:
    first = world.client.apply(deployment(), "alice")
    world.advance(60)
    assert world.client.apply(deployment(), "alice") == first


def test_a_field_that_is_no_longer_applied_vanishes(world: ApiWorld) -> None:
    world.client.apply(config_map(a="1", b="2"), "alice")
    assert world.client.apply(config_map(a="1"), "alice")["data"] == {"a": "1"}


def test_a_field_that_another_manager_also_applied_stays(world: ApiWorld) -> None:
    world.client.apply(config_map(a="1", b="2"), "alice")
    world.client.apply(config_map(b="2"), "bob")
    assert world.client.apply(config_map(a="1"), "alice")["data"] == {"a": "1", "b": "2"}


def test_a_default_stays_when_its_neighbour_is_given_up(world: ApiWorld) -> None:
    world.client.apply(deployment(workingDir="/tmp"), "alice")
    made = world.client.apply(deployment(), "alice")
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert "workingDir" not in container
    assert container["imagePullPolicy"] == "IfNotPresent"


def test_two_managers_share_a_list_by_its_keys(world: ApiWorld) -> None:
    world.client.apply(deployment(env=variables(A="1")), "alice")
    made = world.client.apply(deployment(env=variables(B="2")), "bob")
    assert env(made) == {"A": "1", "B": "2"}
    assert env(world.client.apply(deployment(), "bob")) == {"A": "1"}


def test_the_order_of_the_applied_list_wins_among_shared_items(world: ApiWorld) -> None:
    world.client.apply(deployment(env=variables(A="1", B="2", C="3")), "alice")
    made = world.client.apply(deployment(env=variables(C="3", A="1", B="2")), "alice")
    assert list(env(made)) == ["C", "A", "B"]


def test_another_managers_value_is_a_conflict_that_names_it(world: ApiWorld) -> None:
    world.client.apply(config_map(a="1"), "alice")
    with pytest.raises(ApiError) as refused:
        world.client.apply(config_map(a="2"), "bob")
    assert refused.value.status == 409
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "alice": .data.a'
    [cause] = refused.value.details["causes"]
    assert cause == {"reason": "FieldManagerConflict", "message": 'conflict with "alice"', "field": ".data.a"}


def test_force_takes_the_field_from_its_owner(world: ApiWorld) -> None:
    world.client.apply(config_map(a="1", b="1"), "alice")
    made = world.client.apply(config_map(a="2"), "bob", force=True)
    assert made["data"] == {"a": "2", "b": "1"}
    owned = {one["manager"]: one["fieldsV1"] for one in made["metadata"]["managedFields"]}
    assert owned["alice"] == {"f:data": {"f:b": {}}}


def test_equal_values_are_shared_without_a_conflict(world: ApiWorld) -> None:
    world.client.apply(config_map(a="1"), "alice")
    assert managers(world.client.apply(config_map(a="1"), "bob")) == [("alice", "Apply"), ("bob", "Apply")]


def test_an_update_takes_only_what_it_changed(world: ApiWorld) -> None:
    made = world.client.apply(config_map(a="1", b="1"), "alice")
    made["data"]["a"] = "2"
    changed = world.client.update(made)
    owned = {one["manager"]: one["fieldsV1"] for one in changed["metadata"]["managedFields"]}
    assert owned == {"alice": {"f:data": {"f:b": {}}}, "tester": {"f:data": {"f:a": {}}}}


def test_status_is_owned_apart_from_the_rest(world: ApiWorld) -> None:
    world.client.apply(deployment(), "alice")
    status = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}}
    made = world.client.apply({**status, "status": {"replicas": 1}}, "alice", subresource="status")
    assert [one.get("subresource", "") for one in made["metadata"]["managedFields"]] == ["", "status"]
    assert made["status"] == {"replicas": 1}


def test_an_apply_with_another_objects_uid_is_invalid(world: ApiWorld) -> None:
    world.client.apply(config_map(a="1"), "alice")
    other = config_map(a="2")
    other["metadata"]["uid"] = "someone-else"
    with pytest.raises(ApiError) as refused:
        world.client.apply(other, "alice")
    assert refused.value.reason == "Invalid"


def test_an_apply_with_an_old_version_is_a_conflict(world: ApiWorld) -> None:
    made = world.client.apply(config_map(a="1"), "alice")
    world.client.apply(config_map(a="2"), "alice")
    late = config_map(a="3")
    late["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    with pytest.raises(ApiError) as refused:
        world.client.apply(late, "alice")
    assert refused.value.reason == "Conflict"


def test_an_unknown_field_is_refused_by_name(world: ApiWorld) -> None:
    with pytest.raises(ApiError) as refused:
        world.client.apply(deployment(colour="red"), "alice")
    assert ".spec.template.spec.containers[0].colour: field not declared in schema" in refused.value.message
