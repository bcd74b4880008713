"""LightGBM's text format, read, checked, and written anew from what was checked.

LightGBM trusts its file: it follows the indices of nodes, features, leaves and categories without looking, and takes
sizes at their word. So it never sees the file. What is not in the tables here is refused: ValueError says what cannot
be, NotServed what is not served. Time and memory are a multiple of the file's size, whatever its numbers say.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from headgate_server.loaders.boosted import NotServed

MAX_CLASSES: Final = 10_000
MAX_FEATURES: Final = 1 << 20
VERSIONS: Final = {"v3", "v4"}
# What an objective may say after its name. The number of classes is that of the outputs, which are 1 without it.
OBJECTIVES: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("poisson", "gamma", "tweedie", "huber", "lambdarank", "rank_xendcg"), ()),
    **dict.fromkeys(("cross_entropy", "cross_entropy_lambda"), ()),
    **dict.fromkeys(("regression", "regression_l1", "fair", "quantile", "mape"), ("sqrt",)),
    "binary": ("sigmoid",),
    "multiclass": ("num_class",),
    "multiclassova": ("num_class", "sigmoid"),
}
HEAD: Final = {
    *("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective"),
    *("average_output", "feature_names", "monotone_constraints", "feature_infos", "tree_sizes"),
}
BY_NODE: Final = ("split_gain", "internal_value", "internal_weight", "internal_count")  # not needed to predict
BY_LEAF: Final = ("leaf_weight", "leaf_count")  # nor these
TREE: Final = {
    *("num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child"),
    *("leaf_value", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage", *BY_NODE, *BY_LEAF),
}
CATEGORICAL: Final = 1
# One bit says that it is a set of categories, else one the side of what is missing; and three ways to tell that.
DECISIONS: Final = (0, 1, 2, 4, 5, 6, 8, 9, 10)
CATEGORIES: Final = "pandas_categorical:"
# Possessive: a line of any length is read once, and nothing is kept of the way.
WHOLE: Final = re.compile(r"-?[0-9]{1,10}(?: -?[0-9]{1,10})*+")
NUMBER: Final = r"-?[0-9]{1,24}(?:\.[0-9]{1,24})?(?:e[-+]?[0-9]{1,3})?"
NUMBERS: Final = re.compile(f"{NUMBER}(?: {NUMBER})*+")


@dataclass(frozen=True)
class Checked:
    """A booster that is safe to run: `text` is for LightGBM."""

    text: str
    names: tuple[str, ...]
    outputs: int


def checked(content: bytes) -> Checked:
    """The model of the file."""
    body, end, tail = content.decode("utf-8").partition("\nend of trees\n")
    _demand(bool(end), "a file without an end of trees")
    _tail(tail)
    head, *trees = body.split("\nTree=")
    kind, _, head = head.partition("\n")
    _demand(kind == "tree", "the head")
    try:
        made = _head(_fields(head, HEAD), trees)
        features = len(made.names)
        parts = [_tree(number, tree, features) for number, tree in enumerate(trees)]
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is missing") from None
    return Checked("\n\n".join([made.text, *parts, "end of trees\n"]), made.names, made.outputs)


def _tail(tail: str) -> None:
    """The last line says which categories pandas' columns had; it is always there, so what breaks off is seen."""
    last = tail.rstrip().rpartition("\n")[2]
    given = last.removeprefix(CATEGORIES)
    _demand(given != last and (given == "null" or given[:1] + given[-1:] == "[]"), "an end without pandas_categorical")
    if given not in {"null", "[]"}:
        # The trees split on positions in that list, and a signature has no columns of pandas' categories.
        raise NotServed("models trained on categories of pandas (train on their codes)")


def _head(fields: dict[str, str], trees: list[str]) -> Checked:
    if fields["version"] not in VERSIONS:
        raise NotServed("models of this version of LightGBM's format")
    outputs, last = _one(fields["num_tree_per_iteration"]), _one(fields["max_feature_idx"])
    _demand(0 < outputs <= MAX_CLASSES and _one(fields["num_class"]) == outputs, "the number of classes")
    _demand(0 <= last < MAX_FEATURES, "the number of features")
    names = tuple(fields["feature_names"].split(" "))
    _demand(len(names) == len(set(names)) == last + 1 and all(names), "the names of features")
    _demand(_count(fields["feature_infos"]) == len(names), "feature_infos")
    _demand(len(trees) > 0 and len(trees) % outputs == 0, "the number of trees")
    if "tree_sizes" in fields:
        sizes = _whole(fields["tree_sizes"])
        # Each with the word that it was split at, and the line's end before the next one.
        _demand(sizes.tolist() == [len(f"Tree={tree}\n") for tree in trees], "the sizes of trees")
    lines = [
        "tree\nversion=v4",
        f"num_class={outputs}",
        f"num_tree_per_iteration={outputs}",
        "label_index=0",
        f"max_feature_idx={last}",
        *([f"objective={_objective(fields['objective'], outputs)}"] if "objective" in fields else []),
        *(["average_output"] if "average_output" in fields else []),
        "feature_names=" + " ".join(f"f{number}" for number in range(last + 1)),
        "feature_infos=" + " ".join(["none"] * (last + 1)),
    ]
    return Checked("\n".join(lines), names, outputs)


def _objective(words: str, outputs: int) -> str:
    """It turns sums into answers, as many as it says itself."""
    name, *given = words.split(" ")
    if name not in OBJECTIVES:
        raise NotServed("models with this objective")
    said = dict(word.partition(":")[::2] for word in given)
    wanted = OBJECTIVES[name]
    _demand(tuple(said) == wanted or (not given and wanted == ("sqrt",)), "the objective")
    _demand(len(said) == len(given) and ("sqrt" not in said or given == ["sqrt"]), "the objective")
    _demand(said.get("num_class", "1") == str(outputs), "the classes of the objective")
    _demand(_numbers(said.get("sigmoid", "1")).item() > 0, "the sigmoid of the objective")
    return words


def _tree(number: int, text: str, features: int) -> str:
    given, _, text = text.partition("\n")
    _demand(given == str(number), "the number of a tree")
    if "\nis_linear=1\n" in text:
        raise NotServed("trees with linear leaves")
    fields = _fields(text, TREE)
    _demand(fields.get("is_linear", "0") == "0", "is_linear")
    values = _numbers(fields["leaf_value"])
    leaves, inner = values.size, values.size - 1
    _demand(leaves > 0 and _one(fields["num_leaves"]) == leaves, "the number of leaves")
    lines = [f"Tree={number}\nnum_leaves={leaves}"]
    if inner:
        for name in BY_NODE + BY_LEAF:
            _demand(_count(fields.get(name, "")) in (0, leaves - (name in BY_NODE)), name)
        lines += _nodes(fields, inner, features)
    else:
        _demand(_one(fields["num_cat"]) == 0, "categories of a tree without nodes")
        lines += ["num_cat=0"]
    return "\n".join([*lines, f"leaf_value={_words(values)}", "is_linear=0", "shrinkage=1"])


def _nodes(fields: dict[str, str], inner: int, features: int) -> list[str]:
    left, right = _whole(fields["left_child"]), _whole(fields["right_child"])
    split, decisions = _whole(fields["split_feature"]), _whole(fields["decision_type"])
    thresholds = _numbers(fields["threshold"])
    _demand(left.size == right.size == split.size == decisions.size == thresholds.size == inner, "the sizes of a tree")
    _walkable(left, right)
    _demand(bool(((split >= 0) & (split < features)).all()), "a feature that is not there")
    _demand(bool(np.isin(decisions, DECISIONS).all()), "the way of a decision")
    categories, lines = _categories(fields, inner)
    chosen = thresholds[(decisions & CATEGORICAL) != 0]
    _demand(bool(((chosen >= 0) & (chosen < categories) & (chosen == chosen // 1)).all()), "a set of categories")
    return [
        *lines,
        f"split_feature={_words(split)}",
        f"threshold={_words(thresholds)}",
        f"decision_type={_words(decisions)}",
        f"left_child={_words(left)}",
        f"right_child={_words(right)}",
    ]


def _walkable(left: Any, right: Any) -> None:
    """Each node and each leaf has one parent, and a node comes after its own: from the root every walk ends."""
    inner = left.size
    for children in (left, right):
        _demand(bool(((children < 0) | (children > np.arange(inner))).all()), "a child that comes before its parent")
    every = np.concatenate([np.arange(-inner - 1, 0), np.arange(1, inner)])
    _demand(np.array_equal(np.sort(np.concatenate([left, right])), every), "a child that is not there, or twice")


def _categories(fields: dict[str, str], inner: int) -> tuple[int, list[str]]:
    """How many sets of categories, and their bits."""
    count = _one(fields["num_cat"])
    _demand(0 <= count <= inner, "the number of sets of categories")
    if not count:
        _demand("cat_boundaries" not in fields and "cat_threshold" not in fields, "categories of no set")
        return 0, ["num_cat=0"]
    edges, bits = _whole(fields["cat_boundaries"]), _whole(fields["cat_threshold"])
    _demand(edges.size == count + 1 and edges[0] == 0 and edges[-1] == bits.size, "the sizes of sets of categories")
    _demand(bool((np.diff(edges) >= 0).all()), "the order of sets of categories")
    _demand(bool(((bits >= 0) & (bits < 1 << 32)).all()), "the bits of a set of categories")
    return count, [f"num_cat={count}", f"cat_boundaries={_words(edges)}", f"cat_threshold={_words(bits)}"]


def _fields(text: str, known: set[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        name, _, value = line.partition("=")
        if line:
            _demand(name in known, "a field that is not known")
            _demand(name not in fields, f"{name} twice")
            fields[name] = value
    return fields


def _one(word: str) -> int:
    number = _whole(word)
    _demand(number.size == 1, "a number")
    return int(number[0])


def _whole(words: str) -> Any:
    _demand(WHOLE.fullmatch(words) is not None, "a whole number")
    return np.fromstring(words, dtype=np.int64, sep=" ")


def _numbers(words: str) -> Any:
    _demand(NUMBERS.fullmatch(words) is not None, "a number")
    numbers = np.fromstring(words, dtype=np.float64, sep=" ")
    _demand(bool(np.isfinite(numbers).all()), "a number without end")
    return numbers


def _count(words: str) -> int:
    return words.count(" ") + 1 if words else 0


def _words(numbers: Any) -> str:
    return " ".join(map(repr, numbers.tolist()))


def _demand(good: bool, what: str) -> None:
    if not good:
        raise ValueError(f"{what} cannot be")
