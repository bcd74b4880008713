"""Run in the models' own environment: trains what is served and writes it in each server's form into the folder given.

A logistic regression and a random forest of 100 trees on the irises, as ONNX for Headgate, as a joblib file and as
MLflow models for the others; and a model that computes for as long as it is asked to (`busy`). rows.json: the rows
that are sent and what is right for them, which ONNX and scikit-learn must agree about.
"""

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import mlflow
import numpy as np
import onnx
import onnxruntime
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import Schema, TensorSpec
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
MADE: dict[str, Callable[[], Any]] = {
    "lr": lambda: LogisticRegression(max_iter=500),
    "rf": lambda: RandomForestClassifier(n_estimators=100, random_state=0),
}
BUSY_SECONDS = 2.0


class Busy(BaseEstimator):  # type: ignore[misc]
    """Computes for two seconds, as a large forest or a support vector machine does: mostly outside the interpreter."""

    def fit(self, _rows: Any, _labels: Any = None) -> "Busy":
        return self

    def predict(self, rows: Any) -> Any:
        matrix = np.ones((300, 300))
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            matrix = matrix @ matrix / 300
        return np.zeros(len(rows), dtype=np.int64)

    def __init__(self, seconds: float = BUSY_SECONDS) -> None:
        self.seconds = seconds


def main(folder: Path) -> None:
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    features, labels = load_iris(return_X_y=True)
    generator = np.random.default_rng(0)
    rows = np.vstack([features[100:101], features[generator.permutation(len(features))[:99]]]).round(1)
    answers: dict[str, list[int]] = {}
    for name, make in MADE.items():
        estimator = make().fit(features, labels)
        framed = make().fit(pd.DataFrame(features, columns=COLUMNS), labels)
        graph = to_onnx(estimator, rows[:1].astype(np.float32), options={"zipmap": False}, target_opset=17)
        answers[name] = [int(label) for label in estimator.predict(rows)]
        agreed(name, graph, rows, answers[name])
        as_onnx(folder / name, graph, rows)
        joblib.dump(estimator, file_in(folder / name))
        as_mlflow(folder / name, framed, rows)
    busy(folder / "busy", rows)
    (folder / "rows.json").write_text(json.dumps({"rows": rows.tolist(), "answers": answers}), encoding="utf-8")


def agreed(name: str, graph: Any, rows: Any, answers: list[int]) -> None:
    found = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"X": rows.astype(np.float32)})[0]
    if [int(label) for label in found] != answers:
        raise SystemExit(f"{name}: ONNX and scikit-learn do not agree about the rows that are to be sent")


def as_onnx(folder: Path, graph: Any, rows: Any) -> None:
    """Twice: with the tensor that V2 sends, and with the columns that a dataframe has."""
    pins = ["onnxruntime"]
    matrix, frame = rows[:2].astype(np.float32), pd.DataFrame(rows[:2], columns=COLUMNS)
    answer = {"label": np.array([0, 1]), "probabilities": np.zeros((2, 3), dtype=np.float32)}
    tensor = ModelSignature(
        Schema([TensorSpec(np.dtype("float32"), (-1, 4), "X")]), infer_signature(matrix, answer).outputs
    )
    mlflow.onnx.save_model(graph, folder / "onnx-tensor", signature=tensor, pip_requirements=pins)
    columns = infer_signature(frame, answer)
    mlflow.onnx.save_model(graph, folder / "onnx-columns", signature=columns, pip_requirements=pins)


def as_mlflow(folder: Path, estimator: Any, rows: Any) -> None:
    """Twice: with a signature, as MLflow advises, and without one, which spares it the enforcement."""
    frame = pd.DataFrame(rows[:2], columns=COLUMNS)
    given: dict[str, Any] = {"serialization_format": "cloudpickle", "pip_requirements": ["scikit-learn"]}
    signature = infer_signature(frame, estimator.predict(frame))
    mlflow.sklearn.save_model(estimator, folder / "mlflow", signature=signature, **given)
    mlflow.sklearn.save_model(estimator, folder / "mlflow-plain", **given)


def busy(folder: Path, rows: Any) -> None:
    estimator = Busy()
    # By value, so that no server has to import this file.
    file_in(folder).write_bytes(cloudpickle.dumps(estimator))
    as_mlflow(folder, estimator, rows)
    signature = ModelSignature(Schema([TensorSpec(np.dtype("int64"), (1,), "spins")]))
    mlflow.onnx.save_model(spinner(), folder / "onnx-tensor", signature=signature, pip_requirements=["onnxruntime"])


def spinner() -> Any:
    """A graph that turns a loop as often as its input says."""
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["sum", "one"], ["sum_after"])],
        "turn",
        [
            scalar("turn", TensorProto.INT64, []),
            scalar("go", TensorProto.BOOL, []),
            scalar("sum", TensorProto.FLOAT, [1]),
        ],
        [scalar("go_on", TensorProto.BOOL, []), scalar("sum_after", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.ones(1, dtype=np.float32), "one")],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Squeeze", ["spins"], ["turns"]),
            helper.make_node("Loop", ["turns", "", "zero"], ["label"], body=body),
        ],
        "spinner",
        [scalar("spins", TensorProto.INT64, [1])],
        [scalar("label", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.zeros(1, dtype=np.float32), "zero")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made


def file_in(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "model.joblib"


if __name__ == "__main__":
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    main(Path(sys.argv[1]))
