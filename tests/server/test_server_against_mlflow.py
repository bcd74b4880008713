"""Against MLflow itself: a model that it logged, and answers that it gave.

mlflow runs in its own process: importing it takes seconds and warns, and the server must not need it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import model_dirs
from headgate_server.loading import load
from headgate_server.protocols import invocations
from headgate_server.registry.source import Located
from headgate_server.validation import InvalidInput
from server_settings import server_settings

LOG = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_iris(return_X_y=True, as_frame=True)
X.columns = ["sl", "sw", "pl", "pw"]
lr = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=500)).fit(X, y)
rf = RandomForestClassifier(20, random_state=0).fit(X, y)
for name, model in {"lr": lr, "rf": rf}.items():
    mlflow.sklearn.save_model(
        model, sys.argv[1] + "/" + name, signature=infer_signature(X, model.predict(X)), input_example=X.head(2),
        serialization_format="skops", skops_trusted_types=["sklearn.tree._tree.Tree"], pip_requirements=[],
    )
"""


@pytest.fixture(scope="module")
def logged(tmp_path_factory) -> Path:
    """Model directories that MLflow wrote: `lr` and `rf`."""
    folder = tmp_path_factory.mktemp("logged")
    subprocess.run([sys.executable, "-c", LOG, str(folder)], check=True, timeout=240, capture_output=True)
    return folder


def loaded(path: Path):
    return load(Located(path, "", "iris", "1", "path", ""), server_settings(model=path), lambda: None)


def answer(model, body: Any) -> Any:
    batch = invocations.batch(body, model.validator)
    outputs = model.model.run(batch, model.model.default_outputs)
    frame = model.described.flavor == "onnx"
    from headgate_server.protocols.jsonable import dumps

    return json.loads(dumps(invocations.predictions(outputs, model.model.inputs, frame=frame)))


@pytest.mark.parametrize("name", ["lr", "rf"])
def test_a_model_that_mlflow_logged_loads_and_passes_its_own_example(logged, name):
    model = loaded(logged / name)
    assert (model.golden, model.described.flavor) == ("passed", "sklearn")
    assert answer(model, {"dataframe_split": {"columns": ["sl", "sw", "pl", "pw"], "data": model_dirs.IRIS_ROWS}}) == [
        0,
        2,
    ]


# What `mlflow models serve` answered to the same bodies (recorded from 3.18): id, model, body, predictions.
R = model_dirs.IRIS_ROW
RECORDED = [
    ("split", "iris", {"dataframe_split": {"columns": list(R), "data": model_dirs.IRIS_ROWS}}, [0, 2]),
    ("records", "iris", {"dataframe_records": [R]}, [0]),
    ("records reordered", "iris", {"dataframe_records": [dict(reversed(R.items()))]}, [0]),
    ("inputs of records", "iris", {"inputs": [R]}, [0]),
    ("instances of records", "iris", {"instances": [R]}, [0]),
    ("integers for doubles", "iris", {"dataframe_split": {"columns": list(R), "data": [[5, 3, 1, 0]]}}, [0]),
    ("params without a schema", "iris", {"dataframe_records": [R], "params": {"x": 1}}, [0]),
    ("probabilities", "iris_proba", {"dataframe_records": [R]}, [[0.9847031668428455, 0.0152967711, 6.20377713e-08]]),
    (
        "ONNX",
        "onnx_tensor",
        {"inputs": model_dirs.IRIS_ROWS},
        {
            "label": [0, 2],
            "probabilities": [
                [0.9847031831741333, 0.015296769328415394, 6.20378131088728e-08],
                [3.851724250125699e-05, 0.038950011134147644, 0.961011528968811],
            ],
        },
    ),
    (
        "ONNX from a frame",
        "onnx_tensor",
        {"dataframe_split": {"columns": list(R), "data": [[5.1, 3.5, 1.4, 0.2]]}},
        {"label": [0], "probabilities": [[0.9847031831741333, 0.015296769328415394, 6.203769942203508e-08]]},
    ),
]

# 400 there as well.
REFUSED_THERE = [
    ("missing column", "iris", {"dataframe_records": [{k: v for k, v in R.items() if k != "pw"}]}),
    ("text for a double", "iris", {"dataframe_records": [R | {"sl": "abc"}]}),
    ("null", "iris", {"dataframe_records": [R | {"sl": None}]}),
    ("no rows", "iris", {"dataframe_split": {"columns": list(R), "data": []}}),
    ("ragged", "iris", {"dataframe_split": {"columns": list(R), "data": [[5.1, 3.5, 1.4]]}}),
    ("no format", "iris", {"data": [[5.1, 3.5, 1.4, 0.2]]}),
    ("two formats", "iris", {"dataframe_records": [R], "instances": [R]}),
    ("another width", "onnx_tensor", {"inputs": [[5.1, 3.5, 1.4]]}),
    ("texts", "onnx_tensor", {"inputs": [["a", "b", "c", "d"]]}),
]

# 200 there, 400 here: Strict refuses what is lossy or unknown.
REFUSED_HERE = [
    ("extra column", "iris", {"dataframe_records": [R | {"extra": 1}]}),
    ("number as text", "iris", {"dataframe_records": [R | {"sl": "5.1"}]}),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "iris": loaded(model_dirs.iris(folder / "iris")),
        "iris_proba": loaded(model_dirs.iris(folder / "proba", predict_fn="predict_proba")),
        "onnx_tensor": loaded(model_dirs.onnx_iris(folder / "onnx")),
    }


@pytest.mark.parametrize(("model", "body", "expected"), [c[1:] for c in RECORDED], ids=[c[0] for c in RECORDED])
def test_answers_are_mlflows(models, model, body, expected):
    given = answer(models[model], body)
    if isinstance(expected, dict):
        assert set(given) == set(expected)
        for name, values in expected.items():
            flat = [v for row in values for v in row] if isinstance(values[0], list) else values
            ours = [v for row in given[name] for v in row] if isinstance(given[name][0], list) else given[name]
            assert ours == pytest.approx(flat, abs=1e-5)
    elif isinstance(expected[0], list):
        assert given[0] == pytest.approx(expected[0], abs=1e-5)
    else:
        assert given == expected


@pytest.mark.parametrize(
    ("model", "body"), [c[1:] for c in REFUSED_THERE + REFUSED_HERE], ids=[c[0] for c in REFUSED_THERE + REFUSED_HERE]
)
def test_what_mlflow_refuses_and_what_is_lossy_is_refused(models, model, body):
    with pytest.raises(InvalidInput):
        answer(models[model], body)
