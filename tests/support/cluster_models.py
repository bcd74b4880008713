"""Train and log the models of the end-to-end tests in MLflow, as a training pipeline would.

A process of its own (`python cluster_models.py REGISTRY OUT`), since importing mlflow takes seconds. Each mark is a
classifier of irises whose classes are its own: ten times the mark and the class. So an answer tells who gave it, and a
wrong one cannot pass for right. `slow` computes as long as it is asked to. OUT becomes JSON: by name, where the model
lies and what it answers to the rows.
"""

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

MARKS = 4
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [5.9, 2.8, 4.2, 1.3], [7.7, 2.6, 6.9, 2.3]]
SLOW = "slow"


def main(registry: str, out: Path) -> None:
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    warnings.filterwarnings("ignore")
    import mlflow
    import numpy as np
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    import model_dirs

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(registry)
    mlflow.set_experiment("end to end")
    rows = np.array(ROWS, dtype=np.float32)
    features, target = load_iris(return_X_y=True)
    told: dict[str, Any] = {}
    for mark in range(1, MARKS + 1):
        model = LogisticRegression(max_iter=500).fit(features.astype(np.float32), target + 10 * mark)
        graph = to_onnx(model, rows[:1], options={"zipmap": False}, target_opset=17)
        answers = [int(value) for value in model.predict(rows)]
        told[str(mark)] = logged(mlflow, f"irises {mark}", graph, rows[:1], model.predict(rows[:1])) | {
            "answers": answers
        }

    import onnx

    spinner = onnx.load_from_string(model_dirs.onnx_spinner())
    example = {"spins": np.array([1], dtype=np.int64), "index": np.array([0], dtype=np.int64)}
    told[SLOW] = logged(mlflow, SLOW, spinner, example, {"Y": np.array([2], dtype=np.float32)})
    out.write_text(json.dumps(told), encoding="utf-8")


def logged(mlflow: Any, name: str, graph: Any, example: Any, answer: Any) -> dict[str, Any]:
    with mlflow.start_run(run_name=name):
        info = mlflow.onnx.log_model(
            graph,
            name="model",
            signature=mlflow.models.infer_signature(example, answer),
            input_example=example,
            # Given, not inferred: inference would load the model in another process and take half a minute.
            pip_requirements=["onnxruntime"],
        )
    return {"source": info.model_uri, "run_id": info.run_id}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
