"""LightGBM from its own text format: what the library would answer, and what is refused before it reads a word."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import skops.io

import model_dirs
import model_loading
from headgate_server.digest import tree_digest
from headgate_server.loaders import lightgbm_text
from headgate_server.loading import Loaded
from headgate_server.reasons import LoadError, Reason
from headgate_server.validation import Batch
from server_process import ServerProcess

try:
    import lightgbm as lgb
except OSError as missing:
    pytest.skip(f"LightGBM's own library does not load (Debian: libgomp1): {missing}", allow_module_level=True)

CHANCE = np.random.default_rng(7)
NAMES = ("a", "b", "kind", "shop")
ROWS = CHANCE.normal(size=(400, 4))
ROWS[:, 2], ROWS[:, 3] = CHANCE.integers(0, 60, 400), CHANCE.integers(0, 4, 400)
ROWS[::7, 0] = np.nan
SUMS = np.nan_to_num(ROWS[:, 0]) + (ROWS[:, 2] % 5) + ROWS[:, 3]
TARGETS = {
    "amounts": SUMS + 3,
    "two": (np.median(SUMS) < SUMS).astype(int),
    "three": np.digitize(SUMS, [2.0, 4.0]),
}
FEW = {"num_threads": 1, "verbose": -1, "num_leaves": 7, "min_data_per_group": 5, "min_data_in_leaf": 5}
# What a booster is asked that it never saw: no value, no such category, no end.
ODD = np.array([[np.nan] * 4, [0.0] * 4, [1e300, -1e300, 1e300, -1e300], [np.inf, -np.inf, 59.5, -1.0]])
LOG = """
import sys, warnings
warnings.simplefilter("ignore")
import json, lightgbm, mlflow, numpy, pandas
from mlflow.models import infer_signature
rows = pandas.DataFrame({"wide leaf": [0.5, None, 2.5, 3.5] * 10, "kind": [0, 1, 2, 3] * 10}).astype({"kind": "int64"})
data = lightgbm.Dataset(rows, [0, 1, 2, 0] * 10, categorical_feature=["kind"])
given = {"objective": "multiclass", "num_class": 3, "min_data_in_leaf": 1, "min_data_per_group": 1, "verbose": -1}
booster = lightgbm.train(given, data, 5)
mlflow.lightgbm.save_model(booster, sys.argv[1], signature=infer_signature(rows, booster.predict(rows)),
                           input_example=rows.tail(2), pip_requirements=[])
print(json.dumps(mlflow.pyfunc.load_model(sys.argv[1]).predict(rows.head(4)).tolist()))
""".strip()
CHANGING = """
import random
from pathlib import Path
from headgate_server import settings
from headgate_server.loading import load
from headgate_server.reasons import LoadError
from headgate_server.registry.source import Located
path = Path({path!r})
file = path / 'model.lgb'
good = file.read_bytes()
config = settings.load(['--model', str(path), '--threads=1'], {{}})
for seed in range(300):
    chance = random.Random(seed)
    content = bytearray(good[: good.index(b'end of trees')])
    for _ in range(chance.choice((1, 2, 4))):
        at = chance.randrange(len(content))
        content[at] = chance.choice(b'0123456789 -.=e\\n\\r\\0\\xff')
    file.write_bytes(content + good[len(content) :])
    try:
        model = load(Located(path, '', 'm', '1', 'path', ''), config, lambda: None)
        model.model.run(model.validator.positional([[0.5, 1.0, 3.0, 2.0], [9.5, -1.0, 59.0, 0.0]]), ['predict'])
        print('answered', flush=True)
    except LoadError as error:
        print('refused', error.reason, flush=True)
print('done')
""".strip()


def loaded(path: Path, **given: Any) -> Loaded:
    return model_loading.loaded(path, **{"threads": 1, **given})


def refused(path: Path, **given: Any) -> LoadError:
    return model_loading.refused(path, threads=1, **given)


def booster(target: str = "amounts", rounds: int = 4, names: Any = "auto", **given: Any) -> Any:
    group = [40] * 10 if "rank" in str(given.get("objective")) else None
    data = lgb.Dataset(ROWS, TARGETS[target], feature_name=names, categorical_feature=[2, 3], group=group)
    return lgb.train({**FEW, **given}, data, rounds)


def save(folder: Path, model: Any, *, inputs: Any = None, **fields: Any) -> Path:
    """A model directory as MLflow writes it for this booster."""
    flavor = {"data": "model.lgb", "model_class": "lightgbm.basic.Booster", "serialization_format": "skops", **fields}
    model_dirs.write(folder, {"MLmodel": model_dirs.mlmodel({"lightgbm": flavor}, inputs=inputs)})
    model.save_model(folder / "model.lgb")
    return folder


def answers(model: Loaded, rows: Any) -> Any:
    """To rows as the validator gives them: no JSON carries what is asked here."""
    [output] = model.model.run(Batch({"input-0": np.asarray(rows)}, len(rows)), ["predict"])
    return output.values


def gradients(sums: Any, data: Any) -> tuple[Any, Any]:
    """Somebody's own objective, of which no file tells."""
    return sums - data.get_label(), np.ones(len(sums))


# -- what it answers ----------------------------------------------------------------------------------------------

OBJECTIVES = [
    *(("amounts", {"objective": name}) for name in ("regression", "regression_l1", "huber", "fair", "poisson")),
    *(("amounts", {"objective": name}) for name in ("quantile", "mape", "gamma", "tweedie")),
    *(("amounts", {"objective": name, "reg_sqrt": True}) for name in ("regression", "mape")),
    ("two", {"objective": "binary"}),
    ("two", {"objective": "binary", "sigmoid": 2.5}),
    ("two", {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}),
    ("two", {"objective": "binary", "boosting": "dart"}),
    *(("two", {"objective": name}) for name in ("cross_entropy", "cross_entropy_lambda", "lambdarank", "rank_xendcg")),
    *(("three", {"objective": name, "num_class": 3}) for name in ("multiclass", "multiclassova")),
    ("amounts", {"zero_as_missing": True}),
    ("amounts", {"use_missing": False}),
    pytest.param("amounts", {"objective": gradients}, id="somebody's own"),
]


@pytest.mark.parametrize(("target", "given"), OBJECTIVES, ids=str)
def test_a_booster_answers_to_the_bit_what_lightgbm_answers(tmp_path, target, given):
    model = booster(target, **given)
    served = loaded(save(tmp_path, model))
    rows = np.concatenate([ROWS, ODD])
    assert np.array_equal(answers(served, rows), model.predict(rows), equal_nan=True)
    assert served.model.runtime == f"lightgbm {lgb.__version__}"
    assert served.model.outputs[0].shape == ((-1, 3) if target == "three" else (-1,))


def test_a_booster_without_a_split_answers_its_one_value(tmp_path):
    model = lgb.train(FEW, lgb.Dataset(np.ones((40, 4)), np.full(40, 2.5)), 3)
    assert answers(loaded(save(tmp_path, model)), ROWS[:2]).tolist() == [2.5, 2.5]


def test_a_file_as_older_versions_wrote_it_answers_what_lightgbm_makes_of_it(tmp_path):
    path = save(tmp_path, booster())
    text = (path / "model.lgb").read_text().replace("version=v4", "version=v3").replace("is_linear=0\n", "")
    text = re.sub(r"tree_sizes=.*\n", "", text)
    (path / "model.lgb").write_text(text)
    assert np.array_equal(answers(loaded(path), ROWS), lgb.Booster(model_str=text).predict(ROWS))


def test_columns_go_to_the_trees_by_name_where_the_signature_has_another_order(tmp_path):
    names = ["wide leaf", "b", "kind", "shop"]
    model = booster(names=[name.replace(" ", "_") for name in names])  # as LightGBM itself writes a space
    served = loaded(save(tmp_path, model, inputs=model_dirs.columns(names[::-1])))
    batch = served.validator.positional(ROWS[1:7, ::-1].tolist())
    assert np.array_equal(served.model.run(batch, ["predict"])[0].values, model.predict(ROWS[1:7]))


def test_without_a_signature_the_trees_say_what_they_take(tmp_path):
    assert loaded(save(tmp_path / "a", booster(names=list(NAMES)))).model.inputs.names == NAMES
    assert loaded(save(tmp_path / "b", booster())).model.inputs.tensors[0].shape == (-1, 4)


def test_a_value_that_is_not_there_goes_the_way_that_the_trees_have_for_it(tmp_path):
    model = booster()
    inputs = [{"type": "double", "name": name, "required": name != "a"} for name in NAMES]
    served = loaded(save(tmp_path, model, inputs=inputs))
    batch = served.validator.records([{"b": 0.5, "kind": 3.0, "shop": 1.0}])
    assert served.model.run(batch, ["predict"])[0].values == model.predict([[np.nan, 0.5, 3.0, 1.0]])


def test_threads_that_ask_at_once_get_what_each_would_get_alone(tmp_path):
    model = booster("three", objective="multiclass", num_class=3)
    served = loaded(save(tmp_path, model), threads=2)
    parts = [ROWS[at : at + 40] for at in range(0, 400, 40)] * 4
    with ThreadPoolExecutor(8) as pool:
        for part, got in zip(parts, pool.map(lambda part: answers(served, part), parts), strict=True):
            assert np.array_equal(got, model.predict(part))


def test_a_booster_that_mlflow_saved_passes_its_example_and_answers_as_mlflow_does(tmp_path):
    command = [sys.executable, "-c", LOG, str(tmp_path / "model")]
    told = subprocess.run(command, check=True, timeout=240, capture_output=True, text=True).stdout
    served = loaded(tmp_path / "model")
    assert served.golden == "passed"
    rows = [{"wide leaf": 0.5, "kind": 0}, {"wide leaf": None, "kind": 1}, {"wide leaf": 2.5, "kind": 2}]
    batch = served.validator.records(rows)
    assert served.model.run(batch, ["predict"])[0].values.tolist() == json.loads(told.splitlines()[-1])[:3]


def test_a_server_answers_from_a_booster_on_every_protocol(tmp_path):
    model = booster("three", objective="multiclass", num_class=3, names=list(NAMES))
    path = save(tmp_path, model, inputs=model_dirs.columns(NAMES))
    row = [0.5, 1.0, 3.0, 2.0]
    [expected] = model.predict([row]).tolist()
    with ServerProcess(model=path) as server:
        server.wait_ready()
        named = dict(zip(NAMES, row, strict=True))
        assert server.post("/predict", {"features": named}).json["prediction"] == expected
        records = {"dataframe_records": [named]}
        assert server.post("/invocations", records).json == {"predictions": [expected]}
        info = server.get("/model/info").json
        assert (info["runtime"], info["digest"]) == (f"lightgbm {lgb.__version__}", tree_digest(path))
        v1 = server.post(f"/v1/models/{info['name']}:predict", {"instances": [named]})
        assert v1.json["predictions"] == [expected]
        tensors = [{"name": n, "shape": [1, 1], "datatype": "FP64", "data": [v]} for n, v in named.items()]
        [output] = server.post(f"/v2/models/{info['name']}/infer", {"inputs": tensors}).json["outputs"]
        assert (output["shape"], output["data"]) == ([1, 3], expected)


# -- what is not served -------------------------------------------------------------------------------------------


def test_models_in_scikit_learns_style_are_held_to_trust_as_any_skops_file_or_pickle(tmp_path):
    model = lgb.LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1).fit(ROWS, TARGETS["three"])
    kind = "lightgbm.sklearn.LGBMClassifier"
    path = save(tmp_path, booster(), data="model.skops", model_class=kind)
    (path / "model.skops").write_bytes(skops.io.dumps(model))
    error = refused(path)
    assert (error.reason, kind in error.message) == (Reason.UNTRUSTED_TYPES, True)
    served = loaded(path, trust_types=error.message.replace(" ", ""))
    [labels] = served.model.run(served.validator.positional([[0.5, 1.0, 3.0, 2.0]]), ["predict"])
    assert labels.values == model.predict([[0.5, 1.0, 3.0, 2.0]])
    (path / "model.skops").write_bytes(cloudpickle.dumps(model))
    (path / "MLmodel").write_text((path / "MLmodel").read_text().replace("format: skops", "format: cloudpickle"))
    assert refused(path).reason is Reason.PICKLE_REFUSED


@pytest.mark.parametrize("kind", ["os.system", "lightgbm.basic.Dataset", "lightgbm.Booster"])
def test_a_class_that_is_no_booster_is_not_taken_for_one(tmp_path, kind):
    assert refused(save(tmp_path, booster(), model_class=kind)).reason is Reason.PICKLE_REFUSED


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (model_dirs.columns(["a", "b", "kind"]), Reason.ARTIFACT_INVALID),
        (model_dirs.columns(["a", "b", "kind", "z"]), Reason.ARTIFACT_INVALID),
        (model_dirs.tensor("float64", [-1, 5]), Reason.ARTIFACT_INVALID),
        (model_dirs.columns(NAMES, "string"), Reason.UNSUPPORTED_FLAVOR),
    ],
)
def test_a_signature_that_does_not_fit_the_trees_is_refused(tmp_path, inputs, reason):
    assert refused(save(tmp_path, booster(names=list(NAMES)), inputs=inputs)).reason is reason


def test_trees_that_split_on_pandas_categories_are_refused_for_no_signature_carries_them(tmp_path):
    path = save(tmp_path, booster())
    text = (path / "model.lgb").read_text()
    (path / "model.lgb").write_text(text.replace("pandas_categorical:null", 'pandas_categorical:[["x", "y"]]'))
    error = refused(path)
    assert (error.reason, "pandas" in error.message) == (Reason.UNSUPPORTED_FLAVOR, True)


def test_trees_with_linear_leaves_are_refused(tmp_path):
    model = lgb.train({**FEW, "linear_tree": True}, lgb.Dataset(ROWS[:, :2], TARGETS["amounts"]), 2)
    error = refused(save(tmp_path, model))
    assert (error.reason, "linear" in error.message) == (Reason.UNSUPPORTED_FLAVOR, True)


# -- hostile files ------------------------------------------------------------------------------------------------


def word(name: str, value: str, at: int = 0) -> Callable[[str], str]:
    """A change of one word in the first line of that name."""

    def change(text: str) -> str:
        [line] = re.findall(rf"^{name}=.*$", text, flags=re.MULTILINE)[:1]
        words = line.partition("=")[2].split(" ")
        words[at] = value
        return text.replace(line, f"{name}={' '.join(words)}", 1)

    return change


def line(name: str, value: str) -> Callable[[str], str]:
    return lambda text: re.sub(rf"^{name}=.*$", f"{name}={value}", text, count=1, flags=re.MULTILINE)


def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


HOSTILE = [
    *(word(side, value) for side in ("left_child", "right_child") for value in ("999999", "-999999", "0", "6", "-8")),
    *(word("right_child", value, at) for value, at in (("1", 3), ("2", 1), ("-1", -1), ("4294967297", 0))),
    *(word("split_feature", value) for value in ("4", "-1", "2147483648", "1e3", "x")),
    *(word("decision_type", value) for value in ("12", "-1", "255", "3", "11", "1025")),
    *(word("threshold", value) for value in ("-1", "0.5", "6", "1000000000")),  # of a set of categories, where
    word("decision_type", "1", -1),
    *(word("threshold", value) for value in ("nan", "inf", "1e999", "0x10", "1_0", "9" * 400, "", "1e5e5")),
    *(word("leaf_value", value) for value in ("nan", "-inf", "1e999", "٣", "1\r", "1\0")),
    *(line("num_leaves", value) for value in ("-1", "0", "1", "8", "1000000000", "99999999999999999999", "", "7 7")),
    *(line(name, "") for name in ("left_child", "split_feature", "threshold", "decision_type", "leaf_value")),
    *(line(name, "1 1") for name in ("left_child", "threshold", "leaf_value", "split_gain", "leaf_count")),
    *(line("num_cat", value) for value in ("0", "-1", "7", "1000000000")),
    *(line("cat_boundaries", value) for value in ("", "0", "0 1000000000", "5 0", "0 2 1 2 2", "-1 2")),
    *(line("cat_threshold", value) for value in ("", "1", "-1 0", "4294967296 0 0 0")),
    *(word("cat_threshold", value) for value in ("-1", "4294967296")),
    swap("cat_boundaries=", "cat_bounds="),
    *(line("max_feature_idx", value) for value in ("-1", "2", "4", "2147483647", "1048576", "a")),
    *(line("num_class", value) for value in ("0", "2", "-3", "1000000000")),
    *(line("num_tree_per_iteration", value) for value in ("0", "2", "-3", "1000000000", "3")),
    *(line("feature_names", value) for value in ("a b kind", "a a kind shop", "a b  shop", "")),
    *(line("feature_infos", value) for value in ("none", "")),
    *(line("tree_sizes", value) for value in ("", "1 1 1 1", "-1 0 0 0", "9" * 30, "1")),
    *(line("objective", f"regression {value}") for value in ("num_class:9", "sqrt sqrt", "sqrt:", "sigmoid:1")),
    *(line("objective", f"multiclass num_class:{value}") for value in ("3", "1000000000", "-1", "1 num_class:9")),
    *(line("objective", f"binary sigmoid:{value}") for value in ("0", "-1", "nan", "1e999", "1:2", "")),
    *(line("Tree", value) for value in ("1", "-1", "", "0 0")),
    swap("tree\n", ""),
    swap("tree\n", "trees\n"),
    swap("Tree=1\n", ""),
    swap("is_linear=0", "is_linear=2"),
    swap("is_linear=0", "is_linear=0\nis_linear=0"),
    swap("is_linear=0", "is_linear=0\nleaf_coeff=1"),
    swap("is_linear=0", "is_linear"),
    swap("shrinkage", "\x0bshrinkage"),
    swap("label_index", "average_outputs\nlabel_index"),
    swap("end of trees", "end of tree"),
    swap("pandas_categorical:", "pandas:"),
]


@pytest.mark.parametrize("change", HOSTILE)
def test_a_file_that_would_lead_lightgbm_astray_is_refused_before_it_reads(tmp_path, change, monkeypatch):
    path = save(tmp_path, booster())
    text = (path / "model.lgb").read_text()
    changed = change(text)
    assert changed != text
    (path / "model.lgb").write_bytes(changed.encode())
    monkeypatch.setattr(lgb, "Booster", None)  # whoever came so far would say another thing
    error = refused(path)
    assert (error.reason, "ValueError" in error.message) == (Reason.ARTIFACT_INVALID, True)


@pytest.mark.parametrize("change", [line("version", "v9"), line("objective", "evil"), line("objective", "none")])
def test_what_this_server_does_not_know_is_not_served(tmp_path, change):
    path = save(tmp_path, booster())
    (path / "model.lgb").write_text(change((path / "model.lgb").read_text()))
    assert refused(path).reason is Reason.UNSUPPORTED_FLAVOR


def test_a_file_that_breaks_off_anywhere_is_refused(tmp_path):
    content = (save(tmp_path, booster(rounds=2)) / "model.lgb").read_bytes()
    assert lightgbm_text.checked(content).outputs == 1
    for end in range(len(content) - 1):  # its last byte ends the last line
        with pytest.raises(ValueError):
            lightgbm_text.checked(content[:end])


@pytest.mark.parametrize("content", [b"", b"{", b"tree", b"tree\n", b"\x80\x05junk", b"\xff" * 64, b"\0" * 64])
def test_a_file_that_is_no_model_is_invalid(tmp_path, content):
    path = save(tmp_path, booster())
    (path / "model.lgb").write_bytes(content)
    assert refused(path).reason is Reason.ARTIFACT_INVALID


def test_files_with_changed_bytes_are_refused_or_answer_and_never_end_the_process(tmp_path):
    code = CHANGING.format(path=str(save(tmp_path, booster(rounds=2))))
    told = subprocess.run([sys.executable, "-c", code], check=True, timeout=240, capture_output=True, text=True).stdout
    assert {"refused ArtifactInvalid", "answered"} <= set(told.splitlines())
    assert told.rstrip().endswith("done")
