"""Custom kinds: defaults, pruning, validation and rules, in the words of the real server."""

from __future__ import annotations

from typing import Any

import pytest

from api_world import ApiWorld, Obj, crd, widget
from headgate_local.errors import ApiError


def world_with(spec: Obj, **version: Any) -> ApiWorld:
    world = ApiWorld()
    world.client.create(crd({"type": "object", **spec}, **version))
    return world


def refusal(world: ApiWorld, **spec: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        world.client.create(widget(**spec))
    return refused.value


def test_a_definition_is_served_from_the_moment_it_is_stored() -> None:
    world = world_with({})
    made = world.client.get("CustomResourceDefinition", None, "widgets.tests.dev")
    assert made is not None
    assert {one["type"]: one["status"] for one in made["status"]["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    assert world.client.list("Widget", "default") == []


def test_objects_go_with_their_definition() -> None:
    world = world_with({})
    world.client.create(widget())
    world.client.delete("CustomResourceDefinition", None, "widgets.tests.dev")
    assert world.send("GET", "/apis/tests.dev/v1/widgets").status == 404


def test_defaults_are_filled_where_a_parent_is_given() -> None:
    level = {"type": "object", "properties": {"level": {"type": "integer", "default": 3}}}
    world = world_with({"properties": {"nested": level, "replicas": {"type": "integer", "default": 1}}})
    assert world.client.create(widget("plain"))["spec"] == {"replicas": 1}
    assert world.client.create(widget("deep", nested={}))["spec"] == {"replicas": 1, "nested": {"level": 3}}


def test_unknown_fields_are_pruned_with_a_warning() -> None:
    world = world_with({"properties": {"a": {"type": "string"}}})
    answer = world.send("POST", "/apis/tests.dev/v1/namespaces/default/widgets", widget(a="x", b="y"))
    assert answer.body["spec"] == {"a": "x"}
    assert answer.headers["warning"] == '299 - "unknown field \\"spec.b\\""'


def test_preserved_unknown_fields_stay() -> None:
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    world = world_with({"properties": {"free": free}})
    assert world.client.create(widget(free={"any": [1]}))["spec"] == {"free": {"any": [1]}}


IN_BODY = "spec.a in body"


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "integer"}, "x", f'Invalid value: "string": {IN_BODY} must be of type integer: "string"'),
        ({"type": "string"}, 3, f'Invalid value: "integer": {IN_BODY} must be of type string: "integer"'),
        ({"type": "string", "enum": ["BlueGreen"]}, "X", 'Unsupported value: "X": supported values: "BlueGreen"'),
        ({"type": "integer", "minimum": 0}, -1, f"Invalid value: -1: {IN_BODY} should be greater than or equal to 0"),
        ({"type": "string", "maxLength": 2}, "abc", "Too long: may not be more than 2 bytes"),
        ({"type": "string", "minLength": 2}, "a", f'Invalid value: "a": {IN_BODY} should be at least 2 chars long'),
        ({"type": "string", "pattern": "^a+$"}, "b", f"Invalid value: \"b\": {IN_BODY} should match '^a+$'"),
        (
            {"type": "array", "maxItems": 1, "items": {"type": "string"}},
            ["a", "b"],
            "Too many: 2: must have at most 1 item",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(schema: Obj, value: Any, message: str) -> None:
    error = refusal(world_with({"properties": {"a": schema}}), a=value)
    assert error.status == 422
    assert f"spec.a: {message}" in error.message


def test_a_missing_field_is_named_alone() -> None:
    error = refusal(world_with({"properties": {"model": {"type": "object", "required": ["name"]}}}), model={})
    assert error.details["causes"][0] == {
        "reason": "FieldValueRequired",
        "message": "Required value",
        "field": "spec.model.name",
    }


def test_a_rule_speaks_with_its_message_at_its_place() -> None:
    rules = [{"rule": "has(self.a) != has(self.b)", "message": "exactly one of a and b"}]
    text = {"type": "string"}
    world = world_with({"properties": {"a": text, "b": text}, "x-kubernetes-validations": rules})
    assert refusal(world, a="1", b="2").message == (
        'Widget.tests.dev "one" is invalid: spec: Invalid value: exactly one of a and b'
    )
    assert world.client.create(widget(a="1"))["spec"] == {"a": "1"}


def test_a_message_expression_is_evaluated() -> None:
    rules = [{"rule": "self != 'no'", "messageExpression": "'not ' + self"}]
    world = world_with({"properties": {"a": {"type": "string", "x-kubernetes-validations": rules}}})
    assert 'spec.a: Invalid value: "no": not no' in refusal(world, a="no").message


def test_a_transition_rule_looks_only_at_changes() -> None:
    rules = [{"rule": "self == oldSelf", "message": "cannot be changed"}]
    world = world_with({"properties": {"a": {"type": "string", "x-kubernetes-validations": rules}}})
    world.client.create(widget(a="1"))
    with pytest.raises(ApiError) as refused:
        world.client.patch_merge("Widget", "default", "one", {"spec": {"a": "2"}})
    assert 'spec.a: Invalid value: "2": cannot be changed' in refused.value.message


def test_an_optional_old_value_lets_a_transition_rule_judge_a_create() -> None:
    rules = [{"rule": "oldSelf.hasValue() || self == 'first'", "optionalOldSelf": True, "message": "begin with first"}]
    world = world_with({"properties": {"a": {"type": "string", "x-kubernetes-validations": rules}}})
    assert "begin with first" in refusal(world, a="second").message
    world.client.create(widget(a="first"))
    assert world.client.patch_merge("Widget", "default", "one", {"spec": {"a": "second"}})["spec"] == {"a": "second"}


def test_a_rule_about_a_field_that_does_not_exist_is_refused_with_the_definition() -> None:
    rules = [{"rule": "self.b == 'x'"}]
    with pytest.raises(ApiError) as refused:
        world_with({"properties": {"a": {"type": "string"}}, "x-kubernetes-validations": rules})
    assert "compilation failed" in refused.value.message
    assert "undefined field 'b'" in refused.value.message


def test_a_word_in_quotes_is_no_field_of_a_rule() -> None:
    rules = [{"rule": "self.a != 'self.b'"}]
    world_with({"properties": {"a": {"type": "string"}}, "x-kubernetes-validations": rules})


def test_the_generation_rises_with_the_spec_and_not_with_the_status() -> None:
    world = world_with({"properties": {"a": {"type": "string"}}}, subresources={"status": {}})
    world.client.create(widget(a="1"))
    world.client.patch_merge("Widget", "default", "one", {"status": {"seen": 1}}, "status")
    assert world.client.patch_merge("Widget", "default", "one", {"spec": {"a": "1"}})["metadata"]["generation"] == 1
    assert world.client.patch_merge("Widget", "default", "one", {"spec": {"a": "2"}})["metadata"]["generation"] == 2


def test_scale_reads_and_writes_by_the_paths_of_the_definition() -> None:
    paths = {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n", "labelSelectorPath": ".status.selector"}
    world = world_with({"properties": {"n": {"type": "integer"}}}, subresources={"status": {}, "scale": paths})
    world.client.create(widget(n=2))
    world.client.patch_merge("Widget", "default", "one", {"status": {"n": 1, "selector": "a=b"}}, "status")
    scale = world.client.patch_merge("Widget", "default", "one", {"spec": {"replicas": 5}}, "scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == (
        "Scale",
        {"replicas": 5},
        {"replicas": 1, "selector": "a=b"},
    )
    found = world.client.get("Widget", "default", "one")
    assert found is not None
    assert found["spec"]["n"] == 5


def test_printer_columns_follow_filters() -> None:
    path = '.status.conditions[?(@.type=="Ready")].reason'
    columns = [{"name": "Status", "type": "string", "jsonPath": path}]
    world = world_with({}, subresources={"status": {}}, additionalPrinterColumns=columns)
    world.client.create(widget())
    conditions = [{"type": "Other", "reason": "No"}, {"type": "Ready", "reason": "Promoted"}]
    world.client.patch_merge("Widget", "default", "one", {"status": {"conditions": conditions}}, "status")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = world.send("GET", "/apis/tests.dev/v1/widgets", accept=accept).body
    assert [row["cells"] for row in table["rows"]] == [["one", "Promoted"]]
