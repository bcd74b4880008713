"""Model directories made to do harm: each ends in a reason, in bounded memory, and the process goes on."""

import io
import json
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import model_dirs
from headgate_server import mlmodel
from headgate_server.loaders import memory, onnx_files
from headgate_server.reasons import MAX_MESSAGE, LoadError, Reason
from model_loading import loaded, refused
from server_process import ServerProcess


def graph(nodes: list[Any], *tensors: Any) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("X", "Y")]
    return bytes(model_dirs.onnx_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)).SerializeToString())


def asks_for(count: int) -> bytes:
    """A graph of some hundred bytes that makes `count` numbers at each prediction."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["X", "sum"], ["Y"]),
    ]
    return graph(nodes, numpy_helper.from_array(np.int64([count]), "shape"))


# -- names in MLmodel ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "x/" * 3000, "circle/model.onnx", ".", ""])
@pytest.mark.parametrize("field", ["data", "example"])
def test_a_file_name_that_can_be_none_is_invalid_or_missing(tmp_path, name, field):
    path = model_dirs.onnx_iris(tmp_path)
    (path / "circle").symlink_to("circle")
    document = json.loads(json.dumps({"flavors": {"onnx": {"data": "model.onnx"}}}))
    if field == "data":
        document["flavors"]["onnx"]["data"] = name
    else:
        document["saved_input_example_info"] = {"serving_input_path": name or ".."}
    (path / "MLmodel").write_text(json.dumps(document))
    assert refused(path).reason in {Reason.ARTIFACT_INVALID, Reason.ARTIFACT_MISSING}


@pytest.mark.parametrize("field", ["run_id", "predict_fn", "sklearn_version", "serialization_format"])
def test_a_text_that_would_be_endless_is_not_written_out(tmp_path, field):
    path = model_dirs.iris(tmp_path)
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True):
        bomb += f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    fields = {"pickled_model": "model.skops", "serialization_format": "skops", "predict_fn": "predict"}
    top = "run_id: *l\n" if field == "run_id" else ""
    text = ", ".join(f"{key}: {'*l' if key == field else fields.get(key)}" for key in {**fields, field: ""})
    (path / "MLmodel").write_text(f"{bomb}{top}flavors: {{python_function: {{{text}}}, sklearn: {{{text}}}}}\n")
    assert len(mlmodel.read(path).run_id) == 0
    if field in {"predict_fn", "serialization_format"}:
        assert refused(path).reason in {Reason.UNSUPPORTED_FLAVOR, Reason.PICKLE_REFUSED}


def test_a_message_is_short_whatever_the_files_say(tmp_path):
    path = model_dirs.onnx_iris(tmp_path)
    (path / "MLmodel").write_text(json.dumps({"flavors": {"x" * 100 + str(n): {} for n in range(1000)}}))
    assert len(refused(path).message) == MAX_MESSAGE


# -- sizes in signature and graph ---------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1 << 26, 10**12])
def test_a_signature_of_absurd_shape_costs_no_memory(tmp_path, width):
    path = model_dirs.onnx_iris(tmp_path, inputs=model_dirs.tensor("float32", [-1, width]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert loaded(path).golden == "none"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize("dims", [[10**15], [10**9], [2**32, 2**32], [-5]])
def test_a_tensor_of_absurd_shape_is_refused(tmp_path, dims):
    weights = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=dims)
    path = model_dirs.save_onnx(tmp_path, graph([helper.make_node("Add", ["X", "W"], ["Y"])], weights))
    assert refused(path).reason is Reason.LOAD_FAILED


@pytest.mark.parametrize(
    ("offset", "length", "dims"), [("99999999999", "4", [1]), ("-8", "4", [1]), ("0", "4", [10**10])]
)
def test_external_data_of_absurd_size_or_place_is_refused(tmp_path, offset, length, dims):
    weights = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "weights.bin"), ("offset", offset), ("length", length)):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    path = model_dirs.save_onnx(tmp_path, graph([helper.make_node("Add", ["X", "W"], ["Y"])], weights))
    (path / "weights.bin").write_bytes(np.float32([1]).tobytes())
    assert refused(path).reason is Reason.LOAD_FAILED


# -- zip bombs ----------------------------------------------------------------------------------------------------


def with_entry(path: Path, name: str, megabytes: int) -> Path:
    """A skops model with an entry that is a thousandth of its size when packed."""
    model_dirs.iris(path)
    with zipfile.ZipFile(path / "model.skops", "a", zipfile.ZIP_DEFLATED) as file, file.open(name, "w") as entry:
        for _ in range(megabytes):
            entry.write(bytes(1 << 20))
    return path


def test_a_zip_file_that_unpacks_to_more_than_the_memory_is_not_unpacked(tmp_path, monkeypatch):
    path = with_entry(tmp_path, "bomb.npy", 64)
    assert (path / "model.skops").stat().st_size < 200_000
    monkeypatch.setattr(memory, "available", lambda: 32 << 20)
    error = refused(path)
    assert (error.reason, "memory" in error.message) == (Reason.LOAD_FAILED, True)


def test_a_schema_is_weighed_by_what_it_becomes(tmp_path, monkeypatch):
    path = tmp_path
    model_dirs.iris(path)
    with zipfile.ZipFile(path / "model.skops", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("schema.json", "[" + "[]," * (2 << 20) + "[]]")
    monkeypatch.setattr(memory, "available", lambda: 32 << 20)
    assert refused(path).reason is Reason.LOAD_FAILED


def test_one_entry_named_a_thousand_times_stays_within_the_memory(tmp_path, monkeypatch):
    # Each mention is read into memory of its own.
    node = {
        "__class__": "ndarray",
        "__module__": "numpy",
        "__loader__": "NdArrayNode",
        "type": "numpy",
        "file": "a.npy",
    }
    keys = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}
    items = [{**node, "__id__": n} for n in range(10_000)]
    schema = {**keys, "content": items, "protocol": 2, "_skops_version": "0.16.0"}
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1 << 17))
    model_dirs.iris(tmp_path)
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as file:
        file.writestr("schema.json", json.dumps(schema))
        file.writestr("a.npy", buffer.getvalue())
    monkeypatch.setattr(memory, "available", lambda: 256 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = refused(tmp_path)
    assert (error.reason, "memory" in error.message) == (Reason.LOAD_FAILED, True)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000


# -- the bound itself ---------------------------------------------------------------------------------------------


def test_within_the_bound_no_more_memory_is_given_and_after_it_is_again(monkeypatch):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setattr(memory, "available", lambda: 100 << 20)
    with memory.bounded(), pytest.raises(MemoryError):
        np.ones(1 << 27)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "max"}, 8 << 30),
        ({"memory.max": str(1 << 30), "memory.current": str(900 << 20), "memory.stat": "anon 5\nfile 0\n"}, 124 << 20),
        (
            {"memory.max": str(1 << 30), "memory.current": str(900 << 20), "memory.stat": f"file {500 << 20}\n"},
            624 << 20,
        ),
        ({"memory.max": str(1 << 30), "memory.current": str(1 << 30)}, memory.LEAST),
        (
            {
                "memory/memory.limit_in_bytes": str(1 << 30),
                "memory/memory.usage_in_bytes": str(1 << 29),
                "memory/memory.stat": f"total_cache {1 << 20}\n",
            },
            513 << 20,
        ),
        ({}, 8 << 30),
    ],
)
def test_what_is_available_follows_the_container(tmp_path, files, expected):
    cgroup = model_dirs.write(tmp_path / "cgroup", files)
    proc = model_dirs.write(tmp_path / "proc", {"meminfo": f"MemTotal: 1 kB\nMemAvailable: {8 << 20} kB\n"})
    assert memory.available(cgroup, proc) == expected


# -- the process --------------------------------------------------------------------------------------------------


def test_a_graph_that_asks_for_terabytes_leaves_the_process_alive(tmp_path):
    path = model_dirs.save_onnx(tmp_path, asks_for(10**13), inputs=model_dirs.tensor("float32", [-1, 1]))
    with ServerProcess(model=path) as server:
        body = server.wait_for_reason("LoadFailed")
        assert (body["permanent"], "memory" in body["message"]) == (True, True)
        assert server.request("GET", "/livez", port=server.ops_port).status == 200


def test_a_graph_that_is_cut_off_or_overwritten_anywhere_is_told_as_such(tmp_path):
    path = model_dirs.onnx_iris(tmp_path / "model")
    graph = path / "model.onnx"
    content = graph.read_bytes()
    wrong = [content[:at] for at in range(1, len(content))]
    wrong += [content[:at] + b"\xfd" + content[at + 1 :] for at in range(len(content))]
    told = []
    for damaged in wrong:
        graph.write_bytes(damaged)
        try:
            onnx_files.check(graph, path)
        except LoadError as error:
            told.append((error.reason, error.message))
    assert told.count((Reason.ARTIFACT_INVALID, "the ONNX file is not a protobuf")) > 200
