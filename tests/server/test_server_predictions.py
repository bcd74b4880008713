"""What is predicted is counted in bins that mean the same in every process and version, and never costs a request."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import model_dirs
from headgate_server.contract import PREDICTION_LAST_STEP
from headgate_server.loaders.runtime import Output
from headgate_server.predictions import PredictionCounts, bin_of, doubling, step
from server_process import ServerProcess

ROW = [5.1, 3.5, 1.4, 0.2]


class Model:
    label_output = "label"


def counted(values, names=(), times=1):
    counts = PredictionCounts()
    for _ in range(times):
        counts.predicted([Output("label", values)], Model(), names)
    return dict(counts.bins)


def test_a_class_is_counted_by_its_name():
    assert counted(np.array(["setosa"], dtype=object), ("setosa", "virginica")) == {"setosa": 1}
    assert counted(np.array([2])) == {"2": 1}
    assert counted(np.array([-1])) == {"-1": 1}
    assert counted(np.array([True])) == {"true": 1}


def test_labels_that_are_unknown_long_or_too_many_share_twenty_bins():
    many = [f"class {n}" for n in range(1000)]
    bins = {bin_of(name, many) for name in many}
    assert len(bins) == 20
    assert all(isinstance(found, str) and found.startswith("~") for found in bins)
    assert bin_of("setosa", ()).startswith("~")
    assert bin_of("x" * 41, ("x" * 41,)).startswith("~")
    assert bin_of("\ud800", ("\ud800",)).startswith("~")


def test_a_number_is_counted_on_a_ladder_that_needs_no_knowledge_of_the_model():
    # 16 steps a doubling, step 1 at 2**-16: 1.0 is 16 doublings up.
    assert [step(v) for v in (1.0, 1.04, 1.05, 2.0, 300.0)] == [257, 257, 258, 273, 388]
    assert [step(v) for v in (0.0, -0.0, 1e-9, 2.0**-16, -1.0)] == [0, 0, 0, 1, -257]
    assert [step(v) for v in (1e300, -1e300, 10**400)] == [PREDICTION_LAST_STEP, -PREDICTION_LAST_STEP, 768]
    assert counted(np.array([[4.5]], dtype=np.float32)) == {step(4.5): 1}
    assert counted([1000]) == {step(1000.0): 1}


def test_what_is_no_number_has_a_bin_of_its_own():
    assert counted(np.array([math.nan])) == counted(np.array([-math.inf])) == counted([None]) == {"not a number": 1}


@pytest.mark.parametrize(
    "values",
    [np.zeros((1, 3)), np.zeros((0,)), np.zeros((2, 1, 1)), [], [{"a": 0.1}], np.array([1 + 2j]), np.array(7), "text"],
)
def test_what_is_not_one_value_a_row_is_not_counted(values):
    assert counted(values) == {}


def test_an_answer_without_the_label_is_not_counted():
    counts = PredictionCounts()
    counts.predicted([Output("probabilities", np.array([0.5]))], Model(), ())
    assert not counts.bins


def test_of_a_batch_one_row_counts_and_another_each_time():
    assert counted(np.array(["a", "b", "c"], dtype=object), ("a", "b", "c"), times=30) == {"a": 10, "b": 10, "c": 10}


def test_for_people_numbers_are_told_by_doublings():
    assert [doubling(at) for at in (0, 257, 272, 273, -257)] == ["0", "1 to 2", "1 to 2", "2 to 4", "-1 to -2"]
    counts = PredictionCounts()
    for value in (4.5, 5.5, 9.0):
        counts.predicted([Output("label", [value])], Model(), ())
    assert dict(counts.words()) == {"4 to 8": 2, "8 to 16": 1}


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers(), st.dates()
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS),
    st.lists(SCALARS).map(lambda items: np.array([*items, None], dtype=object)[:-1]),
    st.lists(st.floats(width=32)).map(lambda items: np.array(items, dtype=np.float32)),
    st.lists(st.integers(0, 10**6)).map(lambda items: np.array(items, dtype="datetime64[ns]")),
)


@given(VALUES, st.lists(st.text(), max_size=3))
def test_whatever_a_model_gives_counting_never_fails_and_can_be_told_as_json(values, names):
    counts = PredictionCounts()
    for _ in range(3):
        counts.predicted([Output("label", values)], Model(), names)
    told = json.loads(json.dumps(counts.as_json()))
    assert all(isinstance(found, str | int) and count > 0 for found, count in told)
    assert sum(count for _, count in told) <= 3
    assert sum(count for _, count in counts.words()) == sum(count for _, count in told)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2))
def test_the_ladder_never_puts_a_larger_number_on_a_lower_step(numbers):
    steps = [step(number) for number in sorted(numbers)]
    assert steps == sorted(steps)
    assert max(map(abs, steps)) <= PREDICTION_LAST_STEP


def test_every_protocol_counts_its_answers(tmp_path):
    with ServerProcess(model=model_dirs.onnx_iris(tmp_path / "iris"), model_version="3") as server:
        server.wait_ready()
        read = lambda: server.request("GET", "/counters", port=server.ops_port).json["predictions"]  # noqa: E731
        assert read() == []  # warming up is no traffic
        server.post("/predict", {"features": ROW})
        server.post("/invocations", {"inputs": [ROW]})
        infer = {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": ROW}]}
        server.post("/v2/models/iris/infer", infer)
        server.post("/predict", {"features": ["a"]})
        assert sum(count for _, count in read()) == 3
        text = server.request("GET", "/metrics", port=server.ops_port).body.decode()
        assert 'headgate_predictions_total{model="iris",prediction="0",revision="",version="3"} 3.0' in text
