"""Loading: what is refused and why, what the loaders make of a model, and that neither imports the other's runtime."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import sklearn
from onnx import TensorProto, helper

import model_dirs
from headgate_server import mlmodel
from headgate_server.loaders import onnx_files, threads
from headgate_server.loading import made_up
from headgate_server.reasons import Reason
from headgate_server.signature import Column, Columns, Tensor, Tensors
from model_loading import loaded, refused
from server_settings import server_settings

# -- pickle and hostile skops -----------------------------------------------------------------------------------


class Payload:
    """Pickles to a call: unpickling it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("serialization", ["pickle", "cloudpickle", "skops", "", "joblib"])
@pytest.mark.parametrize("file", ["model.pkl", "model.skops"])
def test_a_pickle_never_runs_whatever_it_is_called(tmp_path, serialization, file):
    target = tmp_path / "executed"
    path = model_dirs.pickled(tmp_path / "model", Payload(target), serialization=serialization, file=file)
    assert refused(path).reason in {Reason.PICKLE_REFUSED, Reason.ARTIFACT_INVALID}
    assert not target.exists()


def hostile_skops(path: Path, schema: dict[str, Any]) -> Path:
    model_dirs.iris(path)
    with zipfile.ZipFile(path / "model.skops", "w") as file:
        file.writestr("schema.json", json.dumps({"protocol": 2, "_skops_version": "0.16.0"} | schema))
    return path


def a_call(module: str, name: str, argument: str) -> dict[str, Any]:
    """A schema that asks for `module.name(argument)`."""
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(argument)}
    arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [text]}
    empty = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}}
    keys = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}
    return {
        "__class__": name,
        "__module__": module,
        "__loader__": "LossNode",
        "__reduce__": {"args": arguments},
        "content": empty | {"key_types": keys},
    }


@pytest.mark.parametrize(("module", "name"), [("os", "mkdir"), ("posix", "mkdir"), ("subprocess", "Popen")])
def test_a_skops_file_that_asks_for_a_call_never_gets_it(tmp_path, module, name):
    target = tmp_path / "executed"
    path = hostile_skops(tmp_path / "model", a_call(module, name, str(target)))
    error = refused(path)
    assert error.reason in {Reason.UNTRUSTED_TYPES, Reason.ARTIFACT_INVALID}
    assert not target.exists()


def test_the_artifacts_own_list_of_trusted_types_is_not_believed(tmp_path):
    # The MLmodel of every model made here trusts os.system; see model_dirs.sklearn_flavor.
    schema = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": {}}
    schema["content"] = {"module_path": "os", "function": "system"}
    error = refused(hostile_skops(tmp_path / "model", schema))
    assert (error.reason, error.message) == (Reason.UNTRUSTED_TYPES, "os.system")


@pytest.mark.parametrize("schema", [{}, {"__loader__": "NoSuchNode"}, {"__class__": 7}])
def test_a_skops_file_that_is_nonsense_is_invalid(tmp_path, schema):
    assert refused(hostile_skops(tmp_path / "model", schema)).reason is Reason.ARTIFACT_INVALID


def test_a_model_file_outside_the_folder_is_not_opened(tmp_path):
    outside = model_dirs.iris(tmp_path / "outside")
    path = model_dirs.iris(tmp_path / "model")
    for name in ("../outside/model.skops", str(outside / "model.skops")):
        text = model_dirs.mlmodel(model_dirs.sklearn_flavor(name), inputs=model_dirs.columns())
        (path / "MLmodel").write_text(text)
        assert refused(path).reason is Reason.ARTIFACT_INVALID


# -- requirements -----------------------------------------------------------------------------------------------


def test_another_patch_of_scikit_learn_and_another_minor_of_numpy_are_fine(tmp_path):
    minor = ".".join(sklearn.__version__.split(".")[:2])
    major = np.__version__.split(".")[0]
    path = model_dirs.iris(tmp_path, sklearn_version=f"{minor}.99", requirements=f"numpy=={major}.0.1\npandas==0.1\n")
    assert loaded(path).golden == "passed"


@pytest.mark.parametrize(
    ("given", "words"),
    [({"sklearn_version": "1.0.2"}, "scikit-learn 1.0.2"), ({"requirements": "numpy==1.26.4\n"}, "numpy 1.26.4")],
)
def test_another_minor_of_scikit_learn_or_major_of_numpy_is_refused_unless_told_to_warn(tmp_path, given, words):
    path = model_dirs.iris(tmp_path, **given)
    error = refused(path)
    assert error.reason is Reason.REQUIREMENT_MISMATCH
    assert words in error.message
    assert loaded(path, requirements="Warn").golden == "passed"


def test_an_onnx_model_is_exempt(tmp_path):
    path = model_dirs.onnx_iris(tmp_path)
    (path / "requirements.txt").write_text("numpy==1.26.4\nscikit-learn==0.24\n")
    assert loaded(path).model.runtime.startswith("onnxruntime")


# -- golden -----------------------------------------------------------------------------------------------------


def test_golden_is_passed_with_an_example_none_without_and_disabled_when_told(tmp_path):
    with_example = model_dirs.onnx_iris(tmp_path / "a", example={"inputs": [[1, 2, 3, 4]]})
    assert loaded(with_example).golden == "passed"
    assert loaded(model_dirs.onnx_iris(tmp_path / "b")).golden == "none"
    wrong = model_dirs.onnx_iris(tmp_path / "c", example={"inputs": [[1]]})
    assert refused(wrong).reason is Reason.GOLDEN_FAILED
    assert loaded(wrong, golden="Disabled").golden == "disabled"


def test_an_example_that_is_not_json_is_invalid(tmp_path):
    path = model_dirs.onnx_iris(tmp_path, example={})
    (path / "serving_input_example.json").write_text("{")
    assert refused(path).reason is Reason.ARTIFACT_INVALID


def test_a_made_up_row_fits_every_signature():
    every = Columns(
        tuple(Column(t, t) for t in ("boolean", "integer", "long", "float", "double", "string", "datetime"))
    )
    assert made_up(every).rows == 1
    tensors = Tensors((Tensor("a", "float32", (-1, 3)), Tensor("b", "str", (-1,)), Tensor("c", "bool", (2, 2))))
    assert made_up(tensors).arrays["a"].shape == (1, 3)


# -- scikit-learn -----------------------------------------------------------------------------------------------


def test_predict_fn_of_the_flavor_decides_what_invocations_answer(tmp_path):
    path = model_dirs.iris(tmp_path, predict_fn="predict_proba", outputs=model_dirs.tensor("float64", [-1, 3]))
    made = loaded(path)
    [output] = made.model.run(made.validator.positional(model_dirs.IRIS_ROWS), made.model.default_outputs)
    assert output.values.shape == (2, 3)
    assert made.model.label_output == "predict"


@pytest.mark.parametrize(("predict_fn", "reason"), [("fit", "UnsupportedFlavor"), ("__reduce__", "UnsupportedFlavor")])
def test_a_predict_fn_that_is_none_is_refused(tmp_path, predict_fn, reason):
    assert refused(model_dirs.iris(tmp_path, predict_fn=predict_fn)).reason == reason


def frame_fitted(estimator: Any, order: list[str]) -> Any:
    import pandas as pd
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    return estimator.fit(pd.DataFrame(x, columns=list(model_dirs.IRIS_COLUMNS))[order], y)


def test_columns_go_in_the_order_of_the_fit_and_without_a_warning(tmp_path):
    from sklearn.linear_model import LogisticRegression

    order = ["pw", "pl", "sw", "sl"]
    model = frame_fitted(LogisticRegression(max_iter=1000), order)
    path = model_dirs.save_estimator(tmp_path, model, inputs=model_dirs.columns())
    made = loaded(path)
    [output] = made.model.run(made.validator.positional(model_dirs.IRIS_ROWS), ["predict"])
    assert output.values.tolist() == [0, 2]


def mixed_frame_model(path: Path) -> Path:
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pd.DataFrame({"age": [20, 30, 40, 50] * 10, "city": pd.Series(["a", "b", "c", "a"] * 10, dtype=object)})
    picked = ColumnTransformer([("n", StandardScaler(), ["age"]), ("c", OneHotEncoder(), ["city"])])
    model = make_pipeline(picked, LogisticRegression()).fit(frame, [0, 1, 0, 1] * 10)
    inputs = [{"type": "long", "name": "age"}, {"type": "string", "name": "city"}]
    return model_dirs.save_estimator(path, model, inputs=inputs)


def test_a_model_that_picks_columns_by_name_gets_a_frame(tmp_path):
    made = loaded(mixed_frame_model(tmp_path))
    [output] = made.model.run(made.validator.records([{"city": "a", "age": 20}, {"city": "b", "age": 30}]), ["predict"])
    assert output.values.tolist() == [0, 1]


def test_without_pandas_such_a_model_is_refused_with_the_way_out(tmp_path, monkeypatch):
    path = mixed_frame_model(tmp_path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    error = refused(path)
    assert error.reason is Reason.UNSUPPORTED_FLAVOR
    assert "pandas" in error.message


def test_a_signature_that_lacks_a_column_of_the_estimator_is_invalid(tmp_path):
    from sklearn.linear_model import LogisticRegression

    model = frame_fitted(LogisticRegression(max_iter=1000), list(model_dirs.IRIS_COLUMNS))
    path = model_dirs.save_estimator(tmp_path, model, inputs=model_dirs.columns(["sl", "sw", "pl"]))
    assert refused(path).reason is Reason.ARTIFACT_INVALID


def test_a_model_without_a_signature_says_itself_what_it_takes(tmp_path):
    from sklearn.linear_model import LogisticRegression

    model = frame_fitted(LogisticRegression(max_iter=1000), list(model_dirs.IRIS_COLUMNS))
    made = loaded(model_dirs.save_estimator(tmp_path / "named", model))
    assert made.model.inputs == Columns(tuple(Column(n, "double") for n in model_dirs.IRIS_COLUMNS))
    plain = loaded(model_dirs.iris(tmp_path / "plain", inputs=None, outputs=None, example=None))
    assert plain.model.inputs == Tensors((Tensor("input-0", "float64", (-1, 4), named=False),))


# -- ONNX -------------------------------------------------------------------------------------------------------


def external(location: str) -> bytes:
    """A graph whose weights lie in another file."""
    weights = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    entry = weights.external_data.add()
    entry.key, entry.value = "location", location
    graph = helper.make_graph(
        [helper.make_node("Add", ["X", "W"], ["Y"])],
        "external",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    return bytes(model_dirs.onnx_model(graph).SerializeToString())


def test_external_data_inside_the_folder_is_read(tmp_path):
    path = model_dirs.save_onnx(tmp_path, external("weights.bin"))
    (path / "weights.bin").write_bytes(np.float32([41]).tobytes())
    made = loaded(path)
    [output] = made.model.run(made.validator.positional([[1.0]]), ["Y"])
    assert output.values.tolist() == [[42.0]]


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "a/../../secret.bin", "link.bin"])
def test_external_data_outside_the_folder_is_refused(tmp_path, location):
    (tmp_path / "secret.bin").write_bytes(np.float32([1]).tobytes())
    path = model_dirs.save_onnx(tmp_path / "model", external(location))
    (path / "link.bin").symlink_to(tmp_path / "secret.bin")
    assert refused(path).reason is Reason.ARTIFACT_INVALID


def test_external_data_that_is_not_there_is_missing(tmp_path):
    assert refused(model_dirs.save_onnx(tmp_path, external("weights.bin"))).reason is Reason.ARTIFACT_MISSING


def test_external_data_is_found_wherever_the_graph_hides_it():
    inner = onnx.load_from_string(external("deep.bin")).graph
    sparse = onnx.SparseTensorProto(values=onnx.load_from_string(external("sparse.bin")).graph.initializer[0])
    attribute = helper.make_attribute("value", onnx.load_from_string(external("attribute.bin")).graph.initializer[0])
    node = onnx.NodeProto(op_type="If", attribute=[onnx.AttributeProto(name="g", type=5, g=inner), attribute])
    graph = onnx.GraphProto(node=[node], sparse_initializer=[sparse])
    function = onnx.FunctionProto(name="f", node=[node])
    for model in (onnx.ModelProto(graph=graph), onnx.ModelProto(functions=[function])):
        found = set(onnx_files.external_files(memoryview(model.SerializeToString())))
        assert {"deep.bin", "attribute.bin"} <= found
    assert "sparse.bin" in set(onnx_files.external_files(memoryview(onnx.ModelProto(graph=graph).SerializeToString())))


def test_columns_are_stacked_for_a_graph_with_one_matrix(tmp_path):
    made = loaded(model_dirs.onnx_iris(tmp_path, inputs=model_dirs.columns(kind="float"), outputs=None))
    [label] = made.model.run(made.validator.positional(model_dirs.IRIS_ROWS), ["label"])
    assert label.values.tolist() == [0, 2]


def test_columns_feed_a_graph_with_an_input_each(tmp_path):
    graph = model_dirs.onnx_elementwise("Add", ["a", "b"])
    made = loaded(model_dirs.save_onnx(tmp_path, graph, inputs=model_dirs.columns(["b", "a"], "double")))
    [output] = made.model.run(made.validator.records([{"a": 1, "b": 2}, {"a": 3, "b": 4}]), ["Y"])
    assert output.values.tolist() == [[3.0], [7.0]]


@pytest.mark.parametrize("inputs", [model_dirs.columns(["a", "b"]), model_dirs.tensor("float32", [-1, 4], "Z")])
def test_a_signature_that_is_not_the_graphs_is_invalid(tmp_path, inputs):
    assert refused(model_dirs.onnx_iris(tmp_path, inputs=inputs)).reason is Reason.ARTIFACT_INVALID


@pytest.mark.parametrize(("flavor", "other"), [("onnx", "sklearn"), ("sklearn", "onnxruntime")])
def test_a_flavor_imports_only_its_own_runtime(tmp_path, flavor, other):
    path = model_dirs.onnx_iris(tmp_path) if flavor == "onnx" else model_dirs.iris(tmp_path)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from headgate_server import settings, serving\n"
        "from headgate_server.loading import load\n"
        "from headgate_server.registry.source import Located\n"
        f"config = settings.load(['--model', {str(path)!r}], {{}})\n"
        f"load(Located(Path({str(path)!r}), '', 'm', '1', 'path', ''), config, lambda: None)\n"
        f"assert {other!r} not in sys.modules\n"
        "assert 'mlflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# -- MLmodel ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "flavors: []",
        "flavors: {onnx: {data: 7}}",
        "flavors: {onnx: {}}",
        "flavors: {onnx: {data: model.onnx}}\nsignature: x",
    ],
)
def test_an_mlmodel_that_makes_no_sense_is_invalid(tmp_path, text):
    path = model_dirs.onnx_iris(tmp_path)
    (path / "MLmodel").write_text(text)
    assert refused(path).reason is Reason.ARTIFACT_INVALID


@pytest.mark.parametrize(
    "inputs",
    [
        "not json",
        "{}",
        "[1]",
        '[{"type": "tensor"}]',
        '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": "x"}}]',
        '[{"type": "double", "name": "a"}, {"type": "double", "name": "a"}]',
        '[{"type": "double"}, {"type": "double"}]',
    ],
)
def test_a_signature_that_makes_no_sense_is_invalid(tmp_path, inputs):
    path = model_dirs.onnx_iris(tmp_path)
    (path / "MLmodel").write_text(
        json.dumps({"flavors": {"onnx": {"data": "model.onnx"}}, "signature": {"inputs": inputs}})
    )
    assert refused(path).reason is Reason.ARTIFACT_INVALID


def test_a_column_type_that_is_not_served_is_named(tmp_path):
    path = model_dirs.onnx_iris(tmp_path, inputs=[{"type": "map", "name": "m", "values": {"type": "long"}}])
    error = refused(path)
    assert (error.reason, "map" in error.message) == (Reason.UNSUPPORTED_FLAVOR, True)


def test_aliases_in_yaml_do_not_blow_up(tmp_path):
    path = model_dirs.onnx_iris(tmp_path)
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    (path / "MLmodel").write_text(bomb + "flavors: {onnx: {data: model.onnx}}\n")
    assert mlmodel.read(path).flavor == "onnx"


# -- threads ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_threads_follow_the_containers_quota(tmp_path, files, expected):
    model_dirs.write(tmp_path, files)
    assert threads.quota(tmp_path) == (expected or len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("given", "expected"), [({}, 5), ({"workers": 2}, 2), ({"workers": 64}, 1), ({"threads": 3, "workers": 2}, 3)]
)
def test_workers_share_the_quota(monkeypatch, given, expected):
    monkeypatch.setattr(threads, "quota", lambda: 5)
    assert threads.of_worker(server_settings(**given)) == expected


# -- telemetry --------------------------------------------------------------------------------------------------


def test_loading_the_onnx_runtime_leaves_no_machine_id_and_starts_no_telemetry(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ORT_")}
    environment["HOME"] = str(tmp_path)

    subprocess.run(
        [sys.executable, "-c", "import headgate_server.loaders.onnx_runtime"], env=environment, check=True, timeout=60
    )

    assert list(tmp_path.rglob("*")) == []
