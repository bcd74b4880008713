"""Train and log the models of the end-to-end tests in MLflow, as a training pipeline would.

A process of its own (`python cluster_models.py REGISTRY OUT`), since importing mlflow takes seconds. Each mark is a
classifier of irises whose classes are its own: ten times the mark and the class. So an answer tells who gave it, and a
wrong one cannot pass for right. `slow` computes as long as it is asked to. `narrow` has never seen wide petals and
fails on them, and `forest` takes many times as long as the others: at their input example both are as good as any. OUT
becomes JSON: by name, where the model lies and what it answers to the rows.
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
NARROW, FOREST = "narrow", "forest"
WIDE = 2.2  # cm; petals from here on are what `narrow` has never seen
TREES = 80
# scikit-learn's compiled tree: skops asks for a word of trust from whoever saves it. The server has its own list.
TREE = "sklearn.tree._tree.Tree"


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
    told |= bad_ones(mlflow, features, target, np.array(ROWS))
    out.write_text(json.dumps(told), encoding="utf-8")


def bad_ones(mlflow: Any, features: Any, target: Any, rows: Any) -> dict[str, Any]:
    """What only traffic shows: one fails for some inputs, one is slow. Where no answer is right, it is null."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    seen = features[:, 3] < WIDE
    narrow = make_pipeline(OneHotEncoder(handle_unknown="error"), LogisticRegression(max_iter=500))
    narrow.fit(features[seen], target[seen] + 50)
    forest = RandomForestClassifier(n_estimators=TREES, max_depth=3, random_state=7).fit(features, target + 60)
    known = [row for row in rows if row[3] < WIDE]
    right = {tuple(row): int(answer) for row, answer in zip(known, narrow.predict(known), strict=True)}
    return {
        NARROW: saved(mlflow, NARROW, narrow, rows[:1]) | {"answers": [right.get(tuple(row)) for row in rows]},
        FOREST: saved(mlflow, FOREST, forest, rows[:1]) | {"answers": [int(value) for value in forest.predict(rows)]},
    }


def saved(mlflow: Any, name: str, model: Any, example: Any) -> dict[str, Any]:
    with mlflow.start_run(run_name=name):
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=mlflow.models.infer_signature(example, model.predict(example)),
            input_example=example,
            skops_trusted_types=[TREE],
            pip_requirements=["scikit-learn", "numpy"],
        )
    return {"source": info.model_uri, "run_id": info.run_id}


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
