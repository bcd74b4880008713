"""Model directories as MLflow writes them, made without mlflow: small fitted models with a hand-made MLmodel.

Every builder writes into a folder and returns it; `mlmodel(...)` gives the text for tests that want it wrong.
"""

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import yaml

IRIS_COLUMNS = ("sl", "sw", "pl", "pw")
IRIS_ROW = {"sl": 5.1, "sw": 3.5, "pl": 1.4, "pw": 0.2}
IRIS_ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
TREE = "sklearn.tree._tree.Tree"


def columns(names: Sequence[str] = IRIS_COLUMNS, kind: str = "double") -> list[dict[str, Any]]:
    return [{"type": kind, "name": name, "required": True} for name in names]


def tensor(dtype: str, shape: Sequence[int], name: str | None = None) -> list[dict[str, Any]]:
    item: dict[str, Any] = {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}
    return [item | ({"name": name} if name else {})]


def mlmodel(
    flavors: Mapping[str, Any],
    *,
    inputs: Sequence[Mapping[str, Any]] | None = None,
    outputs: Sequence[Mapping[str, Any]] | None = None,
    predict_fn: str = "predict",
    example: bool = False,
    metadata: Mapping[str, Any] | None = None,
    params: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """The text of an MLmodel."""
    document: dict[str, Any] = {
        "flavors": {"python_function": {"loader_module": "mlflow.sklearn", "predict_fn": predict_fn}, **flavors},
        "mlflow_version": "3.17.2",
        "model_id": "m-1",
        "run_id": "r-1",
    }
    if inputs is not None:
        document["signature"] = {"inputs": json.dumps(list(inputs)), "params": params and json.dumps(list(params))}
        if outputs is not None:
            document["signature"]["outputs"] = json.dumps(list(outputs))
    if example:
        document["saved_input_example_info"] = {
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
        }
    if metadata is not None:
        document["metadata"] = dict(metadata)
    return yaml.safe_dump(document)


def sklearn_flavor(
    file: str = "model.skops", serialization: str = "skops", version: str | None = None
) -> dict[str, Any]:
    return {
        "sklearn": {
            "pickled_model": file,
            "serialization_format": serialization,
            "sklearn_version": version or sklearn.__version__,
            # The uploader's own list, which the server must not believe.
            "skops_trusted_types": ["os.system", "builtins.eval"],
        }
    }


def write(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def save_estimator(
    folder: Path,
    estimator: Any,
    *,
    inputs: Sequence[Mapping[str, Any]] | None = None,
    outputs: Sequence[Mapping[str, Any]] | None = None,
    predict_fn: str = "predict",
    example: Any = None,
    metadata: Mapping[str, Any] | None = None,
    params: Sequence[Mapping[str, Any]] | None = None,
    rules: Any = None,
    requirements: str | None = None,
    sklearn_version: str | None = None,
) -> Path:
    """A skops model directory around a fitted estimator."""
    import skops.io

    text = mlmodel(
        sklearn_flavor(version=sklearn_version),
        inputs=inputs,
        outputs=outputs,
        predict_fn=predict_fn,
        example=example is not None,
        metadata=metadata,
        params=params,
    )
    pins = f"mlflow==3.17.2\nnumpy=={np.__version__}\nscikit-learn=={sklearn.__version__}\n"
    files: dict[str, bytes | str] = {
        "MLmodel": text,
        "model.skops": skops.io.dumps(estimator),
        "requirements.txt": pins if requirements is None else requirements,
    }
    if example is not None:
        files["serving_input_example.json"] = json.dumps(example)
    if rules is not None:
        files["extra_files/schema_rules.json"] = json.dumps(rules)
    return write(folder, files)


def named_iris_without_signature(folder: Path) -> Path:
    """Iris by an estimator that was fitted on a frame and knows its columns, logged without a signature."""
    from sklearn.base import clone
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True, as_frame=True)
    x.columns = list(IRIS_COLUMNS)
    return save_estimator(folder, clone(iris_estimator("lr")).fit(x, y))


def mixed(folder: Path, **given: Any) -> Path:
    """Numbers, a text and an optional truth value, with a parameter beside them."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rows = {
        "age": [20, 30, 40, 50] * 10,
        "income": [1.5, 2.5, 3.5, 4.5] * 10,
        "city": ["a", "b", "c", "a"] * 10,
        "vip": [True, False, True, False] * 10,
    }
    kinds = {"age": "long", "income": "double", "city": "string", "vip": "boolean"}
    steps = [("n", StandardScaler(), ["age", "income"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["city"])]
    pipeline = make_pipeline(ColumnTransformer(steps, remainder="passthrough"), LogisticRegression())
    pipeline.fit(pd.DataFrame(rows), [0, 1, 0, 1] * 10)
    options: dict[str, Any] = {
        "inputs": [{"name": n, "type": kind, "required": n != "vip"} for n, kind in kinds.items()],
        "outputs": columns(["label"], "long"),
        "params": [{"name": "threshold", "default": 0.5, "shape": None, "type": "double"}],
    }
    return save_estimator(folder, pipeline, **(options | given))


def iris(folder: Path, *, kind: str = "lr", **given: Any) -> Path:
    """Iris by logistic regression (lr), random forest (rf), boosting (gb) or a single tree (dt)."""
    options: dict[str, Any] = {
        "inputs": columns(),
        "outputs": tensor("int64", [-1]),
        "example": {"dataframe_split": {"columns": list(IRIS_COLUMNS), "data": IRIS_ROWS}},
    }
    return save_estimator(folder, iris_estimator(kind), **(options | given))


@cache
def iris_estimator(kind: str = "lr") -> Any:
    """A fitted estimator; do not change it, it is shared."""
    from sklearn.datasets import load_iris
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    made: dict[str, Callable[[], Any]] = {
        "lr": lambda: make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=500)),
        "rf": lambda: RandomForestClassifier(n_estimators=100, random_state=0),
        "gb": lambda: GradientBoostingClassifier(n_estimators=5, random_state=0),
        "dt": lambda: DecisionTreeClassifier(random_state=0),
    }
    x, y = load_iris(return_X_y=True)
    return made[kind]().fit(x, y)


def pickled(folder: Path, payload: Any, *, serialization: str = "cloudpickle", file: str = "model.pkl") -> Path:
    """A model directory around a pickle; `payload` may be anything that pickles."""
    return write(
        folder,
        {
            "MLmodel": mlmodel(sklearn_flavor(file, serialization), inputs=columns()),
            file: pickle.dumps(payload),
        },
    )


def onnx_iris(folder: Path, **given: Any) -> Path:
    """Iris by logistic regression as ONNX, with a tensor signature."""
    options: dict[str, Any] = {
        "inputs": tensor("float32", [-1, 4]),
        "outputs": [*tensor("int64", [-1], "label"), *tensor("float32", [-1, 3], "probabilities")],
    }
    return save_onnx(folder, onnx_bytes(), **(options | given))


def save_onnx(
    folder: Path,
    graph: bytes,
    *,
    inputs: Sequence[Mapping[str, Any]] | None = None,
    outputs: Sequence[Mapping[str, Any]] | None = None,
    example: Any = None,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    flavors = {"onnx": {"data": "model.onnx", "onnx_version": "1.23.2", "providers": ["CUDAExecutionProvider"]}}
    text = mlmodel(flavors, inputs=inputs, outputs=outputs, example=example is not None, metadata=metadata)
    files: dict[str, bytes | str] = {"MLmodel": text, "model.onnx": graph}
    if example is not None:
        files["serving_input_example.json"] = json.dumps(example)
    return write(folder, files)


@cache
def onnx_bytes() -> bytes:
    """Iris by logistic regression, written out as three ONNX nodes: label and probabilities."""
    from onnx import TensorProto, helper, numpy_helper

    pipeline = iris_estimator("lr")
    scaler, regression = pipeline[0], pipeline[1]
    weights = (regression.coef_ / scaler.scale_).T.astype(np.float32)
    offset = (regression.intercept_ - regression.coef_ @ (scaler.mean_ / scaler.scale_)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["X", "weights"], ["raw"]),
        helper.make_node("Add", ["raw", "offset"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "iris",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 4])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 3]),
        ],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(offset, "offset")],
    )
    return bytes(onnx_model(graph).SerializeToString())


def onnx_model(graph: Any) -> Any:
    from onnx import helper

    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def onnx_elementwise(op: str, inputs: Sequence[str] = ("X",), width: int = 1) -> bytes:
    """A graph of one node over float inputs [n, width], with the output `Y`; e.g. Log gives non-finite numbers."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node(op, list(inputs), ["Y"])],
        "one",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name in inputs],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, width])],
    )
    return bytes(onnx_model(graph).SerializeToString())


def onnx_spinner() -> bytes:
    """A graph that does what its input says: `spins` turns of a loop, then the element `index` of three, or fails."""
    from onnx import TensorProto, helper, numpy_helper

    def scalar(name: str, kind: int, shape: Sequence[int] = ()) -> Any:
        return helper.make_tensor_value_info(name, kind, list(shape))

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["sum", "one"], ["sum_after"]),
        ],
        "turn",
        [scalar("turn", TensorProto.INT64), scalar("go", TensorProto.BOOL), scalar("sum", TensorProto.FLOAT)],
        [scalar("go_on", TensorProto.BOOL), scalar("sum_after", TensorProto.FLOAT)],
        [numpy_helper.from_array(np.array(1, dtype=np.float32), "one")],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Squeeze", ["spins"], ["turns"]),
            helper.make_node("Loop", ["turns", "", "zero"], ["turned"], body=body),
            helper.make_node("Gather", ["three", "index"], ["picked"]),
            helper.make_node("Add", ["picked", "turned"], ["Y"]),
        ],
        "spinner",
        [scalar("spins", TensorProto.INT64, [1]), scalar("index", TensorProto.INT64, [1])],
        [scalar("Y", TensorProto.FLOAT, [1])],
        [
            numpy_helper.from_array(np.array(0, dtype=np.float32), "zero"),
            numpy_helper.from_array(np.float32([1, 2, 3]), "three"),
        ],
    )
    return bytes(onnx_model(graph).SerializeToString())
