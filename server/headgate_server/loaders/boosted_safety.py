"""Make boosted trees from a file safe to run: the library follows its indices without looking.

A file with a bit changed made XGBoost crash, in its reader or at the first prediction. So files are read here, every
index is checked, and what the library gets is written from what was checked. ValueError says what is wrong; trees that
split on categories are NotServed.
"""

from typing import Any, Final

import numpy as np

from headgate_server.loaders.boosted import NotServed

CATEGORIES: Final = "trees that split on categories"
MAX_CLASSES: Final = 10_000
MAX_FEATURES: Final = 1 << 20
NO_PARENT: Final = 2**31 - 1
BY_NODE: Final = (
    "left_children",
    "right_children",
    "parents",
    "split_indices",
    "split_conditions",
    "default_left",
    "base_weights",
    "loss_changes",
    "sum_hessian",
)


def check_xgboost(document: Any) -> None:
    """The whole model, as its JSON."""
    try:
        _learner(document["learner"])
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(f"a part is missing or of another kind: {error}") from None


def _learner(learner: Any) -> None:
    parameters = learner["learner_model_param"]
    features, classes = int(parameters["num_feature"]), int(parameters["num_class"])
    _demand(0 < features <= MAX_FEATURES and 0 <= classes <= MAX_CLASSES, "features or classes")
    _demand(int(parameters.get("num_target", "1")) in (0, 1), "several targets")
    groups = max(1, classes)
    _demand(str(parameters["base_score"]).count(",") + 1 in (1, groups), "the base score")
    for names in ("feature_names", "feature_types"):
        _demand(len(learner.get(names, [])) in (0, features), names)
    booster = learner["gradient_booster"]
    if booster["name"] == "gblinear":
        _demand(len(booster["model"]["weights"]) == (features + 1) * groups, "the weights")
        return
    if booster["name"] == "dart":
        trees = booster["gbtree"]["model"]
        _demand(len(booster["weight_drop"]) == len(trees["trees"]), "the weights of trees")
    else:
        _demand(booster["name"] == "gbtree", "the kind of booster")
        trees = booster["model"]
    _trees(trees, features, groups)


def _trees(model: Any, features: int, groups: int) -> None:
    trees, count = model["trees"], len(model["trees"])
    if model.get("cats", {}).get("enc"):
        raise NotServed(CATEGORIES)
    _demand(int(model["gbtree_model_param"]["num_trees"]) == count, "the number of trees")
    info = np.asarray(model["tree_info"], dtype=np.int64)
    _demand(info.shape == (count,) and bool(((info >= 0) & (info < groups)).all()), "the groups of trees")
    if "iteration_indptr" in model:
        rounds = np.asarray(model["iteration_indptr"], dtype=np.int64)
        _demand(rounds.size > 0 and rounds[0] == 0 and rounds[-1] == count, "the rounds")
        _demand(bool((np.diff(rounds) >= 0).all()), "the rounds")
    for number, tree in enumerate(trees):
        _demand(int(tree["id"]) == number, "the number of a tree")
        _tree(tree, features)


def _tree(tree: Any, features: int) -> None:
    parameters = tree["tree_param"]
    count = int(parameters["num_nodes"])
    _demand(count >= 1 and int(parameters.get("size_leaf_vector", "1")) in (0, 1), "a tree's size")
    _demand(int(parameters["num_feature"]) in (0, features), "a tree's features")
    if any(tree.get("split_type", ())) or any(tree.get(name) for name in ("categories", "categories_nodes")):
        raise NotServed(CATEGORIES)
    for name in BY_NODE:
        _demand(len(tree[name]) == count, name)
    _demand(len(tree.get("split_type", ())) in (0, count), "split_type")
    left = np.asarray(tree["left_children"], dtype=np.int64)
    right = np.asarray(tree["right_children"], dtype=np.int64)
    inner = left != -1
    _demand(np.array_equal(inner, right != -1), "a node with one child")
    _walkable(np.concatenate([left[inner], right[inner]]), count)
    numbers = np.arange(count)[inner]
    parents = np.asarray(tree["parents"], dtype=np.int64)
    _demand(bool((((parents >= 0) & (parents < count)) | (parents == NO_PARENT)).all()), "a parent that is not there")
    for children in (left[inner], right[inner]):
        _demand(np.array_equal(parents[children], numbers), "a parent that is another")
    split = np.asarray(tree["split_indices"], dtype=np.int64)[inner]
    _demand(bool(((split >= 0) & (split < features)).all()), "a feature that is not there")


def _walkable(children: Any, count: int) -> None:
    """From the root every walk ends: each node has one parent at most, and the root none."""
    _demand(bool(((children > 0) & (children < count)).all()), "a child that is not there")
    _demand(np.unique(children).size == children.size, "a node with two parents")


def _demand(good: bool, what: str) -> None:
    if not good:
        raise ValueError(f"{what} cannot be")
