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
from asgi_client import AsgiClient, loaded
from headgate_server.protocols import invocations
from headgate_server.protocols.jsonable import dumps

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


def answer(model, body: Any) -> Any:
    batch = invocations.batch(body, model.validator)
    outputs = model.model.run(batch, model.model.default_outputs)
    frame = model.described.flavor == "onnx"
    return json.loads(dumps(invocations.predictions(outputs, model.model.inputs, frame=frame)))


@pytest.mark.parametrize("name", ["lr", "rf"])
def test_a_model_that_mlflow_logged_loads_and_passes_its_own_example(logged, name):
    model = loaded(logged / name)
    assert (model.golden, model.described.flavor) == ("passed", "sklearn")
    assert answer(model, {"dataframe_split": {"columns": ["sl", "sw", "pl", "pw"], "data": model_dirs.IRIS_ROWS}}) == [
        0,
        2,
    ]


# -- what `mlflow models serve` answered, recorded ------------------------------------------------------------------

CASES = json.loads((Path(__file__).parent / "mlflow_invocations_cases.json").read_text(encoding="utf-8"))["cases"]
RECORDED = {case["id"]: case for case in CASES}

# Where Compatible differs, with the reason: id -> (status, error_code or None).
DIFFERENT = {
    # A failure of the model is 5xx: as 400 a canary would take it for the client's mistake.
    "iris-null-in-double": (500, "INTERNAL_ERROR"),
    # Without a signature the model's own feature names are held against the input, so the model is not even asked.
    "nosig-missing-column": (400, "INVALID_PARAMETER_VALUE"),
    # MLflow cannot feed columns to a graph with one matrix; here they are put side by side.
    "onnxdf-records": (200, None),
}

# Where Strict differs from Compatible: it refuses what is lossy or unknown, and takes what is unambiguous.
STRICT = {
    "iris-extra-column": 400,
    "iris-numeric-string-for-double": 400,
    "iris-null-in-double": 400,
    "mixed-float-for-long": 400,
    "mixed-int-for-string": 400,
    "iris-inputs-2d-array": 200,
    "onnx-inputs-named": 200,
}


def build(folder: Path) -> dict[str, Path]:
    """The recorded models, made by the recipes that are recorded with them."""
    proba = {"predict_fn": "predict_proba", "outputs": model_dirs.tensor("float64", [-1, 3])}
    return {
        "iris": model_dirs.iris(folder / "iris"),
        "iris_proba": model_dirs.iris(folder / "proba", **proba),
        "iris_nosig": model_dirs.named_iris_without_signature(folder / "nosig"),
        "mixed": model_dirs.mixed(folder / "mixed"),
        "onnx_tensor": model_dirs.onnx_iris(folder / "onnx"),
        "onnx_df": model_dirs.onnx_iris(folder / "onnx_df", inputs=model_dirs.columns(kind="float"), outputs=None),
    }


@pytest.fixture(scope="module", params=["Compatible", "Strict"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def models(tmp_path_factory, mode):
    clients = {
        name: AsgiClient(path, validation=mode) for name, path in build(tmp_path_factory.mktemp("models")).items()
    }
    yield clients
    for client in clients.values():
        client.__exit__()


def test_forty_answers_are_recorded():
    assert len(RECORDED) == 40
    assert set(DIFFERENT) | set(STRICT) <= set(RECORDED)


@pytest.mark.parametrize("case", RECORDED)
async def test_answers_are_those_that_mlflow_gave(models, mode, case):
    recorded = RECORDED[case]
    request, expected = recorded["request"], recorded["response"]
    body = json.dumps(request["json"]).encode() if "json" in request else (request.get("body") or "").encode()
    reply = await models[recorded["model"]].request(request["method"], request["path"], body, request["headers"])
    if mode == "Strict" and case in STRICT:
        assert reply.status == STRICT[case]
    elif case in DIFFERENT:
        assert (reply.status, reply.json.get("error_code")) == DIFFERENT[case]
    else:
        assert reply.status == expected["status"]
        if expected["status"] == 200 and "json" in expected:
            assert_close(reply.json["predictions"], expected["json"]["predictions"])
        elif expected["status"] == 200:
            assert (reply.body.decode(), reply.headers["content-type"]) == (expected["text"], expected["content_type"])
        elif "json" in expected:
            assert reply.json["error_code"] == expected["json"]["error_code"]


def assert_close(given: Any, expected: Any) -> None:
    """The same structure, and the same numbers up to the last digits of a float32."""
    if isinstance(expected, dict):
        assert list(given) == list(expected)
        for name, values in expected.items():
            assert_close(given[name], values)
    elif isinstance(expected, list):
        assert len(given) == len(expected)
        for one, other in zip(given, expected, strict=True):
            assert_close(one, other)
    else:
        assert given == pytest.approx(expected, abs=1e-5)
