"""Rules beside the signature, from the model's extra_files/schema_rules.json, in Strict and in Compatible."""

import json

import numpy as np
import pytest

import model_dirs
from asgi_client import AsgiClient, loaded
from headgate_server import rules
from headgate_server.reasons import LoadError, Reason

RULES = {
    "age": {"min": 0, "max": 150},
    "income": {"enum": [1.5, 4.5]},
    "city": {"enum": ["a", "bb"], "pattern": "^[a-z]$"},
}
GOOD = {"age": 20, "income": 1.5, "city": "a", "vip": True}


@pytest.fixture(scope="module", params=["Strict", "Compatible"])
def ruled(request, tmp_path_factory):
    path = model_dirs.mixed(tmp_path_factory.mktemp("mixed") / "model", rules=RULES)
    with AsgiClient(path, validation=request.param) as client:
        yield client


async def test_input_within_the_rules_is_answered(ruled):
    assert (await ruled.request("POST", "/predict/batch", {"instances": [GOOD, GOOD | {"age": 150}]})).status == 200


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"age": -1}, "age", "at least 0"),
        ({"age": 151}, "age", "at most 150"),
        ({"income": 2.5}, "income", "one of the 2 values that schema_rules.json allows"),
        ({"city": "secret"}, "city", "one of the 2 values that schema_rules.json allows"),
        ({"city": "bb"}, "city", "a text that matches ^[a-z]$"),
    ],
)
async def test_input_that_breaks_a_rule_is_400_with_field_row_and_rule_and_without_the_data(
    ruled, change, field, expected
):
    reply = await ruled.request("POST", "/predict/batch", {"instances": [GOOD, GOOD | change]})
    detail = {"field": field, "message": f"row 1: expected {expected}, got something else"}
    assert (reply.status, reply.json["error"]["details"]) == (400, [detail])
    assert b"secret" not in reply.body


async def test_rules_hold_for_every_protocol(ruled):
    rows = [GOOD | {"age": 151}]
    assert (await ruled.request("POST", "/invocations", {"dataframe_records": rows})).status == 400
    assert (await ruled.request("POST", "/v1/models/iris:predict", {"instances": rows})).status == 400
    kinds = {"age": "INT64", "income": "FP64", "city": "BYTES", "vip": "BOOL"}
    inputs = [{"name": n, "shape": [1], "datatype": kinds[n], "data": [v]} for n, v in rows[0].items()]
    reply = await ruled.request("POST", "/v2/models/iris/infer", {"inputs": inputs})
    assert (reply.status, reply.json) == (400, {"error": "age: row 0: expected at most 150, got something else"})


def test_bounds_and_values_are_compared_in_the_width_of_the_input(tmp_path):
    model_dirs.write(tmp_path, {rules.FILE: json.dumps({"x": {"min": 0.1, "max": 0.1, "enum": [0.1]}})})
    rule = rules.read(tmp_path, {"x": "number"})["x"]
    assert rule.broken_at(np.array([0.1], dtype="float32")) is None
    assert rule.broken_at(np.array([0.1, np.nan], dtype="float64")) is None
    assert rule.broken_at(np.array([0.1, 0.2], dtype="float64")) == (1, "at most 0.1")


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"nope": {"min": 1}},
        {"age": {}},
        {"age": {"minimum": 1}},
        {"age": {"min": "1"}},
        {"age": {"min": 2, "max": 1}},
        {"age": {"pattern": "a"}},
        {"age": {"enum": []}},
        {"age": {"enum": ["a"]}},
        {"city": {"min": 1}},
        {"city": {"pattern": "("}},
        {"city": {"pattern": "(a+)+b"}},
        {"city": {"pattern": "(?x)^(a+) +$"}},
        {"city": {"pattern": "^a*a*a*a*b$"}},
        {"city": {"pattern": "a" * 1001}},
        {"city": {"enum": [1]}},
        {"vip": {"max": 1}},
    ],
)
def test_rules_that_mean_nothing_refuse_the_model(tmp_path, given):
    with pytest.raises(LoadError) as refused:
        loaded(model_dirs.mixed(tmp_path / "model", rules=given))
    assert refused.value.reason is Reason.ARTIFACT_INVALID
    assert refused.value.message.startswith("extra_files/schema_rules.json: ")


def test_a_whole_number_is_compared_as_it_is_and_not_as_what_an_enum_rounds_to():
    for allowed in (1.5, 2**32 + 1):
        rule = rules.Rule(allowed=frozenset([allowed]))
        assert rule.broken_at(np.array([1], dtype=np.int32)) is not None
    assert rules.Rule(allowed=frozenset([1, 2.0])).broken_at(np.array([1, 2], dtype=np.int32)) is None


def test_a_pattern_of_three_parts_is_no_hostile_one():
    pattern = rules._pattern("city", r"^\+[0-9]{2}-[A-Z]+[0-9]*(-[a-z]+)?$")
    assert pattern is not None
    assert pattern.search("+49-AB12-x")
