"""Server-side apply below the first level: keyed lists, sets, atomic lists and maps, and owner references."""

from __future__ import annotations

import pytest

from kube_manifests import Namespace, configmap, deployment, fresh, gadget, owner, service
from kube_wire import Wire


@pytest.fixture
def name() -> str:
    return fresh("merged")


@pytest.fixture
def path(ns: Namespace, name: str) -> str:
    return ns("gadgets", name)


def test_items_of_a_keyed_list_are_merged_by_key(api: Wire, path: str, name: str) -> None:
    api.apply(path, gadget(name, code="ab", parts=[{"name": "a", "count": 1}]), manager="first")
    wanted = gadget(name, code="ab", parts=[{"name": "b"}, {"name": "a", "note": "x"}])
    after = api.apply(path, wanted, manager="second").body
    assert sorted(after["spec"]["parts"], key=lambda part: part["name"]) == [
        {"name": "a", "count": 1, "note": "x"},
        {"name": "b"},
    ]


def test_a_dropped_item_of_a_keyed_list_is_removed_and_others_items_stay(api: Wire, path: str, name: str) -> None:
    api.apply(path, gadget(name, code="ab", parts=[{"name": "a"}, {"name": "b"}]), manager="first")
    api.apply(path, gadget(name, code="ab", parts=[{"name": "c"}]), manager="second")
    after = api.apply(path, gadget(name, code="ab", parts=[{"name": "b"}]), manager="first").body
    assert {part["name"] for part in after["spec"]["parts"]} == {"b", "c"}


def test_keys_and_fields_of_a_keyed_list_are_owned_one_by_one(api: Wire, path: str, name: str) -> None:
    made = api.apply(path, gadget(name, code="ab", parts=[{"name": "a", "count": 1}])).body
    [entry] = made["metadata"]["managedFields"]
    parts = entry["fieldsV1"]["f:spec"]["f:parts"]
    assert parts == {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:count": {}}}


def test_a_duplicate_key_cannot_be_applied(api: Wire, path: str, name: str) -> None:
    answer = api.apply(path, gadget(name, code="ab", parts=[{"name": "a"}, {"name": "a"}]))
    # Surprising: not the 422 of a create, the typed conversion fails before validation.
    assert answer.status == 500
    assert 'duplicate entries for key [name="a"]' in answer.message


def test_conditions_of_two_managers_live_side_by_side(api: Wire, path: str, name: str) -> None:
    api.apply(path, gadget(name, code="ab"))
    for kind in ("Ready", "Available"):
        status = {"conditions": [{"type": kind, "status": "True"}]}
        answer = api.apply(path + "/status", {**gadget(name), "status": status}, manager=kind.lower())
        assert answer.status == 200
    assert {c["type"] for c in api.read(path)["status"]["conditions"]} == {"Ready", "Available"}


def test_an_atomic_list_is_owned_and_replaced_whole(api: Wire, path: str, name: str) -> None:
    api.apply(path, gadget(name, code="ab", steps=[{"weight": 10}, {"weight": 50}]), manager="first")
    wanted = gadget(name, code="ab", steps=[{"weight": 10}])
    conflict = api.apply(path, wanted, manager="second")
    assert (conflict.status, conflict.fields) == (409, {".spec.steps"})
    after = api.apply(path, wanted, manager="second", force=True).body
    assert after["spec"]["steps"] == [{"weight": 10}]


def test_a_set_takes_the_values_of_all_managers(api: Wire, path: str, name: str) -> None:
    api.apply(path, gadget(name, code="ab", words=["x", "y"]), manager="first")
    api.apply(path, gadget(name, code="ab", words=["y", "z"]), manager="second")
    assert sorted(api.read(path)["spec"]["words"]) == ["x", "y", "z"]
    after = api.apply(path, gadget(name, code="ab", words=[]), manager="first").body
    assert sorted(after["spec"]["words"]) == ["y", "z"]


def test_a_plain_map_is_shared_key_by_key(api: Wire, path: str, name: str) -> None:
    api.apply(path, gadget(name, code="ab", labels={"a": "1"}), manager="first")
    after = api.apply(path, gadget(name, code="ab", labels={"b": "2"}), manager="second").body
    assert after["spec"]["labels"] == {"a": "1", "b": "2"}


def test_an_atomic_map_is_replaced_whole(api: Wire, path: str, name: str) -> None:
    api.apply(path, gadget(name, code="ab", selector={"a": "1"}))
    assert api.apply(path, gadget(name, code="ab", selector={"b": "2"})).body["spec"]["selector"] == {"b": "2"}


def test_an_atomic_map_has_one_owner(api: Wire, path: str, name: str) -> None:
    api.apply(path, gadget(name, code="ab", selector={"a": "1"}), manager="first")
    answer = api.apply(path, gadget(name, code="ab", selector={"a": "1", "b": "2"}), manager="second")
    assert (answer.status, answer.fields) == (409, {".spec.selector"})


def test_the_selector_of_a_service_is_switched_whole_by_one_apply(api: Wire, ns: Namespace) -> None:
    # The switch of traffic: a narrowed selector must lose its old keys in the same write.
    name = fresh("switch")
    target = ns("services", name)
    api.apply(target, service(name, {"app": "x", "revision": "one"}))
    after = api.apply(target, service(name, {"app": "x"}))
    assert after.body["spec"]["selector"] == {"app": "x"}
    answer = api.apply(target, service(name, {"app": "x", "revision": "two"}), manager="second")
    assert (answer.status, answer.fields) == (409, {".spec.selector"})


def test_ports_of_a_service_are_merged_by_port_and_protocol(api: Wire, ns: Namespace) -> None:
    name = fresh("ports")
    target = ns("services", name)
    api.apply(target, service(name, {"app": "x"}, ports=[{"name": "a", "port": 81}, {"name": "b", "port": 82}]))
    after = api.apply(target, service(name, {"app": "x"}, ports=[{"name": "b", "port": 82, "targetPort": 90}]))
    assert after.body["spec"]["ports"] == [{"name": "b", "protocol": "TCP", "port": 82, "targetPort": 90}]


def test_containers_and_their_environment_are_merged_by_name(api: Wire, ns: Namespace) -> None:
    name = fresh("workload")
    target = ns("deployments", name)

    def wanted(*variables: str) -> dict[str, object]:
        obj = deployment(name, replicas=0)
        container = obj["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": variable, "value": "1"} for variable in variables]
        return obj

    api.apply(target, wanted("A", "B"))
    side = {"name": "side", "image": "conformance.invalid/side:1", "env": [{"name": "C", "value": "2"}]}
    spec = {"template": {"spec": {"containers": [side]}}}
    foreign = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    assert api.apply(target, foreign, manager="other").status == 200
    containers = api.apply(target, wanted("B")).body["spec"]["template"]["spec"]["containers"]
    assert {c["name"]: [e["name"] for e in c["env"]] for c in containers} == {"main": ["B"], "side": ["C"]}


def test_replicas_left_out_of_an_apply_belong_to_whoever_scales(api: Wire, ns: Namespace) -> None:
    name = fresh("scaled")
    target = ns("deployments", name)
    wanted = deployment(name)
    del wanted["spec"]["replicas"]
    wanted["spec"]["paused"] = True
    api.apply(target, wanted)
    api.patch(target + "/scale", {"spec": {"replicas": 3}})
    assert api.apply(target, wanted, force=True).body["spec"]["replicas"] == 3


def test_owner_references_are_merged_by_uid(api: Wire, ns: Namespace) -> None:
    first, second = (owner(api.create(ns("configmaps"), configmap())) for _ in range(2))
    name = fresh("owned")
    target = ns("configmaps", name)
    for manager, reference in (("first", first), ("second", second)):
        wanted = configmap(name)
        wanted["metadata"]["ownerReferences"] = [reference]
        assert api.apply(target, wanted, manager=manager).status in {200, 201}
    references = api.read(target)["metadata"]["ownerReferences"]
    assert {reference["uid"] for reference in references} == {first["uid"], second["uid"]}


def test_an_applied_empty_map_conflicts_with_another_managers(api: Wire, ns: Namespace) -> None:
    # Surprising: both say the same, but the server does not store the empty map and so sees a change.
    name = fresh("empty")
    wanted = {**configmap(name), "data": {}}
    assert api.apply(ns("configmaps", name), wanted, manager="first").status == 201
    answer = api.apply(ns("configmaps", name), wanted, manager="second")
    assert (answer.status, answer.fields) == (409, {".data"})


def test_finalizers_are_a_set(api: Wire, ns: Namespace) -> None:
    name = fresh("final")
    target = ns("configmaps", name)
    for manager in ("first", "second"):
        wanted = configmap(name)
        wanted["metadata"]["finalizers"] = [f"conformance.headgate.dev/{manager}"]
        api.apply(target, wanted, manager=manager)
    assert len(api.read(target)["metadata"]["finalizers"]) == 2
    api.patch(target, {"metadata": {"finalizers": None}})


def test_two_controllers_of_one_object_are_invalid(api: Wire, ns: Namespace) -> None:
    first, second = (owner(api.create(ns("configmaps"), configmap()), controller=True) for _ in range(2))
    wanted = configmap()
    wanted["metadata"]["ownerReferences"] = [first, second]
    answer = api.post(ns("configmaps"), wanted)
    assert (answer.status, answer.fields) == (422, {"metadata.ownerReferences"})
    assert "Only one reference can have Controller set to true" in answer.message
