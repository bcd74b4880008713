"""Corners of server-side apply on built-in kinds: fields of several managers, histories that are lost or written by
hand, subresources, items without their key, and configurations that are none."""

from __future__ import annotations

import pytest

from kube_manifests import Namespace, configmap, deployment, fresh, gadget
from kube_wire import Answer, Obj, Wire

Owners = dict[str, Obj]


def owners(obj: Obj) -> Owners:
    """What each manager owns; one of a subresource is named with it, and plain writes end in a plus."""
    found = {}
    for one in obj["metadata"].get("managedFields", []):
        below = f"/{one['subresource']}" if "subresource" in one else ""
        found[f"{one['manager']}{below}{'' if one['operation'] == 'Apply' else '+'}"] = one["fieldsV1"]
    return found


def data(*keys: str) -> Obj:
    return {"f:data": {f"f:{key}": {} for key in keys}}


class Applies:
    """Applies of one object by several managers."""

    def __init__(self, api: Wire, path: str, body: Obj) -> None:
        self.api, self.path, self._body = api, path, body

    def __call__(self, manager: str, **fields: object) -> Answer:
        return self.api.apply(self.path, {**self._body, **fields}, manager=manager)

    def taken(self, manager: str, **fields: object) -> Obj:
        answer = self(manager, **fields)
        assert answer.status in (200, 201), answer.body
        return dict(answer.body)

    def conflict(self, manager: str, **fields: object) -> str:
        answer = self(manager, **fields)
        assert (answer.status, answer.reason) == (409, "Conflict")
        assert {cause["reason"] for cause in answer.causes} == {"FieldManagerConflict"}
        return answer.message


@pytest.fixture
def config(api: Wire, ns: Namespace) -> Applies:
    name = fresh("config")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    return Applies(api, ns("configmaps", name), body)


@pytest.fixture
def front(api: Wire, ns: Namespace) -> Applies:
    name = fresh("front")
    return Applies(api, ns("services", name), {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}})


@pytest.fixture
def web(api: Wire, ns: Namespace) -> Applies:
    """A Deployment without pods that the manager `first` has applied."""
    made = deployment(fresh("web"), replicas=0)
    applies = Applies(api, ns("deployments", made["metadata"]["name"]), {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": made["metadata"]})  # fmt: skip
    applies.taken("first", spec=made["spec"])
    return applies


def containers(*items: Obj) -> Obj:
    return {"template": {"spec": {"containers": list(items)}}}


# --- shared fields --------------------------------------------------------------------------------------------------


def test_a_shared_field_goes_with_the_last_who_gives_it_up(config: Applies) -> None:
    config.taken("one", data={"a": "1", "b": "2"})
    config.taken("two", data={"a": "1", "c": "3"})
    seen = config.taken("one", data={"b": "2"})
    assert (seen["data"], owners(seen)) == ({"a": "1", "b": "2", "c": "3"}, {"one": data("b"), "two": data("a", "c")})
    seen = config.taken("two", data={"c": "3"})
    assert seen["data"] == {"b": "2", "c": "3"}


def test_a_plain_write_takes_a_field_from_its_applier_who_can_share_it_again(config: Applies) -> None:
    config.taken("one", data={"a": "1"})
    seen = config.api.patch(config.path, {"data": {"a": "2"}}, fieldManager="person").body
    assert owners(seen) == {"person+": data("a")}
    # Surprising: when the other wrote is not told, though the time is known.
    assert config.conflict("one", data={"a": "1"}) == (
        'Apply failed with 1 conflict: conflict with "person" using v1: .data.a'
    )
    seen = config.taken("one", data={"a": "2"})
    assert owners(seen) == {"one": data("a"), "person+": data("a")}
    # Given up by its applier, the field stays with whoever wrote it.
    assert config.taken("one", data={})["data"] == {"a": "2"}


def test_applying_what_one_wrote_plainly_is_a_conflict_with_oneself(config: Applies) -> None:
    config.taken("one", data={"a": "1"})
    config.api.patch(config.path, {"data": {"a": "2"}}, fieldManager="both")
    assert 'conflict with "both" using v1: .data.a' in config.conflict("both", data={"a": "3"})


def test_labels_and_annotations_are_shared_key_by_key(config: Applies) -> None:
    metadata = config.taken("one")["metadata"]
    name = {"name": metadata["name"]}
    config.taken("one", metadata={**name, "labels": {"a": "1"}})
    seen = config.taken("two", metadata={**name, "labels": {"b": "2"}, "annotations": {"c": "3"}})
    assert owners(seen)["two"] == {"f:metadata": {"f:annotations": {"f:c": {}}, "f:labels": {"f:b": {}}}}
    seen = config.taken("two", metadata=name)
    assert seen["metadata"]["labels"] == {"a": "1"}
    assert "annotations" not in seen["metadata"]


def test_a_manager_that_owns_nothing_any_more_is_forgotten(config: Applies) -> None:
    config.taken("one", data={"a": "1"})
    config.taken("two", data={"b": "2"})
    seen = config.taken("two")
    assert (list(owners(seen)), seen["data"]) == (["one"], {"a": "1"})


# --- histories ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [[{}], []], ids=["one empty entry", "no entry"])
def test_managed_fields_can_be_cleared(config: Applies, nothing: list[Obj]) -> None:
    config.taken("one", data={"a": "1"})
    seen = config.api.patch(config.path, {"metadata": {"managedFields": nothing}, "data": {"b": "2"}}).body
    assert "managedFields" not in seen["metadata"]


def test_managed_fields_that_are_left_out_stay(config: Applies) -> None:
    seen = config.taken("one", data={"a": "1"})
    for nothing in (None, "absent"):
        del seen["metadata"]["managedFields"]
        if nothing is None:
            seen["metadata"]["managedFields"] = None
        seen = config.api.put(config.path, seen).body
        assert owners(seen) == {"one": data("a")}


def test_without_a_history_plain_writes_begin_none(config: Applies) -> None:
    config.taken("one", data={"a": "1"})
    config.api.patch(config.path, {"metadata": {"managedFields": [{}]}})
    seen = config.api.patch(config.path, {"data": {"b": "2"}}, fieldManager="person").body
    assert "managedFields" not in seen["metadata"]


def test_an_apply_begins_a_history_with_all_that_was_before(config: Applies) -> None:
    config.taken("one", data={"a": "1", "b": "2"})
    config.api.patch(config.path, {"metadata": {"managedFields": [{}]}})
    seen = config.taken("two", data={"a": "1"})
    assert set(owners(seen)) == {"two", "before-first-apply+"}
    assert owners(seen)["before-first-apply+"] == {"f:data": {".": {}, "f:a": {}, "f:b": {}}}
    assert 'conflicts with "before-first-apply" using v1:\n- .data.a' in config.conflict("three", data={"a": "9"})


def test_a_history_can_be_written_by_hand(config: Applies) -> None:
    seen = config.taken("one", data={"a": "1", "b": "2"})
    seen["metadata"]["managedFields"][0] |= {"manager": "heir", "fieldsV1": data("a")}
    replaced = config.api.put(config.path, seen)
    assert owners(replaced.body) == {"heir": data("a")}
    # Nobody owns b now, and what an applier gives up takes everything below it along that nobody owns.
    assert "data" not in config.taken("heir")


def test_a_manager_has_a_printable_name_that_is_not_too_long(config: Applies) -> None:
    answer = config("x" * 129)
    assert (answer.status, answer.fields) == (422, {"fieldManager"})
    assert answer.message.endswith("fieldManager: Too long: may not be more than 128 bytes")
    answer = config("a\tb")
    assert (answer.status, answer.fields) == (422, {"fieldManager"})
    assert "invalid character U+0009 (at position 1)" in answer.message
    assert config("x" * 128).status == 201


# --- subresources ---------------------------------------------------------------------------------------------------


def test_replicas_set_through_the_scale_belong_to_who_scaled(web: Applies, api: Wire) -> None:
    api.patch(f"{web.path}/scale", {"spec": {"replicas": 1}}, fieldManager="scaler")
    seen = owners(api.read(web.path))
    assert seen["scaler/scale+"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in seen["first"]["f:spec"]
    message = web.conflict("second", spec={"replicas": 5})
    assert message.endswith('conflict with "scaler" with subresource "scale" using apps/v1: .spec.replicas')
    api.patch(f"{web.path}/scale", {"spec": {"replicas": 0}}, fieldManager="scaler")


def test_an_applied_scale_owns_the_replicas_alone(web: Applies, api: Wire) -> None:
    name = web.path.rpartition("/")[2]
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name}, "spec": {"replicas": 0}}
    assert api.apply(f"{web.path}/scale", scale, manager="autoscaler", force=True).status == 200
    assert owners(api.read(web.path))["autoscaler/scale"] == {"f:spec": {"f:replicas": {}}}


def test_a_condition_applied_to_the_status_is_owned_there(web: Applies, api: Wire) -> None:
    about = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": web.path.rpartition("/")[2]}}
    found = {"type": "Checked", "status": "True", "reason": "Check", "message": "fine"}
    answer = api.apply(f"{web.path}/status", {**about, "status": {"conditions": [found]}}, manager="checker")
    assert answer.status == 200
    [mine] = owners(answer.body)["checker/status"]["f:status"]["f:conditions"].items()
    assert mine[0] == 'k:{"type":"Checked"}'
    assert "Checked" in [one["type"] for one in answer.body["status"]["conditions"]]


def test_a_status_applied_through_the_object_is_neither_taken_nor_owned(web: Applies) -> None:
    seen = web.taken("second", status={"replicas": 7})
    assert seen["status"].get("replicas") != 7
    assert "second" not in owners(seen)


# --- lists with keys ------------------------------------------------------------------------------------------------


def test_the_key_of_an_item_may_be_a_default(front: Applies) -> None:
    first = front.taken("one", spec={"selector": {"a": "b"}, "ports": [{"name": "http", "port": 9080}]})
    key = 'k:{"port":9080,"protocol":"TCP"}'
    assert owners(first)["one"]["f:spec"]["f:ports"] == {key: {".": {}, "f:name": {}, "f:port": {}}}
    # The same port with its protocol said is the same item.
    seen = front.taken("two", spec={"ports": [{"name": "http", "port": 9080, "protocol": "TCP"}]})
    assert len(seen["spec"]["ports"]) == 1
    assert key in owners(seen)["two"]["f:spec"]["f:ports"]


def test_an_item_stays_as_long_as_somebody_owns_it(front: Applies) -> None:
    front.taken("one", spec={"selector": {"a": "b"}, "ports": [{"name": "http", "port": 9080}]})
    front.taken("two", spec={"ports": [{"name": "http", "port": 9080, "targetPort": 8080}]})
    seen = front.taken("one", spec={"selector": {"a": "b"}})
    assert [one["targetPort"] for one in seen["spec"]["ports"]] == [8080]
    assert owners(seen)["one"] == {"f:spec": {"f:selector": {}}}


def test_two_items_of_one_key_cannot_be_applied_whether_said_or_not(front: Applies) -> None:
    ports = [{"port": 9080, "name": "a"}, {"port": 9080, "protocol": "TCP", "name": "b"}]
    answer = front("one", spec={"ports": ports})
    assert answer.status == 500
    assert answer.message.endswith('.spec.ports: duplicate entries for key [port=9080,protocol="TCP"]')


def test_an_item_without_its_key_is_judged_as_any_other(front: Applies) -> None:
    answer = front("one", spec={"ports": [{"name": "a"}]})
    assert (answer.status, answer.fields) == (422, {"spec.ports[0].port", "spec.ports[0].targetPort"})


def test_a_given_up_field_falls_back_to_its_default(front: Applies) -> None:
    ports = [{"name": "http", "port": 9080}]
    front.taken("one", spec={"ports": ports})
    assert front.taken("two", spec={"sessionAffinity": "ClientIP"})["spec"]["sessionAffinity"] == "ClientIP"
    assert front.taken("two")["spec"]["sessionAffinity"] == "None"


def test_items_in_items_are_removed_one_by_one(web: Applies) -> None:
    def main(*names: str, **more: object) -> Obj:
        return {"name": "main", "env": [{"name": name, "value": name} for name in names], **more}

    web.taken("second", spec=containers(main("A", "B", args=["x"])))
    [seen] = web.taken("second", spec=containers(main("B")))["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in seen["env"]] == ["B"]
    assert "args" not in seen
    [seen] = web.taken("second")["spec"]["template"]["spec"]["containers"]
    assert "env" not in seen


def test_a_container_of_another_manager_comes_and_goes(web: Applies) -> None:
    def names(obj: Obj) -> list[str]:
        return [one["name"] for one in obj["spec"]["template"]["spec"]["containers"]]

    side = {"name": "side", "image": "conformance.invalid/side:1"}
    assert names(web.taken("second", spec=containers(side))) == ["main", "side"]
    assert names(web.taken("second")) == ["main"]


def test_an_atomic_list_is_taken_over_whole_or_not_at_all(web: Applies) -> None:
    web.taken("second", spec=containers({"name": "main", "args": ["a", "b"]}))
    message = web.conflict("third", spec=containers({"name": "main", "args": ["a"]}))
    assert message.endswith('conflict with "second": .spec.template.spec.containers[name="main"].args')
    web.taken("third", spec=containers({"name": "main", "args": ["a", "b"]}))


# --- null and other types -------------------------------------------------------------------------------------------


def test_a_null_text_in_a_map_is_an_empty_one(api: Wire, ns: Namespace, config: Applies) -> None:
    seen = config.taken("one", data={"a": None})
    assert (seen["data"], owners(seen)) == ({"a": ""}, {"one": data("a")})
    made = {**configmap(), "data": {"a": None}}
    assert api.create(ns("configmaps"), made)["data"] == {"a": ""}


def test_a_null_in_a_custom_resource_is_no_value_of_its_type(api: Wire, ns: Namespace) -> None:
    name = fresh("gadget")
    answer = api.apply(ns("gadgets", name), gadget(name, code="ab", labels={"a": None}))
    assert (answer.status, answer.fields) == (422, {"spec.labels.a"})
    # A plain create drops it before anybody looks.
    assert api.create(ns("gadgets"), gadget(name, code="ab", labels={"a": None}))["spec"]["labels"] == {}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"code": 1}, ".spec.code: expected string, got "),
        ({"replicas": "x"}, ".spec.replicas: expected numeric (int or float), got string"),
        ({"words": "x"}, ".spec.words: expected list, got &{x}"),
        ({"nested": [1]}, ".spec.nested: expected map, got &{[1]}"),
        ({"labels": {"a": 1}}, ".spec.labels.a: expected string, got "),
        ({"enabled": "x"}, ".spec.enabled: expected boolean, got &{x}"),
    ],
)
def test_a_value_of_another_type_cannot_be_applied(api: Wire, ns: Namespace, fields: Obj, why: str) -> None:
    name = fresh("gadget")
    answer = api.apply(ns("gadgets", name), gadget(name, **{"code": "ab", **fields}))
    # Surprising: an error of the server, though it is the configuration's.
    assert (answer.status, answer.reason) == (500, "")
    assert answer.message.startswith(f"failed to create typed patch object (/{name}; ")
    assert why in answer.message


def test_a_value_of_another_type_cannot_be_applied_to_a_built_in_kind(config: Applies) -> None:
    answer = config("one", data=[1])
    assert answer.status == 500
    assert answer.message.endswith("; /v1, Kind=ConfigMap): .data: expected map, got &{[1]}")


def test_a_version_that_is_not_served_is_no_object(web: Applies) -> None:
    answer = web("first", apiVersion="apps/v1beta1")
    assert (answer.status, answer.message) == (400, "invalid object type: apps/v1beta1, Kind=Deployment")


def test_an_object_of_another_namespace_cannot_be_applied_here(config: Applies) -> None:
    answer = config("one", metadata={"name": config.path.rpartition("/")[2], "namespace": "default"})
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert "the namespace of the provided object does not match the namespace sent on the request" in answer.message
