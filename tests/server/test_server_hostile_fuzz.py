"""Anything at all at every predicting path: an answer in the path's own shape, and never a mistake of ours.

A model may fail of what its signature allows: scikit-learn refuses the infinities that `Compatible` lets through.
"""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import model_dirs
from asgi_client import AsgiClient
from headgate_server.protocols.table import PREDICTING

SECONDS = 20  # of one answer; a hang is a failure
PATHS = [p.format(model="iris", version="1") for e in PREDICTING for p in e.paths]
ROW = [5.1, 3.5, 1.4, 0.2]
FORMS = [
    "inputs",
    "instances",
    "features",
    "dataframe_split",
    "dataframe_records",
    "columns",
    "data",
    "index",
    "params",
]
TENSOR = ["name", "shape", "datatype", "data", "parameters", "binary_data_size", "binary_data", "outputs", "id"]
NAMES = st.sampled_from([*FORMS, *TENSOR, "binary_data_output", "X", *model_dirs.IRIS_COLUMNS])
NUMBERS = st.one_of(
    st.integers(-3, 20),
    st.integers(-(2**64), 2**65),
    st.floats(),
    st.sampled_from([2**31, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 1e39, 1e308, 5e-324]),
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["FP32", "FP64", "INT64", "BYTES", "BOOL", "FP16", "NaN", "1e999", "2026-11-21", "a\0b", "9" * 5000]
    ),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(NAMES, st.text(max_size=5)), inner, max_size=5),
    ),
    max_leaves=20,
)
GOOD = [
    {"features": ROW},
    {"instances": [ROW, ROW]},
    {"inputs": [ROW]},
    {"features": dict(zip(model_dirs.IRIS_COLUMNS, ROW, strict=True))},
    {"dataframe_split": {"columns": [*model_dirs.IRIS_COLUMNS], "data": [ROW]}},
    {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": ROW}], "id": "a"},
    {"inputs": [{"name": n, "shape": [1], "datatype": "FP64", "data": [1.5]} for n in model_dirs.IRIS_COLUMNS]},
]


@st.composite
def spoiled(draw):
    """A good request with something in it put out of its place."""
    body = json.loads(json.dumps(draw(st.sampled_from(GOOD))))
    for _ in range(draw(st.integers(1, 3))):
        at, key = None, None
        inner = body
        while isinstance(inner, dict | list) and inner:
            at, key = inner, draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
            inner = inner[key]
            if draw(st.integers(0, 3)) == 0:
                break
        if at is None:
            break
        match draw(st.integers(0, 3)):
            case 0:
                del at[key]
            case 1 if isinstance(at, list):
                at.append(draw(VALUES))
            case 2 if isinstance(at, dict):
                at[draw(NAMES)] = draw(VALUES)
            case _:
                at[key] = draw(VALUES)
    return body


@st.composite
def damaged(draw):
    """A good body with bytes changed, cut out or doubled."""
    raw = bytearray(json.dumps(draw(st.sampled_from(GOOD))).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(raw)


JSON = {"content-type": "application/json"}
HEADERS = st.one_of(
    st.just(JSON),
    st.fixed_dictionaries(
        {},
        optional={
            "content-type": st.sampled_from(["application/json", "text/csv", "application/octet-stream", "a/b", ""]),
            "content-encoding": st.sampled_from(["gzip", "deflate", "identity", "br", "gzip, gzip"]),
            "content-length": st.sampled_from(["0", "5", "999999999999", "x", ""]),
            "inference-header-content-length": st.sampled_from(["0", "2", "60", "-1", "99999999999999999999", "x"]),
            "x-request-id": st.sampled_from(["a", "a b", "\x7f"]),
        },
    ),
)
BODIES = st.one_of(
    VALUES.map(lambda value: json.dumps(value).encode()),
    spoiled().map(lambda value: json.dumps(value).encode()),
    damaged(),
    st.binary(max_size=200),
)
EXAMPLES = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", params=["Strict", "Compatible"])
def clients(request, tmp_path_factory):
    """A model with a tensor and one with columns, each with all kinds of them, under one kind of validation."""
    root = tmp_path_factory.mktemp("models")
    given = {"validation": request.param}
    with (
        AsgiClient(model_dirs.onnx_iris(root / "tensor"), **given) as tensor,
        AsgiClient(model_dirs.iris(root / "columns"), **given) as columns,
        AsgiClient(model_dirs.mixed(root / "mixed"), **given) as mixed,
    ):
        yield [tensor, columns, mixed]


def ask(client, path, body, headers):
    async def asked():
        async with asyncio.timeout(SECONDS):
            return await client.request("POST", path, body, headers)

    return asyncio.run(asked())


def check(path, reply):
    if reply.status == 200:
        return
    assert reply.status in {400, 404, 413, 415} or b"the model failed; see the log" in reply.body, reply
    assert reply.headers["content-type"] == "application/json"
    said = json.loads(reply.body)
    if path.startswith(("/v1", "/v2")):
        assert isinstance(said.pop("error"), str)
    elif path == "/invocations":
        assert {type(said.pop("error_code")), type(said.pop("message"))} == {str}
    else:
        error = said.pop("error")
        assert set(error) == {"code", "message", "details"}
        assert all(set(detail) == {"field", "message"} for detail in error["details"])
    assert not said


@EXAMPLES
@given(path=st.sampled_from(PATHS), body=BODIES, headers=HEADERS, which=st.integers(0, 2))
def test_anything_is_answered_in_the_shape_of_its_path(clients, path, body, headers, which):
    check(path, ask(clients[which], path, body, headers))


@EXAMPLES
@given(body=BODIES, tail=st.binary(max_size=40), which=st.integers(0, 2), data=st.data())
def test_anything_with_a_binary_tail_is_answered(clients, body, tail, which, data):
    length = data.draw(st.one_of(st.just(len(body)), st.integers(-1, len(body) + 50)))
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(length)}
    path = "/v2/models/iris/infer"
    check(path, ask(clients[which], path, body + tail, headers))


CSV = {"content-type": "text/csv"}
CELLS = st.one_of(
    st.sampled_from(["", "NA", "1", "1.5", "-0", "1e400", "nan", "inf", "true", '"a', '"', "é"]), st.text()
)


@EXAMPLES
@given(rows=st.lists(st.lists(CELLS, max_size=5), max_size=5), head=st.booleans(), which=st.integers(0, 2))
def test_any_csv_is_answered(clients, rows, head, which):
    names = [[*model_dirs.IRIS_COLUMNS]] if head else []
    body = "\n".join(",".join(row) for row in [*names, *rows]).encode("utf-8", "surrogatepass")
    check("/invocations", ask(clients[which], "/invocations", body, CSV))
