"""docs/serving/onnx.md: its Python runs as it is written, and what it registers answers as scikit-learn does."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from asgi_client import AsgiClient

PAGE = Path(__file__).parents[2] / "docs" / "serving" / "onnx.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
RECIPE = "\n\n".join(BLOCKS)

# Behind the page's own program: where the model went, and what scikit-learn says of rows that nobody compared.
TOLD = """
import json, pathlib
asked = pd.DataFrame(np.random.default_rng(7).uniform(0, 8, (200, 4)).round(2), columns=data.columns)
root = pathlib.Path(mlflow.artifacts.download_artifacts("models:/iris-classifier/2", dst_path="made"))
report = {"path": str(root.resolve()), "columns": list(data.columns), "rows": asked.to_numpy().tolist(),
          "labels": model.predict(asked).tolist(), "shares": model.predict_proba(asked).tolist()}
pathlib.Path("report.json").write_text(json.dumps(report))
"""


def run(program, folder):
    """The program in a process of its own, with a registry in the folder."""
    given = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/registry.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=os.environ | given, capture_output=True, text=True, timeout=250
    )


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    done = run(RECIPE + TOLD, folder)
    assert done.returncode == 0, done.stderr
    return done, json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def converted(registered):
    _, report = registered
    with AsgiClient(Path(report["path"]), name="iris-classifier", version="2") as client:
        yield client


def test_the_page_registers_the_next_version_after_10_000_rows_on_1_to_8_threads_agreed(registered):
    done, _ = registered
    agreed = re.findall(r"0\.000% of (\d+) labels changed, .*, (\d) threads", done.stdout)
    assert [threads for _, threads in agreed] == ["1", "2", "4", "8"]
    assert all(int(rows) > 10_000 for rows, _ in agreed)
    assert "is version 2" in done.stdout


async def test_the_server_answers_the_converted_version_as_scikit_learn_does(converted, registered):
    _, report = registered
    assert converted.state.loaded.golden == "passed"
    for row, label, shares in zip(report["rows"], report["labels"], report["shares"], strict=True):
        reply = await converted.request("POST", "/predict", dict(zip(report["columns"], row, strict=True)))
        assert reply.status == 200, reply.body
        assert reply.json["prediction"] == label
        assert reply.json["probability"] == pytest.approx(max(shares), abs=1e-6)


async def test_clients_of_the_scikit_learn_version_may_stay_as_they_are(converted, registered):
    _, report = registered
    row, label = dict(zip(report["columns"], report["rows"][0], strict=True)), report["labels"][0]
    inputs = [{"name": n, "shape": [1], "datatype": "FP64", "data": [value]} for n, value in row.items()]
    body = {"inputs": inputs, "outputs": [{"name": "predict"}, {"name": "predict_proba"}]}
    reply = await converted.request("POST", "/v2/models/iris-classifier/infer", body)
    assert [(o["name"], o["shape"]) for o in reply.json["outputs"]] == [("predict", [1]), ("predict_proba", [1, 3])]
    assert reply.json["outputs"][0] | {"data": [label]} == reply.json["outputs"][0]
    reply = await converted.request("POST", "/invocations", {"dataframe_records": [row]})
    found = reply.json["predictions"]
    assert (found["predict"], len(found["predict_proba"])) == ([label], 1)
    reply = await converted.request("POST", "/v1/models/iris-classifier:predict", {"instances": [row]})
    assert [set(row) for row in reply.json["predictions"]] == [{"predict", "predict_proba"}]


@pytest.fixture(scope="module")
def page():
    """The functions of the page, without the lines that use them."""
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    parts = [part for block in BLOCKS if "def " in block for part in ast.parse(block).body]
    parts = [p for p in parts if isinstance(p, kept) or (isinstance(p, ast.Assign) and p.targets[0].id.isupper())]
    names = {}
    exec(compile(ast.Module(parts, []), str(PAGE), "exec"), names)
    return names


def forest(seed=0):
    return RandomForestClassifier(n_estimators=100, random_state=seed)


MODELS = {
    "logistic regression": LogisticRegression(max_iter=500),
    "scaled logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": forest(1),
    "scaled forest": make_pipeline(StandardScaler(), forest(2)),
    "extra trees": ExtraTreesClassifier(n_estimators=100, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=20, random_state=0),
}


def irises(frame=False, dtype=np.float64, labels=None):
    rows, target = load_iris(return_X_y=True, as_frame=frame)
    return rows.astype(dtype), target if labels is None else np.array(labels)[target]


def compared(page, model, graph, data):
    return page["compare"](model, graph, page["rows_to_compare"](model, data))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("frame", [True, False], ids=["columns", "tensor"])
def test_the_page_converts_without_changing_an_answer(page, name, frame):
    data, target = irises(frame=frame)
    model = clone(MODELS[name]).fit(data, target)
    graph = page["convert"](model, infer_signature(data, target).inputs)
    answers = compared(page, model, graph, data)
    assert answers["predict"].dtype == np.int64
    assert answers["predict_proba"].shape == (len(answers["predict"]), 3)


def test_names_of_classes_and_rows_of_32_bits_are_converted_too(page):
    data, target = irises(dtype=np.float32, labels=["setosa", "versicolor", "virginica"])
    model = clone(MODELS["forest"]).fit(data, target)
    graph = page["convert"](model, infer_signature(data, target).inputs)
    assert set(compared(page, model, graph, data)["predict"]) == set(target)


def test_the_page_refuses_a_forest_whose_float_graph_changes_labels_although_all_it_was_trained_on_agree(page):
    data, target = irises()
    model = forest().fit(data, target)
    graph = to_onnx(model, data[:1].astype(np.float32), options={"zipmap": False}, target_opset=17)
    page["compare"](model, graph, data)
    with pytest.raises(ValueError, match=r"another model: 0\.0[1-9]\d% of \d+ labels changed"):
        compared(page, model, graph, data)


def test_the_page_refuses_a_graph_of_64_bits_that_does_not_round_rows_as_trees_do(page, monkeypatch):
    data, target = irises()
    model = DecisionTreeClassifier(random_state=0).fit(data, target)
    rounding = page["convert"](model, infer_signature(data, target).inputs)
    compared(page, model, rounding, data)
    monkeypatch.setitem(page, "trees_of", lambda _: [])
    graph = page["convert"](model, infer_signature(data, target).inputs)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="the graph is another model"):
        compared(page, model, graph, data)


def test_inputs_that_are_not_all_of_one_width_are_not_converted(page):
    data, target = irises(frame=True)
    mixed = data.assign(**{data.columns[0]: data.iloc[:, 0].astype(str)})
    with pytest.raises(ValueError, match="all double or all float"):
        page["convert"](forest(), infer_signature(mixed, target).inputs)
