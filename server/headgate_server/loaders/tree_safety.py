"""Make a decision tree from a file safe to run: check every index that compiled code follows without checking.

skops does not trust `sklearn.tree._tree.Tree`, because its nodes are raw child and feature indices and scikit-learn
walks them without bounds checks: a crafted file crashes the process, or reads its memory, at the first prediction.
*Loading* such a file is sound: `Tree.__cinit__` and `__setstate__` hold shapes and dtypes of all arrays against each
other before they copy (tests load files with bad indices and with bad shapes). So this module checks after the load
and before the first prediction, over everything the model can reach:

- each tree: at least one node; children in range and greater than their parent (so every walk ends), each with one
  parent; a leaf has no child and any other node two; features in range; the depth that the tree states is not less
  than the real one (`decision_path` sizes its buffer by it); values as large as the nodes;
- each decision tree estimator: `n_features_in_` is there (without it scikit-learn skips its own check of the input)
  and is the tree's own number of features;
- each ensemble that hands its input to trees *unchecked* (forests, gradient boosting, isolation forests): the same
  number of features as each member, and for boosting an output as wide as its array of members;
- no attribute of these estimators hides a method of its class, and every tree belongs to such an estimator;
- sparse matrices, which compiled code trusts in the same way, are checked by scipy's own full check.

What fails is refused as ArtifactInvalid; an ensemble that this module does not know is UntrustedTypes.
"""

from typing import Any, Final

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, IsolationForest
from sklearn.ensemble._forest import BaseForest
from sklearn.tree import BaseDecisionTree
from sklearn.tree._tree import Tree

from headgate_server.loaders.object_graph import reachable
from headgate_server.reasons import LoadError, Reason

LEAF: Final = -1
GRADIENT_BOOSTING: Final = (GradientBoostingClassifier, GradientBoostingRegressor)


def check(model: Any) -> None:
    """Refuse the model unless every tree in it can be walked safely."""
    trees: dict[int, Any] = {}
    owned: set[int] = set()
    for item in reachable(model):
        if isinstance(item, Tree):
            trees[id(item)] = item
        elif _is_template(item):
            continue
        elif isinstance(item, BaseDecisionTree):
            owned.add(_check_estimator(item))
        elif isinstance(item, BaseForest):
            _check_forest(item)
        elif isinstance(item, GRADIENT_BOOSTING):
            _check_boosting(item)
        elif isinstance(item, IsolationForest):
            _check_isolation(item)
        elif type(item).__module__.startswith("scipy.sparse"):
            _check_sparse(item)
    for tree in trees.values():
        check_tree(tree)
    if set(trees) - owned:
        raise _invalid("a tree stands outside of a decision tree estimator")


def _is_template(item: Any) -> bool:
    """An unfitted estimator, which an ensemble keeps beside its fitted members; it has nothing to predict with."""
    kinds = (BaseDecisionTree, BaseForest, *GRADIENT_BOOSTING, IsolationForest)
    return isinstance(item, kinds) and not {"tree_", "estimators_"} & set(vars(item))


def check_tree(tree: Any) -> None:
    """One tree's own arrays."""
    count = int(tree.node_count)
    if count < 1 or int(tree.n_features) < 1 or int(tree.n_outputs) < 1 or int(tree.max_n_classes) < 1:
        raise _invalid("a tree without nodes, features, outputs or classes")
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    if not (left.shape == right.shape == feature.shape == (count,)) or tree.value.shape[0] != count:
        raise _invalid("the arrays of a tree differ in length")
    leaf = left == LEAF
    if not np.array_equal(leaf, right == LEAF):
        raise _invalid("a node of a tree has one child")
    inner = ~leaf
    number = np.arange(count)[inner]
    for child in (left[inner], right[inner]):
        # scikit-learn numbers a child after its parent, so a walk that only goes up must end.
        if not ((child > number) & (child < count)).all():
            raise _invalid("a tree has a child that does not follow its parent")
    if not ((feature[inner] >= 0) & (feature[inner] < tree.n_features)).all():
        raise _invalid("a tree asks for a feature that is not there")
    children = np.sort(np.concatenate([left[inner], right[inner]]))
    # One parent each: else a few nodes could make exponentially many walks out of what looks like a small tree.
    if not np.array_equal(children, np.arange(1, count)):
        raise _invalid("a node of a tree has no parent, or two")
    if _depth(left, right) > int(tree.max_depth):
        raise _invalid("a tree is deeper than it states")


def _depth(left: Any, right: Any) -> int:
    """The longest walk, level by level; each node is seen once, for it has one parent."""
    depth, level = 0, np.array([0])
    while True:
        level = level[left[level] != LEAF]
        if not level.size:
            return depth
        level = np.concatenate([left[level], right[level]])
        depth += 1


def _check_estimator(estimator: Any) -> int:
    tree: Any = _attributes(estimator).get("tree_")
    if type(tree) is not Tree:
        raise _invalid("a decision tree without a tree")
    if _features(estimator) != int(tree.n_features):
        raise _invalid("a decision tree and its tree differ in the number of features")
    return id(tree)


def _check_forest(forest: Any) -> None:
    members = _attributes(forest).get("estimators_")
    if not isinstance(members, list) or not members:
        raise _invalid("a forest without trees")
    _check_members(members, _features(forest))


def _check_boosting(model: Any) -> None:
    attributes = _attributes(model)
    members, features = attributes.get("estimators_"), _features(model)
    if not isinstance(members, np.ndarray) or members.ndim != 2 or not members.size:
        raise _invalid("gradient boosting without trees")
    _check_members(members.ravel().tolist(), features)
    for member in members.ravel():
        # Its compiled loop reads one value a node.
        if int(member.tree_.n_outputs) != 1 or int(member.tree_.max_n_classes) != 1:
            raise _invalid("a tree of gradient boosting has more than one value")
    init = attributes.get("init_")
    if not (init == "zero" if isinstance(init, str) else type(init) in (DummyClassifier, DummyRegressor)):
        raise LoadError(Reason.UNTRUSTED_TYPES, "gradient boosting with its own init estimator is not trusted")
    try:
        width = model._raw_predict_init(np.zeros((1, features), dtype=np.float32)).shape[1]
    except Exception as error:  # noqa: BLE001 - whatever a hostile file makes it raise
        raise _invalid(f"gradient boosting does not start: {type(error).__name__}") from None
    if width != members.shape[1]:
        raise _invalid("gradient boosting has more trees a stage than outputs")


def _check_isolation(model: Any) -> None:
    attributes = _attributes(model)
    members, chosen = attributes.get("estimators_"), attributes.get("estimators_features_")
    features = _features(model)
    if not isinstance(members, list) or not members or not isinstance(chosen, list) or len(chosen) != len(members):
        raise _invalid("an isolation forest without trees")
    every = attributes.get("_max_features") == features
    for member, columns in zip(members, chosen, strict=True):
        width = features if every else len(np.asarray(columns))
        _check_members([member], width)


def _check_members(members: list[Any], features: int) -> None:
    for member in members:
        if not isinstance(member, BaseDecisionTree) or _features(member) != features:
            raise _invalid("an ensemble and its members differ in the number of features")


def _features(estimator: Any) -> int:
    number = _attributes(estimator).get("n_features_in_")
    if isinstance(number, np.integer):
        number = int(number)
    if type(number) is not int or number < 1:
        raise _invalid("an estimator does not say how many features it takes")
    return number


def _attributes(estimator: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = vars(estimator)
    kind = type(estimator)
    if not issubclass(kind, BaseEstimator):
        raise _invalid("an estimator is none")
    for name in attributes:
        # A file can set any attribute: one in the place of a method would skip scikit-learn's own checks.
        if callable(getattr(kind, name, None)):
            raise _invalid("an estimator has an attribute in the place of a method")
    return attributes


def _check_sparse(matrix: Any) -> None:
    full_check = getattr(matrix, "check_format", None)
    if full_check is None:
        return
    try:
        full_check(full_check=True)
    except Exception as error:  # noqa: BLE001 - whatever a hostile file makes it raise
        raise _invalid(f"a sparse matrix is inconsistent: {type(error).__name__}") from None


def _invalid(message: str) -> LoadError:
    return LoadError(Reason.ARTIFACT_INVALID, f"model.skops: {message}")
