"""Decision trees from files: a crafted one is refused before it can be walked, and loading it does no harm.

The crafted files are real skops files whose node arrays were changed inside the zip, as an attacker would do it.
"""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import model_dirs
from headgate_server import mlmodel
from headgate_server.loaders import skops_sklearn, tree_safety
from headgate_server.reasons import LoadError, Reason
from headgate_server.settings import Requirements

X, Y = load_iris(return_X_y=True)


def crafted(estimator: Any, change: Callable[[np.ndarray], None]) -> bytes:
    """The skops file of the estimator, with `change` applied to the first node array in it."""
    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator)))
    made = io.BytesIO()
    changed = False
    with zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith(".npy") and not changed:
                array = np.load(io.BytesIO(content), allow_pickle=False)
                if array.dtype.names and "left_child" in array.dtype.names:
                    change(array)
                    buffer = io.BytesIO()
                    np.save(buffer, array)
                    content, changed = buffer.getvalue(), True
            target.writestr(name, content)
    assert changed
    return made.getvalue()


def at(field: str, node: int, value: int) -> Callable[[np.ndarray], None]:
    def change(nodes: np.ndarray) -> None:
        nodes[field][node] = value

    return change


CHANGES = {
    "child far outside": at("left_child", 0, 10**9),
    "child just outside": at("left_child", 0, 17),
    "child below -1": at("right_child", 0, -2),
    "child is the root: an endless walk": at("left_child", 0, 0),
    "child before its parent": at("right_child", 2, 1),
    "child of two parents": at("right_child", 0, 1),
    "one child only": at("left_child", 0, -1),
    "feature far outside": at("feature", 0, 10**9),
    "feature just outside": at("feature", 0, 4),
    "feature negative": at("feature", 0, -5),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("kind", ["dt", "rf", "gb"])
def test_a_crafted_tree_loads_without_harm_and_is_refused(
    tmp_path: Path, kind: str, change: Callable[[np.ndarray], None]
):
    folder = model_dirs.iris(tmp_path, kind=kind)
    (folder / "model.skops").write_bytes(crafted(model_dirs.iris_estimator(kind), change))
    with pytest.raises(LoadError) as caught:
        skops_sklearn.load(mlmodel.read(folder), Requirements.STRICT)
    assert caught.value.reason is Reason.ARTIFACT_INVALID


def test_without_the_check_a_crafted_tree_ends_the_process(tmp_path: Path):
    file = tmp_path / "evil.skops"
    file.write_bytes(crafted(model_dirs.iris_estimator("dt"), at("left_child", 0, 2**40)))
    code = (
        "import sys, numpy, skops.io\n"
        f"model = skops.io.load({str(file)!r}, trusted=['sklearn.tree._tree.Tree'])\n"
        "print('loaded', flush=True)\n"
        "model.predict(numpy.zeros((1, 4)))\n"
        "print('predicted', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "loaded\n"
    assert done.returncode < 0  # by a signal


WELL_MADE = {
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "regression forest": lambda: RandomForestRegressor(5, random_state=0),
    "extra trees": lambda: ExtraTreesRegressor(5, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=3, random_state=0),
    "regression boosting": lambda: GradientBoostingRegressor(n_estimators=3, random_state=0),
    "boosting from zero": lambda: GradientBoostingClassifier(n_estimators=3, init="zero", random_state=0),
    "isolation forest": lambda: IsolationForest(n_estimators=5, random_state=0),
    "isolation forest on some features": lambda: IsolationForest(n_estimators=5, max_features=2, random_state=0),
    "bagging on some features": lambda: BaggingClassifier(n_estimators=3, max_features=2, random_state=0),
    "boosted trees": lambda: AdaBoostClassifier(n_estimators=3, random_state=0),
    "a pipeline": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0)),
    "a vote": lambda: VotingClassifier([("f", RandomForestClassifier(3)), ("l", LogisticRegression(max_iter=500))]),
}


@pytest.mark.parametrize("make", WELL_MADE.values(), ids=WELL_MADE)
def test_a_well_made_ensemble_passes_and_predicts_the_same(make: Callable[[], Any]):
    fitted = make().fit(X, Y)
    loaded = skops.io.loads(skops.io.dumps(fitted), trusted=sorted(skops_sklearn.TRUSTED))
    tree_safety.check(loaded)
    assert np.array_equal(loaded.predict(X), fitted.predict(X))


def forest() -> Any:
    return RandomForestClassifier(3, random_state=0).fit(X, Y)


def without_feature_count(model: Any) -> None:
    del model.n_features_in_


def with_other_feature_count(model: Any) -> None:
    model.n_features_in_ = 100


def with_feature_count_that_equals_anything(model: Any) -> None:
    class Equal:
        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = None  # type: ignore[assignment]

    model.n_features_in_ = Equal()


def with_a_method_replaced(model: Any) -> None:
    model._validate_X_predict = np.asarray


def with_a_narrower_member(model: Any) -> None:
    model.estimators_[1] = DecisionTreeClassifier().fit(X[:, :2], Y)


def with_a_wider_member(model: Any) -> None:
    model.estimators_[1] = DecisionTreeClassifier().fit(np.hstack([X, X]), Y)


def with_another_kind_of_member(model: Any) -> None:
    model.estimators_[1] = LogisticRegression(max_iter=500).fit(X, Y)


def with_a_loose_tree(model: Any) -> None:
    model.extra = [{"hidden": (model.estimators_[0].tree_.__class__(4, np.array([3]), 1),)}]


@pytest.mark.parametrize(
    "spoil",
    [
        without_feature_count,
        with_other_feature_count,
        with_feature_count_that_equals_anything,
        with_a_method_replaced,
        with_a_narrower_member,
        with_a_wider_member,
        with_another_kind_of_member,
        with_a_loose_tree,
    ],
)
def test_a_forest_that_would_hand_unchecked_input_to_its_trees_is_refused(spoil: Callable[[Any], None]):
    model = forest()
    tree_safety.check(model)
    spoil(model)
    with pytest.raises(LoadError):
        tree_safety.check(model)


def test_a_tree_that_states_too_little_depth_is_refused():
    tree = forest().estimators_[0].tree_
    state = tree.__getstate__()
    state["max_depth"] = 0
    tree.__setstate__(state)
    with pytest.raises(LoadError, match="deeper"):
        tree_safety.check_tree(tree)


def test_a_tree_without_nodes_is_refused():
    empty = forest().estimators_[0].tree_.__class__(4, np.array([3]), 1)
    with pytest.raises(LoadError, match="without nodes"):
        tree_safety.check_tree(empty)


def test_boosting_with_more_trees_a_stage_than_outputs_is_refused():
    model = GradientBoostingRegressor(n_estimators=2, random_state=0).fit(X, Y)
    model.estimators_ = np.hstack([model.estimators_] * 3)
    with pytest.raises(LoadError, match="more trees a stage"):
        tree_safety.check(model)


def test_boosting_with_its_own_first_estimator_is_refused():
    model = GradientBoostingClassifier(n_estimators=2, init=LogisticRegression(max_iter=500)).fit(X, Y)
    with pytest.raises(LoadError) as caught:
        tree_safety.check(model)
    assert caught.value.reason is Reason.UNTRUSTED_TYPES


def test_a_sparse_matrix_with_indices_outside_is_refused():
    from scipy.sparse import csr_matrix

    model = LogisticRegression(max_iter=500).fit(X, Y).sparsify()
    tree_safety.check(model)
    broken = csr_matrix(model.coef_)
    broken.indices[0] = 10**6
    model.coef_ = broken
    with pytest.raises(LoadError, match="sparse"):
        tree_safety.check(model)
