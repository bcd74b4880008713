"""Lists and objects of a body are held against what its rows can need, before they are made."""

import json

import pytest

import model_dirs
from asgi_client import AsgiClient
from headgate_server import containers
from headgate_server.containers import ROOM, SOME
from headgate_server.protocols.call import CSV, Content
from headgate_server.protocols.failures import RequestFailed
from headgate_server.signature import Column, Columns, Tensor, Tensors

NUMBERS = Columns((Column("a", "double"), Column("b", "long")))


@pytest.mark.parametrize(
    ("inputs", "of_a_row"),
    [
        (NUMBERS, 2),
        (Tensors((Tensor("x", "float32", (-1,)),)), 1),
        (Tensors((Tensor("x", "float32", (-1, 4)),)), 1),
        (Tensors((Tensor("x", "float32", (-1, -1)),)), 1),
        (Tensors((Tensor("x", "float32", (-1, 28, 28)),)), 29),
        (Tensors((Tensor("x", "float32", (-1, 2, 3, 4)),)), 1 + 2 + 6),
        (Tensors((Tensor("x", "float32", (-1, 4)), Tensor("y", "int64", (-1, 2, 4)))), 1 + 3),
        (Tensors((Tensor("x", "float32", ()),)), 1),
    ],
)
def test_the_bound_is_of_the_signature_and_the_rows(inputs, of_a_row):
    count = len(inputs.columns if isinstance(inputs, Columns) else inputs.tensors)
    assert containers.most(inputs, 10) == ROOM * (10 * of_a_row + count) + SOME


@pytest.mark.parametrize(
    "inputs",
    [
        Columns((*NUMBERS.columns, Column("c", "string"))),
        Tensors((Tensor("x", "str", (-1,)),)),
        Tensors((Tensor("x", "float32", (-1, -1, 4)),)),
    ],
)
def test_where_a_bracket_may_stand_in_a_text_or_a_row_be_of_any_shape_there_is_none(inputs):
    assert containers.most(inputs, 10) is None
    containers.check(Content(b"[" * 10_000, max_rows=10), inputs)


@pytest.mark.parametrize(("one", "holds"), [(b"[],", 1), (b"{},", 1), (b"[{}],", 2), (b"1,", 0)])
def test_what_is_beyond_it_is_413(one, holds):
    bound = containers.most(NUMBERS, 10)
    most = (bound - 1) // holds if holds else 10_000
    containers.check(Content(b"[" + one * most + b"1]", max_rows=10), NUMBERS)
    if holds:
        with pytest.raises(RequestFailed, match="than 10 rows can need") as failed:
            containers.check(Content(b"[" + one * (most + 1) + b"1]", max_rows=10), NUMBERS)
        assert failed.value.status == 413


def test_csv_and_binary_tensors_hold_none():
    containers.check(Content(b"a,b\n" + b"[[[,{{\n" * 9000, CSV, max_rows=1), NUMBERS)
    containers.check(Content(b"{}" + b"[" * 9000, json_bytes=2, max_rows=1), NUMBERS)


def _column(name, data):
    return {"name": name, "shape": [len(data), 1], "datatype": "FP64", "data": data}


async def test_as_many_rows_as_are_allowed_are_read_however_they_are_sent(tmp_path):
    names = model_dirs.IRIS_COLUMNS
    row = dict(zip(names, [5.1, 3.5, 1.4, 0.2], strict=True))
    nested = {"dropped": [1, {"a": [2]}], **row}
    forms = [
        {"dataframe_split": {"columns": names, "data": [list(row.values())] * 10_000}},
        {"dataframe_records": [row] * 10_000},
        {"dataframe_records": [nested] * 10_000},
    ]
    with AsgiClient(model_dirs.iris(tmp_path / "iris"), validation="Compatible") as client:
        for form in forms:
            answer = await client.request("POST", "/invocations", json.dumps(form).encode())
            assert (answer.status, len(answer.json["predictions"])) == (200, 10_000)
        columns = [_column(name, [[value]] * 10_000) for name, value in row.items()]
        answer = await client.request("POST", "/v2/models/iris/infer", json.dumps({"inputs": columns}).encode())
        assert (answer.status, answer.json["outputs"][0]["shape"]) == (200, [10_000])
        lists = await client.request("POST", "/invocations", b'{"inputs":[' + b"[]," * 200_000 + b"0]}")
        assert lists.status == 413
        assert "rows" in lists.json["message"]
