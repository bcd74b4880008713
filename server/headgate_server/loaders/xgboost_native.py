"""XGBoost models from their own format (`.ubj`, `.json`), which holds numbers and no code.

The booster is used as it is: the wrapper classes of scikit-learn's style only add what is done here in a few lines, and
take attributes from the file. Older binary files are not read; XGBoost itself has given them up.
"""

import json
import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
import xgboost

from headgate_server.loaders import boosted, boosted_safety, ubjson
from headgate_server.loaders.boosted import BoostedModel
from headgate_server.loaders.runtime import OutputSpec
from headgate_server.mlmodel import Description, text
from headgate_server.reasons import LoadError, Reason
from headgate_server.validation import Array

SUFFIXES: Final = (".ubj", ".json")
BOOSTER: Final = "xgboost.core.Booster"
CLASSIFIERS: Final = {"xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRFClassifier"}
OTHERS: Final = {f"xgboost.sklearn.{name}" for name in ("XGBModel", "XGBRegressor", "XGBRFRegressor", "XGBRanker")}


def load(described: Description, threads: int) -> BoostedModel:
    """The model of the directory, or the reason why it is not served."""
    path = described.file(described.flavor_fields.get("data"), "flavors.xgboost.data")
    kind = text(described.flavor_fields.get("model_class")) or BOOSTER
    if kind not in {BOOSTER, *CLASSIFIERS, *OTHERS}:
        raise LoadError(Reason.UNSUPPORTED_FLAVOR, f"the XGBoost class {kind} is not served")
    if path.suffix not in SUFFIXES:
        raise LoadError(Reason.UNSUPPORTED_FLAVOR, f"{path.name}: log the model with model_format='ubj'")
    booster, learner = _booster(path, threads)
    model = BoostedModel(
        described,
        booster.feature_names,
        booster.num_features(),
        platform="xgboost_ubj",
        runtime=f"xgboost {xgboost.__version__}",
    )
    raw = _Raw(booster, learner, all_trees=kind == BOOSTER)
    classes = int(learner["learner_model_param"]["num_class"])
    objective = str(learner["objective"]["name"])
    if kind not in CLASSIFIERS:
        model.answers(raw, OutputSpec("predict", "FP32", (-1, classes) if objective == "multi:softprob" else (-1,)))
        return model
    model.answers(lambda rows: _labels(raw(rows), objective), OutputSpec("predict", "INT64", (-1,)))
    if objective in {"multi:softprob", "binary:logistic"}:
        model.also(max(2, classes), lambda rows: _probabilities(raw(rows)))
    return model


class _Raw:
    """What the booster makes of a matrix."""

    def __init__(self, booster: Any, learner: Any, *, all_trees: bool) -> None:
        self._booster = booster
        self._linear = learner["gradient_booster"]["name"] == "gblinear"
        # Only the wrapper classes leave out the trees that came after the best round of early stopping.
        best = booster.attr("best_iteration")
        self._trees = (0, int(best) + 1) if best is not None and not all_trees else (0, 0)
        self._one = threading.Lock()

    def __call__(self, rows: Array) -> Array:
        if not self._linear:
            return np.asarray(self._booster.inplace_predict(rows, iteration_range=self._trees))
        # Linear boosters read no plain matrix, and may not be asked twice at once.
        with self._one:
            return np.asarray(self._booster.predict(xgboost.DMatrix(rows), validate_features=False))


def _booster(path: Path, threads: int) -> tuple[Any, Any]:
    try:
        content = path.read_bytes()
        document = json.loads(content) if path.suffix == ".json" else ubjson.loads(content)
        boosted_safety.check_xgboost(document)
        # Written anew: XGBoost never reads the file itself.
        booster = xgboost.Booster(model_file=bytearray(json.dumps(document).encode()))
        booster.set_param({"nthread": threads})
        return booster, json.loads(booster.save_config())["learner"]
    except Exception as error:  # noqa: BLE001 - whatever a hostile file makes it raise
        raise boosted.refusal(error, path.name, "XGBoost") from None


def _labels(raw: Array, objective: str) -> Array:
    if raw.ndim == 2:
        return np.asarray(np.argmax(raw, axis=1))
    return raw.astype(np.int64) if objective == "multi:softmax" else (raw > 0.5).astype(np.int64)


def _probabilities(raw: Array) -> Array:
    return raw if raw.ndim == 2 else np.stack([1.0 - raw, raw], axis=1)
