"""XGBoost from its own format: what the library itself would answer, and what is refused."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

import model_dirs
import model_loading
from headgate_server.loading import Loaded
from headgate_server.reasons import LoadError, Reason
from server_process import ServerProcess

IRIS = load_iris(return_X_y=True)
TWO = load_breast_cancer(return_X_y=True)
NUMBER = load_diabetes(return_X_y=True)
ONE_THREAD = {"nthread": 1}
LOADING = """
import sys
from pathlib import Path
sys.modules[{absent!r}] = None
from headgate_server import settings, serving
from headgate_server.loading import load
from headgate_server.reasons import LoadError
from headgate_server.registry.source import Located
config = settings.load(['--model', {path!r}], {{}})
try: load(Located(Path({path!r}), '', 'm', '1', 'path', ''), config, lambda: None)
except LoadError as error: print(error.reason, error.message)
""".strip()
CHANGING = """
import random
from pathlib import Path
from headgate_server import settings
from headgate_server.loading import load
from headgate_server.reasons import LoadError
from headgate_server.registry.source import Located
path = Path({path!r})
file = path / 'model.ubj'
good = file.read_bytes()
config = settings.load(['--model', str(path), '--threads=1'], {{}})
for seed in range(200):
    chance = random.Random(seed)
    content = bytearray(good)
    for _ in range(chance.choice((1, 2, 4))):
        at = chance.randrange(len(content))
        content[at] = chance.choice((0, 1, 45, 46, 48, 57, 91, 127, 255, chance.randrange(256)))
    file.write_bytes(content)
    try:
        model = load(Located(path, '', 'm', '1', 'path', ''), config, lambda: None)
        model.model.run(model.validator.positional([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]), ['predict'])
        print('answered', flush=True)
    except LoadError as error:
        print('refused', error.reason, flush=True)
    except ValueError as error:
        print('no answer', flush=True)
print('done')
""".strip()


def loaded(path: Path, **given: Any) -> Loaded:
    return model_loading.loaded(path, threads=1, **given)


def refused(path: Path, **given: Any) -> LoadError:
    return model_loading.refused(path, threads=1, **given)


def save(folder: Path, model: Any, *, inputs: Any = None, file: str = "", **fields: Any) -> Path:
    """A model directory as MLflow writes it for this model."""
    name = file or "model.ubj"
    kind = f"{type(model).__module__}.{type(model).__name__}"
    text = model_dirs.mlmodel({"xgboost": {"data": name, "model_class": kind, **fields}}, inputs=inputs)
    model_dirs.write(folder, {"MLmodel": text})
    model.save_model(str(folder / name))
    return folder


def answers(model: Loaded, rows: Any, *wanted: str) -> list[Any]:
    batch = model.validator.positional(np.asarray(rows).tolist())
    return [output.values for output in model.model.run(batch, wanted or model.model.default_outputs)]


def quietly(train: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return train()


# -- XGBoost ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "classes"), [(IRIS, 3), (TWO, 2)], ids=["three classes", "two classes"])
def test_a_classifier_answers_as_xgboost_does(tmp_path, data, classes):
    x, y = data
    model = xgb.XGBClassifier(n_estimators=5, n_jobs=1).fit(x, y)
    served = loaded(save(tmp_path, model, model_format="ubj"))
    labels, probabilities = answers(served, x, "predict", "predict_proba")
    assert np.array_equal(labels, model.predict(x))
    assert np.allclose(probabilities, model.predict_proba(x), rtol=1e-6)
    assert served.model.classes == tuple(range(classes))
    assert served.model.runtime == f"xgboost {xgb.__version__}"


@pytest.mark.parametrize("objective", ["multi:softmax", "multi:softprob"])
@pytest.mark.parametrize("kind", [xgb.XGBClassifier, xgb.XGBRFClassifier])
def test_each_way_to_tell_classes_gives_labels(tmp_path, objective, kind):
    x, y = IRIS
    model = kind(n_estimators=4, n_jobs=1, objective=objective).fit(x, y)
    [labels] = answers(loaded(save(tmp_path, model)), x)
    assert np.array_equal(labels, model.predict(x))


def test_a_regressor_answers_as_xgboost_does(tmp_path):
    x, y = NUMBER
    model = xgb.XGBRegressor(n_estimators=5, n_jobs=1).fit(x, y)
    assert np.allclose(answers(loaded(save(tmp_path, model)), x)[0], model.predict(x), rtol=1e-6)


def test_trees_after_the_best_round_count_as_xgboost_counts_them(tmp_path):
    x, y = NUMBER
    model = xgb.XGBRegressor(n_estimators=60, n_jobs=1, early_stopping_rounds=3, learning_rate=0.9)
    model.fit(x[:300], y[:300], eval_set=[(x[300:], y[300:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    assert np.allclose(answers(loaded(save(tmp_path / "a", model)), x)[0], model.predict(x), rtol=1e-6)
    booster = model.get_booster()
    every = booster.predict(xgb.DMatrix(x))
    assert np.allclose(answers(loaded(save(tmp_path / "b", booster)), x)[0], every, rtol=1e-6)


@pytest.mark.parametrize("file", ["model.ubj", "model.json"])
@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_each_kind_of_booster_answers_as_xgboost_does(tmp_path, booster, file):
    x, y = NUMBER
    train = xgb.DMatrix(x, y)
    model = quietly(lambda: xgb.train({"booster": booster, **ONE_THREAD}, train, 5))
    assert np.allclose(answers(loaded(save(tmp_path, model, file=file)), x)[0], model.predict(train), rtol=1e-5)


def test_columns_go_to_the_trees_in_the_order_of_the_training(tmp_path):
    x, y = IRIS
    model = xgb.train(ONE_THREAD, xgb.DMatrix(x, y, feature_names=["sl", "sw", "pl", "pw"]), 5)
    path = save(tmp_path, model, inputs=model_dirs.columns(["pw", "pl", "sw", "sl"]))
    expected = model.inplace_predict(x)
    assert np.allclose(answers(loaded(path), x[:, ::-1])[0], expected)


def test_a_model_without_a_signature_says_itself_what_its_trees_take(tmp_path):
    x, y = IRIS
    named = xgb.train(ONE_THREAD, xgb.DMatrix(x, y, feature_names=["a", "b", "c", "d"]), 2)
    assert loaded(save(tmp_path / "a", named)).model.inputs.names == ("a", "b", "c", "d")
    plain = loaded(save(tmp_path / "b", xgb.train(ONE_THREAD, xgb.DMatrix(x, y), 2)))
    assert plain.model.inputs.tensors[0].shape == (-1, 4)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (model_dirs.columns(["a", "b", "c"]), Reason.ARTIFACT_INVALID),
        (model_dirs.columns(["a", "b", "c", "z"]), Reason.ARTIFACT_INVALID),
        (model_dirs.tensor("float64", [-1, 5]), Reason.ARTIFACT_INVALID),
        (model_dirs.columns(["a", "b", "c", "d"], "string"), Reason.UNSUPPORTED_FLAVOR),
    ],
)
def test_a_signature_that_does_not_fit_the_trees_is_refused(tmp_path, inputs, reason):
    x, y = IRIS
    model = xgb.train(ONE_THREAD, xgb.DMatrix(x, y, feature_names=["a", "b", "c", "d"]), 2)
    assert refused(save(tmp_path, model, inputs=inputs)).reason is reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"model_class": "os.system"}, Reason.UNSUPPORTED_FLAVOR),
        ({"data": "../model.ubj"}, Reason.ARTIFACT_INVALID),
        ({"data": "MLmodel"}, Reason.UNSUPPORTED_FLAVOR),
    ],
)
def test_fields_that_say_something_else_are_refused(tmp_path, fields, reason):
    x, y = IRIS
    path = save(tmp_path, xgb.train(ONE_THREAD, xgb.DMatrix(x, y), 2))
    (path / "MLmodel").write_text(model_dirs.mlmodel({"xgboost": {"data": "model.ubj"} | fields}))
    assert refused(path).reason is reason


@pytest.mark.parametrize("content", [b"", b"{", b"\x80\x05junk", b"{}", b"{L" + b"\xff" * 64])
@pytest.mark.parametrize("name", ["model.ubj", "model.json"])
def test_a_file_that_is_no_model_is_invalid(tmp_path, content, name):
    path = model_dirs.write(tmp_path, {"MLmodel": model_dirs.mlmodel({"xgboost": {"data": name}}), name: content})
    assert refused(path).reason is Reason.ARTIFACT_INVALID


# -- the process --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavor", ["xgboost", "lightgbm"])
def test_without_the_extra_the_reason_says_what_to_install(tmp_path, flavor):
    path = model_dirs.write(tmp_path, {"MLmodel": model_dirs.mlmodel({flavor: {"data": "model"}})})
    code = "\n".join((LOADING.format(path=str(path), absent=flavor), "else: raise AssertionError"))
    told = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True).stdout
    assert "UnsupportedFlavor" in told
    assert f"headgate[{flavor}]" in told


def test_without_the_library_that_lightgbm_needs_of_the_system_the_reason_names_it(tmp_path):
    path = model_dirs.write(tmp_path / "model", {"MLmodel": model_dirs.mlmodel({"lightgbm": {"data": "model"}})})
    fails = "raise OSError('libgomp.so.1: cannot open shared object file: No such file or directory')"
    model_dirs.write(tmp_path / "packages", {"lightgbm/__init__.py": fails})
    loading = LOADING.format(path=str(path), absent="none")
    code = "\n".join((f"import sys; sys.path.insert(0, {str(tmp_path / 'packages')!r})", loading))
    told = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True).stdout
    assert "UnsupportedFlavor" in told
    assert "libgomp.so.1: cannot open" in told
    assert "libgomp1" in told


def test_an_onnx_model_imports_neither_boosted_trees_nor_scikit_learn(tmp_path):
    path = model_dirs.onnx_iris(tmp_path)
    code = LOADING.format(path=str(path), absent="none")
    code += "\nassert not {'xgboost', 'lightgbm', 'sklearn', 'skops', 'pandas', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_server_answers_from_boosted_trees(tmp_path):
    x, y = IRIS
    model = xgb.XGBClassifier(n_estimators=5, n_jobs=1).fit(x, y)
    path = save(tmp_path, model, inputs=model_dirs.columns())
    with ServerProcess(model=path) as server:
        answer = server.wait_ready().post("/predict", {"features": model_dirs.IRIS_ROW})
        assert (answer.status, answer.json["prediction"]) == (200, 0)
        assert answer.json["probability"] is not None
        predictions = server.post("/invocations", {"inputs": model_dirs.IRIS_ROW}).json["predictions"]
        assert predictions == [0]


# -- hostile files ------------------------------------------------------------------------------------------------


def put(*path: Any) -> Any:
    """A change of the model's JSON: the last word is put at the path of the others."""

    def change(document: Any) -> None:
        at = document["learner"]
        for step in path[:-2]:
            at = at[step]
        at[path[-2]] = path[-1]

    return change


TREES = ("gradient_booster", "model")
TREE = (*TREES, "trees", 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put(*TREE, "left_children", 0, 10**6), Reason.ARTIFACT_INVALID),
        (put(*TREE, "left_children", 0, -7), Reason.ARTIFACT_INVALID),
        (put(*TREE, "right_children", 0, 1), Reason.ARTIFACT_INVALID),
        (put(*TREE, "left_children", 0, 0), Reason.ARTIFACT_INVALID),
        (put(*TREE, "split_indices", 0, 4), Reason.ARTIFACT_INVALID),
        (put(*TREE, "split_conditions", [1.0]), Reason.ARTIFACT_INVALID),
        (put(*TREE, "tree_param", "num_nodes", "1000000000"), Reason.ARTIFACT_INVALID),
        (put(*TREE, "parents", 1, 8323072), Reason.ARTIFACT_INVALID),
        (put(*TREE, "parents", 1, 2), Reason.ARTIFACT_INVALID),
        (put(*TREE, "categories", [1]), Reason.UNSUPPORTED_FLAVOR),
        (put(*TREE, "id", 10**9), Reason.ARTIFACT_INVALID),
        (put(*TREES, "tree_info", 0, 99), Reason.ARTIFACT_INVALID),
        (put(*TREES, "iteration_indptr", [0, 99]), Reason.ARTIFACT_INVALID),
        (put(*TREES, "gbtree_model_param", "num_trees", "99"), Reason.ARTIFACT_INVALID),
        (put("learner_model_param", "num_class", "1000000000"), Reason.ARTIFACT_INVALID),
        (put("learner_model_param", "num_feature", "2"), Reason.ARTIFACT_INVALID),
        (put("learner_model_param", "base_score", "[1,2,3,4,5]"), Reason.ARTIFACT_INVALID),
        (put("gradient_booster", "name", "other"), Reason.ARTIFACT_INVALID),
        (put("gradient_booster", []), Reason.ARTIFACT_INVALID),
    ],
)
def test_xgboost_trees_that_lead_nowhere_are_refused(tmp_path, change, reason):
    x, y = IRIS
    path = save(tmp_path, xgb.train(ONE_THREAD, xgb.DMatrix(x, y), 2), file="model.json")
    document = json.loads((path / "model.json").read_text())
    change(document)
    (path / "model.json").write_text(json.dumps(document))
    assert refused(path).reason is reason


def test_files_with_changed_bytes_are_refused_or_answer_and_never_end_the_process(tmp_path):
    x, y = IRIS
    path = save(tmp_path, xgb.train(ONE_THREAD, xgb.DMatrix(x, y), 2))
    code = CHANGING.format(path=str(path))
    told = subprocess.run([sys.executable, "-c", code], check=True, timeout=240, capture_output=True, text=True).stdout
    assert "refused" in told
    assert told.rstrip().endswith("done")
