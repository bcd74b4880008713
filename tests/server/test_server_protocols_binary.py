"""V2's binary tensors, compressed bodies, and what a request may ask of its outputs."""

import gzip
import json
import struct
import zlib

import numpy as np
import pytest

import model_dirs
from asgi_client import AsgiClient

PATH = "/v2/models/iris/infer"
ROWS = np.array(model_dirs.IRIS_ROWS, dtype="<f4")
SIZE = {"binary_data_size": ROWS.nbytes}


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    with AsgiClient(model_dirs.onnx_iris(tmp_path_factory.mktemp("onnx") / "model"), max_body_bytes=20_000) as client:
        yield client


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    with AsgiClient(model_dirs.mixed(tmp_path_factory.mktemp("mixed") / "model")) as client:
        yield client


def tensor(array=ROWS, datatype="FP32", **more):
    return {"name": "X", "shape": list(array.shape), "datatype": datatype, **more}


async def post(client, body, tail=b"", *, length=None, **headers):
    """One infer request, with the length of its JSON in the header where bytes follow it."""
    head = json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if tail or length is not None:
        given["Inference-Header-Content-Length"] = str(len(head)) if length is None else length
    return await client.request("POST", PATH, head + tail, given)


def outputs(reply):
    """The outputs of an answer, binary ones as arrays."""
    size = int(reply.headers.get("inference-header-content-length", len(reply.body)))
    body, at, made = json.loads(reply.body[:size]), size, {}
    for output in body["outputs"]:
        if "data" in output:
            made[output["name"]] = output["data"]
            continue
        length = output["parameters"]["binary_data_size"]
        dtype = {"INT64": "<i8", "FP32": "<f4"}[output["datatype"]]
        made[output["name"]] = np.frombuffer(reply.body[at : at + length], dtype).reshape(output["shape"])
        at += length
    assert at == len(reply.body)
    return made


async def test_binary_tensors_come_in_and_go_out(iris):
    body = {"id": "7", "inputs": [tensor(parameters=SIZE)], "parameters": {"binary_data_output": True}}
    reply = await post(iris, body, ROWS.tobytes(), content_type="application/octet-stream")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/octet-stream")
    given = outputs(reply)
    assert given["label"].tolist() == [0, 2]
    assert given["probabilities"].shape == (2, 3)
    assert given["probabilities"][0, 0] == pytest.approx(0.984703, abs=1e-5)
    assert json.loads(reply.body[: int(reply.headers["inference-header-content-length"])])["id"] == "7"


async def test_each_output_may_be_asked_for_as_bytes_or_as_json(iris):
    asked = [{"name": "probabilities"}, {"name": "label", "parameters": {"binary_data": False}}]
    body = {"inputs": [tensor(parameters=SIZE)], "outputs": asked, "parameters": {"binary_data_output": True}}
    given = outputs(await post(iris, body, ROWS.tobytes()))
    assert list(given) == ["probabilities", "label"]
    assert isinstance(given["probabilities"], np.ndarray)
    assert given["label"] == [0, 2]
    one = outputs(
        await post(
            iris,
            {
                "inputs": [tensor(data=ROWS.tolist())],
                "outputs": [{"name": "label", "parameters": {"binary_data": True}}],
            },
        )
    )
    assert one["label"].tolist() == [0, 2]


@pytest.mark.parametrize(("datatype", "dtype"), [("FP16", "<f2"), ("FP64", "<f8"), ("INT32", "<i4"), ("UINT8", "u1")])
async def test_binary_numbers_of_another_width_are_taken_where_they_fit(iris, datatype, dtype):
    rows = np.array([[5, 3, 1, 0]], dtype=dtype)
    body = {"inputs": [tensor(rows, datatype, parameters={"binary_data_size": rows.nbytes})]}
    reply = await post(iris, body, rows.tobytes())
    assert (reply.status, outputs(reply)["label"]) == (200, [0])


async def test_non_finite_bytes_are_refused_as_in_json(iris):
    rows = np.array([[np.nan, 1, 1, 1]], dtype="<f4")
    reply = await post(iris, {"inputs": [tensor(rows, parameters={"binary_data_size": 16})]}, rows.tobytes())
    assert (reply.status, "non-finite" in reply.json["error"]) == (400, True)


def text_bytes(*values):
    return b"".join(struct.pack("<I", len(v)) + v for v in values)


async def test_binary_texts_and_truth_values_are_columns_too(texts):
    def column(name, datatype, tail):
        return {"name": name, "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": len(tail)}}

    tails = {
        "age": ("INT64", np.array([20, 50], "<i8").tobytes()),
        "income": ("FP64", np.array([1.5, 4.5], "<f8").tobytes()),
        "city": ("BYTES", text_bytes(b"a", "zürich".encode())),
        "vip": ("BOOL", b"\x01\x00"),
    }
    body = {"inputs": [column(name, kind, tail) for name, (kind, tail) in tails.items()]}
    reply = await post(texts, body, b"".join(tail for _, tail in tails.values()))
    assert (reply.status, reply.json["outputs"][0]["data"]) == (200, [0, 1])


@pytest.mark.parametrize(
    "tail",
    [
        text_bytes(b"a"),
        text_bytes(b"a", b"b", b"c"),
        text_bytes(b"a", b"b")[:-1],
        b"\xff" * 8,
        text_bytes(b"a", b"\xff"),
    ],
    ids=["too few", "too many", "cut off", "a length beyond the end", "no UTF-8"],
)
async def test_texts_whose_lengths_do_not_add_up_are_400(texts, tail):
    row = {"age": ("INT64", [20, 50]), "income": ("FP64", [1.5, 4.5]), "vip": ("BOOL", [True, False])}
    inputs = [{"name": n, "shape": [2], "datatype": kind, "data": data} for n, (kind, data) in row.items()]
    city = {"name": "city", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(tail)}}
    reply = await post(texts, {"inputs": [*inputs, city]}, tail)
    assert (reply.status, set(reply.json)) == (400, {"error"})


@pytest.mark.parametrize(
    ("body", "tail", "length"),
    [
        ({"inputs": [tensor(parameters=SIZE)]}, ROWS.tobytes()[:-1], None),
        ({"inputs": [tensor(parameters=SIZE)]}, ROWS.tobytes() + b"x", None),
        ({"inputs": [tensor(parameters={"binary_data_size": -1})]}, ROWS.tobytes(), None),
        ({"inputs": [tensor(parameters={"binary_data_size": "32"})]}, ROWS.tobytes(), None),
        ({"inputs": [tensor(parameters={"binary_data_size": True})]}, b"x", None),
        ({"inputs": [tensor(parameters={"binary_data_size": 16})]}, ROWS.tobytes(), None),
        ({"inputs": [tensor(parameters=SIZE, data=ROWS.tolist())]}, ROWS.tobytes(), None),
        ({"inputs": [tensor(parameters=SIZE, datatype="BF16")]}, ROWS.tobytes(), None),
        ({"inputs": [tensor(parameters=SIZE, datatype="BYTES")]}, ROWS.tobytes(), None),
        ({"inputs": [tensor(parameters=SIZE)]}, ROWS.tobytes(), "1000000"),
        ({"inputs": [tensor(parameters=SIZE)]}, ROWS.tobytes(), "-1"),
        ({"inputs": [tensor(parameters=SIZE)]}, ROWS.tobytes(), "3"),
        ({"inputs": [tensor(parameters=SIZE)]}, b"", None),
        ({"inputs": [tensor(data=ROWS.tolist(), datatype="FP16")]}, b"", None),
        ({"inputs": [tensor(data=ROWS.tolist())], "parameters": []}, b"", None),
        ({"inputs": [tensor(data=ROWS.tolist())], "parameters": {"x": [1]}}, b"", None),
        ({"inputs": [tensor(data=ROWS.tolist())], "parameters": {"binary_data_output": 1}}, b"", None),
        ({"inputs": [tensor(data=ROWS.tolist())], "outputs": [{"name": "label", "parameters": 1}]}, b"", None),
        ({"inputs": [tensor(data=ROWS.tolist())], "outputs": [
            {"name": "label", "parameters": {"classification": 2}}]}, b"", None),
    ],
)  # fmt: skip
async def test_tensors_and_parameters_that_do_not_fit_are_400_with_error(iris, body, tail, length):
    reply = await post(iris, body, tail, length=length)
    assert (reply.status, set(reply.json)) == (400, {"error"})


async def test_only_v2_infer_takes_binary_tensors(iris):
    for path in ("/predict", "/v1/models/iris:predict"):
        reply = await iris.request("POST", path, b"{}", {"inference-header-content-length": "2"})
        assert reply.status == 400


async def test_metadata_lists_the_extension_that_is_there(iris):
    assert (await iris.request("GET", "/v2")).json["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_bodies_are_inflated_within_the_limit(iris, encoding, pack):
    packed = pack(json.dumps({"inputs": [tensor(data=ROWS.tolist())]}).encode())
    assert (await iris.request("POST", PATH, packed, {"content-encoding": encoding})).status == 200
    bomb = pack(b" " * 10_000_000)
    assert len(bomb) < 20_000
    assert (await iris.request("POST", PATH, bomb, {"content-encoding": encoding})).status == 413
    for broken in (packed[:-5], packed + b"x", b"x"):
        assert (await iris.request("POST", PATH, broken, {"content-encoding": encoding})).status == 400


async def test_half_floats_go_out_as_fp32_in_json_and_as_they_are_in_bytes(tmp_path):
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Neg", ["X"], ["Y"])],
        "half",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT16, [None, 1])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT16, [None, 1])],
    )
    path = model_dirs.save_onnx(tmp_path / "half", bytes(model_dirs.onnx_model(graph).SerializeToString()))
    with AsgiClient(path) as client:
        body = {"inputs": [{"name": "X", "shape": [1, 1], "datatype": "FP32", "data": [0.5]}]}
        plain = (await post(client, body)).json["outputs"][0]
        assert (plain["datatype"], plain["data"]) == ("FP32", [-0.5])
        reply = await post(client, body | {"parameters": {"binary_data_output": True}})
        assert reply.body.endswith(np.array([-0.5], "<f2").tobytes())
        assert b'"datatype":"FP16"' in reply.body
