"""The signature validator: exact verdicts by example, and properties over generated signatures and rows."""

import base64
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate_server.signature import Column, Columns, Tensor, Tensors
from headgate_server.validation import InvalidInput, Validator

RANGES = {"integer": 31, "long": 63}


def column(kind: str, *, required: bool = True) -> Validator:
    return Validator(Columns((Column("x", kind, required),)))


def cell(kind: str, value: Any, *, required: bool = True) -> Any:
    return column(kind, required=required).records([{"x": value}]).arrays["x"][0]


ACCEPTED = [
    ("double", 1, 1.0),
    ("double", 2**53, 2.0**53),
    ("double", 2**60, 2.0**60),
    ("double", -0.0, 0.0),
    ("float", 5.1, np.float32(5.1)),
    ("float", 2**24, 2.0**24),
    ("long", 20.0, 20),
    ("long", -(2**63), -(2**63)),
    ("integer", 2**31 - 1, 2**31 - 1),
    ("boolean", True, True),
    ("string", "", ""),
    ("binary", base64.b64encode(b"\0x").decode(), b"\0x"),
    ("datetime", "2026-11-21T10:00:00", np.datetime64("2026-11-21T10:00:00", "ns")),
    ("datetime", "2026-11-21T12:00:00+02:00", np.datetime64("2026-11-21T10:00:00", "ns")),
]

REFUSED = [
    ("double", "5.1", "string"),
    ("double", True, "boolean"),
    ("double", 2**53 + 1, "integer too large to be exact"),
    ("double", 10**400, "integer too large to be exact"),
    ("double", None, "null"),
    ("double", [1.0], "array"),
    ("double", {}, "object"),
    ("double", math.nan, "non-finite number"),
    ("float", 1e39, "number out of range"),
    ("float", 2**24 + 1, "integer too large to be exact"),
    ("long", 20.5, "number with a fraction"),
    ("long", 2**63, "integer out of range"),
    ("long", 1e300, "number too large to be exact"),
    ("long", True, "boolean"),
    ("long", "1", "string"),
    ("integer", 2**31, "integer out of range"),
    ("boolean", 1, "integer"),
    ("boolean", "true", "string"),
    ("string", 5, "integer"),
    ("binary", "?", "string that is not base64"),
    ("datetime", "soon", "string that is not an ISO 8601 time"),
    ("datetime", 0, "integer"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), ACCEPTED)
def test_a_lossless_value_is_taken(kind, value, expected):
    assert cell(kind, value) == expected


@pytest.mark.parametrize(("kind", "value", "got"), REFUSED)
def test_a_lossy_or_foreign_value_is_refused_by_its_type_word(kind, value, got):
    with pytest.raises(InvalidInput) as caught:
        cell(kind, value)
    assert caught.value.message == f"x: row 0: expected {kind}, got {got}"


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("row", [{}, {"x": None}])
def test_an_optional_number_may_be_nothing(kind, row):
    batch = column(kind, required=False).records([row])
    assert np.isnan(batch.arrays["x"][0])


@pytest.mark.parametrize("kind", ["integer", "long", "boolean"])
def test_an_optional_whole_number_has_no_way_to_be_nothing(kind):
    with pytest.raises(InvalidInput, match="or nothing, got null"):
        cell(kind, None, required=False)


def test_a_null_among_rows_is_found_at_its_row():
    with pytest.raises(InvalidInput, match="x: row 2: expected long, got null"):
        column("long").records([{"x": 1}, {"x": 2}, {"x": None}])


def test_a_column_missing_in_one_row_is_found():
    with pytest.raises(InvalidInput, match="row 1: expected long, got nothing"):
        column("long").records([{"x": 1}, {}])


def test_rows_that_each_bring_names_of_their_own_are_refused_before_a_square_is_made_of_them():
    rows = [{f"x{n}": 1} for n in range(100_000)]  # as a square: ten thousand million cells
    with pytest.raises(InvalidInput, match="unknown"):
        column("double", required=False).records(rows)


def test_missing_columns_are_named_and_unknown_ones_counted():
    validator = Validator(Columns((Column("a", "long"), Column("b", "long"))))
    with pytest.raises(InvalidInput) as caught:
        validator.records([{"a": 1, "secret": 2, "more": 3}])
    assert [(d.field, d.message) for d in caught.value.details] == [
        ("b", "missing"),
        ("", "2 unknown; known are a, b"),
    ]


@pytest.mark.parametrize("rows", [[[1, 2]], [[1], [1, 2]], [1], [], "x", None, [{}]])
def test_rows_of_another_width_are_refused(rows):
    with pytest.raises(InvalidInput):
        column("long").positional(rows)


TENSOR = Validator(Tensors((Tensor("t", "float32", (-1, 2)),)))


@pytest.mark.parametrize(
    "nested",
    [[], [[]], [[1]], [[1, 2, 3]], [[1, 2], [1]], [1, 2], [[[1, 2]]], 1, [["a", "b"]], [[None, 1]], [[True, 1]]],
)
def test_a_tensor_of_another_shape_or_type_is_refused(nested):
    with pytest.raises(InvalidInput):
        TENSOR.tensor(nested)


def test_endless_nesting_is_refused():
    nested: Any = 1
    for _ in range(500):
        nested = [nested]
    with pytest.raises(InvalidInput, match="too deep"):
        TENSOR.tensor(nested)


# -- properties -------------------------------------------------------------------------------------------------

VALUES = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.text(max_size=8),
}
NAMES = st.text(min_size=1, max_size=6)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


@st.composite
def signatures(draw: st.DrawFn) -> Columns:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    return Columns(tuple(Column(name, draw(st.sampled_from(sorted(VALUES)))) for name in names))


@st.composite
def signatures_with_rows(draw: st.DrawFn) -> tuple[Columns, list[dict[str, Any]]]:
    signature = draw(signatures())
    row = st.fixed_dictionaries({c.name: VALUES[c.type] for c in signature.columns})
    return signature, draw(st.lists(row, min_size=1, max_size=4))


@given(signatures_with_rows())
def test_rows_that_fit_come_through_unchanged_in_every_format(case):
    signature, rows = case
    validator = Validator(signature)
    names = [c.name for c in signature.columns]
    formats = [
        validator.records(rows),
        validator.split(names[::-1], [[row[n] for n in names[::-1]] for row in rows]),
        validator.positional([[row[n] for n in names] for row in rows]),
        validator.columns({n: [row[n] for row in rows] for n in names}),
    ]
    for batch in formats:
        assert batch.rows == len(rows)
        assert list(batch.arrays) == names
        for name in names:
            assert batch.arrays[name].tolist() == [row[name] for row in rows]


CELLS = st.one_of(
    *[st.floats(allow_nan=True, allow_infinity=True)] * 4,
    st.sampled_from([1e39, -1e39, 1.7e308, 3.4028235677973366e38, 3.4028234663852886e38, 0.1]),
    st.sampled_from([None, True, 1, 2**60, 10**400, "1", []]),
)
ROWS = st.lists(st.lists(st.one_of(st.floats(-9, 9), CELLS), min_size=2, max_size=3), min_size=1, max_size=3)


@given(st.sampled_from(["float", "double"]), ROWS, st.sampled_from([None, ["a", "b"], ["b", "a"]]))
@settings(max_examples=300)
def test_rows_of_floats_are_read_in_one_go_as_they_are_one_by_one(kind, rows, names):
    signature = Columns((Column("a", kind), Column("b", kind)))
    at_once, one_by_one = Validator(signature), Validator(signature)
    assert at_once._uniform is not None
    one_by_one._uniform = None

    def told(validator):
        try:
            batch = validator.split(names, rows)
        except InvalidInput as refused:
            return refused.message, refused.details, refused.unreadable
        return batch.rows, {name: (a.dtype, a.flags.c_contiguous, a.tobytes()) for name, a in batch.arrays.items()}

    assert told(at_once) == told(one_by_one)


@pytest.mark.parametrize("signature", [(("a", "double"), ("b", "float")), (("a", "long"),), (("a", "string"),)])
def test_columns_that_are_not_all_of_one_float_type_are_read_one_by_one(signature):
    assert Validator(Columns(tuple(Column(*each) for each in signature)))._uniform is None


@given(signatures(), JSON_VALUES)
def test_any_json_is_either_taken_or_refused_with_invalid_input(signature, body):
    validator = Validator(signature)
    for read in (validator.records, validator.positional, validator.columns, lambda b: validator.split(b, b)):
        try:
            batch = read(body)
        except InvalidInput:
            continue
        assert set(batch.arrays) == set(signature.names)
        assert all(len(array) == batch.rows for array in batch.arrays.values())


@given(st.sampled_from(["float32", "float64", "int64", "int8", "bool", "str"]), JSON_VALUES)
def test_any_json_for_a_tensor_is_either_taken_or_refused(dtype, body):
    validator = Validator(Tensors((Tensor("t", dtype, (-1, -1)),)))
    try:
        batch = validator.tensor(body)
    except InvalidInput:
        return
    array = batch.arrays["t"]
    assert array.ndim == 2
    # Tolerance of a 32-bit float: a decimal is not a lossy cast.
    if dtype == "float32":
        assert np.allclose(array, np.array(body, dtype=float), rtol=1e-6)
    else:
        assert array.tolist() == body


@given(st.integers())
@settings(max_examples=300)
def test_a_whole_number_is_a_double_exactly_when_it_survives_the_cast(value):
    try:
        exact = int(float(value)) == value
    except OverflowError:
        exact = False
    try:
        assert cell("double", value) == value
    except InvalidInput:
        assert not exact
    else:
        assert exact


@given(st.text(min_size=9, max_size=20).filter(lambda t: not any(word in t for word in ("expected", "string"))))
def test_a_refusal_holds_nothing_of_the_data(text):
    for value in (text, [text], {text: text}):
        with pytest.raises(InvalidInput) as caught:
            cell("double", value)
        assert text not in str(caught.value)
