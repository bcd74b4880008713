"""What the schema of a custom resource does to what is written: defaults, pruning, and refusals with their causes."""

from __future__ import annotations

from typing import Any

import pytest

from kube_manifests import GROUP, Namespace, fresh, gadget
from kube_wire import Answer, Wire

# What is wrong -> the field, the reason and a piece of the message of its cause.
REFUSED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "a value outside an enum": (
        {"size": "Huge"},
        "spec.size",
        "FieldValueNotSupported",
        'Unsupported value: "Huge": supported values: "Small", "Large"',
    ),
    "a number above the maximum": (
        {"limit": 11},
        "spec.limit",
        "FieldValueInvalid",
        "spec.limit in body should be less than or equal to 10",
    ),
    "a number below the minimum": (
        {"limit": -1},
        "spec.limit",
        "FieldValueInvalid",
        "spec.limit in body should be greater than or equal to 0",
    ),
    "a text that misses the pattern": (
        {"code": "AB"},
        "spec.code",
        "FieldValueInvalid",
        "Invalid value: \"AB\": spec.code in body should match '^[a-z]+$'",
    ),
    "a text that is too short": (
        {"code": "a"},
        "spec.code",
        "FieldValueInvalid",
        "spec.code in body should be at least 2 chars long",
    ),
    "a text that is too long": (
        {"code": "abcdef"},
        "spec.code",
        "FieldValueTooLong",
        "Too long: may not be more than 5 bytes",
    ),
    "a text for a number": (
        {"limit": "3"},
        "spec.limit",
        "FieldValueTypeInvalid",
        'Invalid value: "string": spec.limit in body must be of type integer: "string"',
    ),
    "a broken number for a whole one": (
        {"limit": 1.5},
        "spec.limit",
        "FieldValueTypeInvalid",
        "spec.limit in body must be of type int",
    ),
    "a number for a text": (
        {"comment": 3},
        "spec.comment",
        "FieldValueTypeInvalid",
        'Invalid value: "integer": spec.comment in body must be of type string: "integer"',
    ),
    "a text for a truth value": (
        {"enabled": "true"},
        "spec.enabled",
        "FieldValueTypeInvalid",
        'Invalid value: "string": spec.enabled in body must be of type boolean: "string"',
    ),
    "a text for an object": (
        {"nested": "x"},
        "spec.nested",
        "FieldValueTypeInvalid",
        'Invalid value: "string": spec.nested in body must be of type object: "string"',
    ),
    "a truth value for an int-or-string": (
        {"port": True},
        "spec.port",
        "FieldValueTypeInvalid",
        'Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
    ),
    "a required field of a list item": (
        {"parts": [{"count": 1}]},
        "spec.parts[0].name",
        "FieldValueRequired",
        "Required value",
    ),
    "a duplicate key in a keyed list": (
        {"parts": [{"name": "a"}, {"name": "a"}]},
        "spec.parts[1]",
        "FieldValueDuplicate",
        'Duplicate value: {"name":"a"}',
    ),
    "a duplicate in a set": ({"words": ["a", "a"]}, "spec.words[1]", "FieldValueDuplicate", 'Duplicate value: "a"'),
    "too many items": (
        {"words": list("abcdef")},
        "spec.words",
        "FieldValueTooMany",
        "Too many: 6: must have at most 5 items",
    ),
    "too many properties": (
        {"labels": dict.fromkeys("abcdef", "x")},
        "spec.labels",
        "FieldValueTooMany",
        "Too many: 6: must have at most 5 items",
    ),
    "a time that is none": (
        {"at": "yesterday"},
        "spec.at",
        "FieldValueTypeInvalid",
        'spec.at in body must be of type date-time: "yesterday"',
    ),
}


def tried(api: Wire, ns: Namespace, **spec: Any) -> Answer:
    return api.post(ns("gadgets"), gadget(**{"code": "ab", **spec}))


@pytest.mark.parametrize("what", REFUSED)
def test_the_schema_refuses(api: Wire, ns: Namespace, what: str) -> None:
    spec, field, reason, message = REFUSED[what]
    answer = tried(api, ns, **spec)
    assert (answer.status, answer.reason) == (422, "Invalid")
    # A rule at the root, whose place is `<nil>`, may stumble over the broken value too.
    assert answer.fields - {"<nil>"} == {field}
    cause = answer.causes[0]
    assert cause["reason"] == reason
    assert message in cause["message"]


def test_a_required_field_that_is_missing_is_refused(api: Wire, ns: Namespace) -> None:
    wanted = gadget("codeless", size="Small")
    answer = api.post(ns("gadgets"), wanted)
    assert (answer.status, answer.fields) == (422, {"spec.code"})
    assert (answer.causes[0]["reason"], answer.causes[0]["message"]) == ("FieldValueRequired", "Required value")
    assert answer.message.startswith(f'Gadget.{GROUP} "codeless" is invalid: ')


def test_a_missing_spec_is_refused(api: Wire, ns: Namespace) -> None:
    wanted = gadget()
    del wanted["spec"]
    answer = api.post(ns("gadgets"), wanted)
    assert (answer.status, answer.fields) == (422, {"spec"})


def test_all_faults_are_told_at_once(api: Wire, ns: Namespace) -> None:
    answer = tried(api, ns, size="Huge", replicas=11, nested="x")
    assert answer.fields == {"spec.size", "spec.replicas", "spec.nested"}
    assert answer.body["details"] | {"causes": []} == {
        "name": answer.body["details"]["name"],
        "group": GROUP,
        "kind": "Gadget",
        "causes": [],
    }


def test_defaults_are_filled_in_and_stored(api: Wire, ns: Namespace) -> None:
    made = tried(api, ns).body
    assert made["spec"] == {"code": "ab", "size": "Small", "replicas": 1}
    assert api.read(ns("gadgets", made["metadata"]["name"]))["spec"] == made["spec"]


def test_a_default_does_not_make_the_object_around_it(api: Wire, ns: Namespace) -> None:
    assert "nested" not in tried(api, ns).body["spec"]
    assert tried(api, ns, nested={}).body["spec"]["nested"] == {"level": 3}


def test_a_given_value_beats_the_default_even_when_it_is_zero(api: Wire, ns: Namespace) -> None:
    assert tried(api, ns, replicas=0).body["spec"]["replicas"] == 0


def test_null_for_a_field_with_a_default_takes_the_default(api: Wire, ns: Namespace) -> None:
    assert tried(api, ns, replicas=None).body["spec"]["replicas"] == 1


def test_null_for_a_field_without_a_default_is_dropped(api: Wire, ns: Namespace) -> None:
    answer = tried(api, ns, ratio=None)
    assert answer.status == 201
    assert "ratio" not in answer.body["spec"]


def test_null_stays_where_the_schema_allows_it(api: Wire, ns: Namespace) -> None:
    answer = tried(api, ns, comment=None)
    assert answer.status == 201
    assert answer.body["spec"]["comment"] is None


def test_unknown_fields_are_pruned(api: Wire, ns: Namespace) -> None:
    answer = tried(api, ns, spoon=1, nested={"fork": 2, "note": "x"}, parts=[{"name": "a", "knife": 3}])
    assert answer.status == 201
    spec = answer.body["spec"]
    assert "spoon" not in spec
    assert spec["nested"] == {"level": 3, "note": "x"}
    assert spec["parts"] == [{"name": "a"}]


def test_unknown_fields_beside_the_spec_are_pruned(api: Wire, ns: Namespace) -> None:
    assert "extra" not in api.post(ns("gadgets"), {**gadget(code="ab"), "extra": {"a": 1}}).body


def test_unknown_fields_are_kept_where_the_schema_preserves_them(api: Wire, ns: Namespace) -> None:
    free = {"any": {"thing": [1, "two", None, {"three": 3.5}]}}
    assert tried(api, ns, free=free).body["spec"]["free"] == free


def test_an_int_or_string_is_kept_as_it_is(api: Wire, ns: Namespace) -> None:
    assert tried(api, ns, port=80).body["spec"]["port"] == 80
    assert tried(api, ns, port="http").body["spec"]["port"] == "http"


def test_unknown_fields_are_told_in_a_warning_when_asked_for(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("gadgets"), gadget(code="ab", spoon=1), fieldValidation="Warn")
    assert answer.status == 201
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.spoon\\""'


def test_unknown_fields_are_told_in_a_warning_by_default(api: Wire, ns: Namespace) -> None:
    assert 'unknown field \\"spec.spoon\\"' in tried(api, ns, spoon=1).headers["Warning"]


def test_unknown_fields_are_passed_over_in_silence_when_asked_to(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("gadgets"), gadget(code="ab", spoon=1), fieldValidation="Ignore")
    assert answer.status == 201
    assert "Warning" not in answer.headers


def test_strict_field_validation_refuses_unknown_fields(api: Wire, ns: Namespace) -> None:
    name = fresh("strict")
    wanted = gadget(name, code="ab", spoon=1, nested={"fork": 2})
    answer = api.post(ns("gadgets"), wanted, fieldValidation="Strict")
    assert (answer.status, answer.reason) == (400, "BadRequest")
    for field in ("spec.spoon", "spec.nested.fork"):
        assert f'unknown field "{field}"' in answer.message
    assert api.get(ns("gadgets", name)).status == 404


def test_strict_field_validation_holds_for_a_replace(api: Wire, ns: Namespace) -> None:
    made = tried(api, ns).body
    made["spec"]["spoon"] = 1
    answer = api.put(ns("gadgets", made["metadata"]["name"]), made, fieldValidation="Strict")
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_strict_field_validation_holds_for_a_patch(api: Wire, ns: Namespace) -> None:
    path = ns("gadgets", tried(api, ns).body["metadata"]["name"])
    answer = api.patch(path, {"spec": {"spoon": 1}}, fieldValidation="Strict")
    # Surprising: 422 about a field called `patch`, where create and replace answer 400.
    assert (answer.status, answer.reason, answer.fields) == (422, "Invalid", {"patch"})
    assert 'unknown field "spec.spoon"' in answer.message


def test_strict_field_validation_holds_for_built_in_kinds(api: Wire, ns: Namespace) -> None:
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": fresh("strict")}, "dada": {"a": "1"}}
    answer = api.post(ns("configmaps"), wanted, fieldValidation="Strict")
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert 'unknown field "dada"' in answer.message


def test_an_unknown_way_of_field_validation_is_refused(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("gadgets"), gadget(code="ab"), fieldValidation="Sometimes")
    assert (answer.status, answer.reason) == (422, "Invalid")
