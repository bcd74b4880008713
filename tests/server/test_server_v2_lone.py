"""The short way of V2's commonest request: it takes only what the general way takes, and makes the same of it."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import model_dirs
from asgi_client import AsgiClient
from headgate_server.loaders.runtime import Output
from headgate_server.protocols import v2, v2_lone
from headgate_server.protocols.call import Facts
from headgate_server.signature import Column, Columns, Tensor, Tensors
from headgate_server.validation import InvalidInput, Validator

ROW = [5.1, 3.5, 1.4, 0.2]
ITEM = {"name": "X", "shape": [1, 4], "datatype": "FP32", "data": ROW}
BODY = {"inputs": [ITEM]}
SHAPES = st.one_of(st.lists(st.integers(-5, 5), max_size=3), st.sampled_from([[1, 4], [2, 2], [2, 4], [True, 4], "x"]))
NUMBERS = st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.sampled_from([3.41e38, "1", [1.5]]))
DATA = st.one_of(st.lists(st.floats(-1e3, 1e3), max_size=8), st.lists(NUMBERS, max_size=8))
ITEMS = st.fixed_dictionaries(
    {"name": st.sampled_from(["X", "Y", 1]), "shape": SHAPES, "datatype": st.sampled_from(["FP32", "FP64", "INT64"])},
    optional={"data": DATA, "parameters": st.sampled_from([{}, {"binary_data_size": 4}])},
)
BODIES = st.fixed_dictionaries(
    {"inputs": st.lists(ITEMS, max_size=2)},
    optional={"id": st.sampled_from(["a", 1]), "outputs": st.just([]), "parameters": st.just({"classification": 1})},
)


def validator(dtype="float32", shape=(-1, 4), **given):
    return Validator(Tensors((Tensor("X", dtype, shape),)), **given)


@given(BODIES, st.sampled_from(["float32", "float64"]), st.sampled_from([(-1, 4), (-1, -1), (2, 2), (-1,)]))
@example(BODY, "float32", (-1, 4))
@example(BODY | {"id": "a"}, "float64", (-1, -1))
@example({"inputs": [ITEM | {"shape": [-1, -4]}]}, "float32", (-1, -1))
@example({"inputs": [ITEM | {"data": [True, *ROW[1:]]}]}, "float32", (-1, 4))
@example({"inputs": [ITEM | {"data": [-3.41e38, *ROW[1:]]}]}, "float32", (-1, 4))
@example({"inputs": [ITEM | {"data": [3.41e38, *ROW[1:]]}]}, "float32", (-1, 4))
def test_what_it_takes_the_general_way_takes_alike(body, dtype, shape):
    checked = validator(dtype, shape)
    lone = v2_lone.compiled(checked)
    found = v2_lone.batch(body, lone)
    if found is None:
        return
    general = v2.batch(body, checked)
    assert found.rows == general.rows
    assert found.arrays["X"].dtype == general.arrays["X"].dtype
    assert np.array_equal(found.arrays["X"], general.arrays["X"])


def test_the_commonest_request_goes_the_short_way():
    lone = v2_lone.compiled(validator())
    assert lone is not None
    for body in (BODY, BODY | {"id": "a"}):
        found = v2_lone.batch(body, lone)
        assert found is not None
        assert found.arrays["X"].tolist() == np.float32([ROW]).tolist()


@pytest.mark.parametrize(
    "other",
    [
        validator(lenient=True),
        validator("int64"),
        validator(shape=()),
        Validator(Columns((Column("X", "double"),))),
        Validator(Tensors((Tensor("X", "float32", (-1, 4)), Tensor("Y", "float32", (-1, 4))))),
    ],
)
def test_a_signature_with_more_to_look_at_has_no_short_way(other):
    assert v2_lone.compiled(other) is None


@pytest.mark.parametrize("body", [BODY, BODY | {"id": "a"}])
async def test_the_answer_is_the_general_ways_to_the_byte(tmp_path, monkeypatch, body):
    path = model_dirs.onnx_iris(tmp_path / "iris")
    answers = []
    for lone in (True, False):
        if not lone:
            monkeypatch.setattr(v2, "_lone", lambda _: None)
        with AsgiClient(path) as client:
            reply = await client.request("POST", "/v2/models/iris/infer", body)
        assert set(reply.json) == {"model_name", "model_version", "outputs", *({"id"} & set(body))}
        answers.append(reply.body)
    assert answers[0] == answers[1]


ARRAYS = [
    np.array([0], dtype=np.int64),
    np.array([[0.1, 1e-9, np.nan], [np.inf, -0.0, 3.0]], dtype=np.float32),
    np.arange(24, dtype=np.uint16).reshape(2, 3, 4),
    np.array([], dtype=np.float64),
    np.array([True, False]),
    np.array([1], dtype=np.int8),
    np.arange(6, dtype=np.int32).reshape(2, 3).T,
    np.array([1.5], dtype=np.float16),
    np.array(["a", "b"], dtype=object),
    np.array(5, dtype=np.int64),
    np.array([1.5], dtype=np.longdouble),
    np.ma.masked_array([1.5, 2.5], [True, False]),
]


@pytest.mark.parametrize("arrays", [*([one] for one in ARRAYS), ARRAYS[:3], [], ARRAYS[:2] + ARRAYS[-2:]])
@pytest.mark.parametrize("echoed", [{}, {"id": "a"}])
def test_whatever_a_model_says_is_written_as_the_general_way_writes_it(arrays, echoed):
    loaded = SimpleNamespace(name='a "model"', version="1")
    outputs = [Output(f"o{n}", array) for n, array in enumerate(arrays)]
    asked = [v2.Asked(output.name, False) for output in outputs]
    general = v2._answer(echoed, asked, loaded, outputs, Facts("", 0.0))
    assert v2._short_answer(echoed, loaded, outputs, Facts("", 0.0)) == general


def test_what_only_rounding_makes_infinite_is_refused_both_ways():
    lone, checked = v2_lone.compiled(validator()), validator()
    fits = {"inputs": [ITEM | {"data": [3.4028235677973362e38, *ROW[1:]]}]}
    assert np.isfinite(v2_lone.batch(fits, lone).arrays["X"]).all()
    assert np.isfinite(v2.batch(fits, checked).arrays["X"]).all()
    infinite = {"inputs": [ITEM | {"data": [3.4028235677973366e38, *ROW[1:]]}]}
    assert v2_lone.batch(infinite, lone) is None
    with pytest.raises(InvalidInput, match="out of range"):
        v2.batch(infinite, checked)
