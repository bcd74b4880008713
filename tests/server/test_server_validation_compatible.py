"""Compatible: value by value what MLflow's server accepts, casts and refuses."""

import math

import numpy as np
import pytest

from headgate_server.signature import Column, Columns, Param, Tensor, Tensors
from headgate_server.validation import InvalidInput, Validator


def column(kind, *, required=True):
    return Validator(Columns((Column("x", kind, required),)), lenient=True)


CASTS = [
    ("double", "5.1", 5.1),
    ("double", True, 1.0),
    ("double", 10**30, 1e30),
    ("float", 1e300, math.inf),
    ("long", 20.9, 20),
    ("long", -20.9, -20),
    ("long", "7", 7),
    ("long", True, 1),
    ("integer", 3.0, 3),
    ("string", 5, "5"),
    ("string", 5.5, "5.5"),
    ("string", True, "True"),
    ("boolean", 2, True),
    ("boolean", "", False),
    ("binary", "AQI=", b"\x01\x02"),
    ("datetime", "2026-01-02", np.datetime64("2026-01-02")),
    ("datetime", 1_000_000_000, np.datetime64("1970-01-01T00:00:01")),
]
REFUSED = [
    ("double", "abc"),
    ("double", [1]),
    ("double", {}),
    ("long", "5.5"),
    ("long", None),
    ("long", 2**63),
    ("long", 1e300),
    ("long", "9" * 5000),
    ("integer", 2**31),
    ("string", [1]),
    ("boolean", {}),
    ("binary", 5),
    ("binary", "A"),
    ("datetime", "yesterday"),
]


@pytest.mark.parametrize(("kind", "value", "made"), CASTS)
def test_values_are_cast_as_there(kind, value, made):
    assert column(kind).records([{"x": value}]).arrays["x"][0] == made


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_values_that_are_refused_there_are_refused_and_not_repeated(kind, value):
    with pytest.raises(InvalidInput) as refused:
        column(kind).records([{"x": value}])
    assert refused.value.unreadable
    assert "abc" not in refused.value.message


@pytest.mark.parametrize("rows", [[{"x": None}], [{"x": 1.0}, {}]])
def test_a_null_for_a_number_with_a_fraction_is_nan(rows):
    assert math.isnan(column("double").records([{"y": 1, "x": 0}, *rows]).arrays["x"][-1])


def test_unknown_columns_are_dropped_and_missing_ones_are_not_made_up():
    two = Validator(Columns((Column("a", "long"), Column("b", "long"))), lenient=True)
    assert list(two.records([{"a": 1, "b": 2, "c": 3}]).arrays) == ["a", "b"]
    assert list(two.columns({"c": [1], "b": [2], "a": [3]}).arrays) == ["a", "b"]
    with pytest.raises(InvalidInput, match="b: missing"):
        two.records([{"a": 1, "c": 2}])


def test_elements_of_tensors_are_cast_but_unknown_tensors_are_refused():
    validator = Validator(Tensors((Tensor("t", "int64", (-1,)),)), lenient=True)
    assert validator.tensor([1.9, "2"]).arrays["t"].tolist() == [1, 2]
    with pytest.raises(InvalidInput):
        validator.columns({"t": [1], "u": [2]})


def test_params_keep_their_declared_names_and_types():
    validator = Validator(Columns((Column("x", "long"),)), params=[Param("t", "double"), Param("n", "long", many=True)])
    assert set(validator.params) == {"t", "n"}
