"""scikit-learn models from skops files: no code from the artifact runs, and nothing untrusted is built.

The types of the file are compared with skops' own list and ours before anything is built; the list that MLflow
writes into the artifact is the uploader's and is not read. Pickle and cloudpickle are refused unless the settings
trust them.
"""

import warnings
import zipfile
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any, Final

import numpy as np
import sklearn
import skops.io
from sklearn.base import is_classifier

from headgate_server import logs
from headgate_server.loaders import memory, pickled, requirements, tree_safety
from headgate_server.loaders.frames import FrameBuilder
from headgate_server.loaders.runtime import Output, OutputSpec
from headgate_server.mlmodel import Description, text
from headgate_server.reasons import LoadError, Reason
from headgate_server.settings import Requirements
from headgate_server.signature import Columns, Inputs, Tensor, Tensors
from headgate_server.validation import Batch

# Beyond skops' own list. Tree: see tree_safety, which makes it safe before the first prediction. Bunch: a dict whose
# keys read as attributes; voting and stacking keep their members in one.
TRUSTED: Final = frozenset({"sklearn.tree._tree.Tree", "sklearn.utils._bunch.Bunch"})
SKOPS: Final = "skops"
PICKLE: Final = "pickle"
SCHEMA: Final = "schema.json"
SCHEMA_FACTOR: Final = 12  # measured: bytes of Python objects a byte of JSON
METHODS: Final = ("predict", "predict_proba", "predict_log_proba", "decision_function")


class SklearnModel:
    """A fitted estimator."""

    def __init__(self, estimator: Any, described: Description, file_format: str = SKOPS) -> None:
        self.platform = f"sklearn_{file_format}"
        self.steady = file_format == SKOPS  # a pickle may hold code of its own
        self._estimator = estimator
        self._method = described.predict_fn
        self.runtime = f"scikit-learn {sklearn.__version__}"
        self.inputs: Inputs = described.signature.inputs or _inputs_of(estimator)
        self._frame = FrameBuilder(estimator, self.inputs)
        self.classes = tuple(_plain(c) for c in _classes(estimator))
        names = [self._method, *(m for m in ("predict", "predict_proba") if m != self._method)]
        self._methods = {name: name for name in names if hasattr(estimator, name)}
        declared = _declared_name(described)
        if declared:
            self._methods = {declared: self._method} | {n: m for n, m in self._methods.items() if m != self._method}
        self.default_outputs: tuple[str, ...] = (next(iter(self._methods)),)
        by_method = {method: name for name, method in self._methods.items()}
        self.label_output = by_method.get("predict", self.default_outputs[0])
        self.probability_output = by_method.get("predict_proba", "") if self.classes else ""
        self.outputs = [self._spec(name, method, described) for name, method in self._methods.items()]

    def run(self, batch: Batch, wanted: Sequence[str]) -> list[Output]:
        rows = self._frame.build(batch)
        return [Output(name, getattr(self._estimator, self._methods[name])(rows)) for name in wanted]

    def _spec(self, name: str, method: str, described: Description) -> OutputSpec:
        outputs = described.signature.outputs
        if method == self._method and isinstance(outputs, Tensors):
            return OutputSpec(name, outputs.tensors[0].datatype, outputs.tensors[0].shape)
        if method == self._method and isinstance(outputs, Columns) and len(outputs.columns) == 1:
            return OutputSpec(name, outputs.columns[0].datatype, (-1,))
        if method == "predict":
            text = bool(self.classes) and isinstance(self.classes[0], str)
            kind = "BYTES" if text else "INT64" if self.classes else "FP64"
            return OutputSpec(name, kind, (-1,))
        return OutputSpec(name, "FP64", (-1, len(self.classes) or -1))


def load(
    described: Description, policy: Requirements, *, trust_pickle: bool = False, trust_types: Set[str] = frozenset()
) -> SklearnModel:
    """The estimator of the model directory, or the reason why it is not served."""
    path, file_format = _file(described, trust_pickle)
    if described.predict_fn not in METHODS:
        raise LoadError(Reason.UNSUPPORTED_FLAVOR, f"predict_fn {described.predict_fn} is not served")
    requirements.check(described, policy, sklearn=sklearn.__version__, numpy=np.__version__)
    if file_format == PICKLE:
        estimator = _noting_warnings(lambda: pickled.load(path))
    else:
        estimator = _load_trusted(path, TRUSTED | trust_types)
        tree_safety.check(estimator)
    if not hasattr(estimator, described.predict_fn):
        raise LoadError(Reason.ARTIFACT_INVALID, f"the estimator has no {described.predict_fn}")
    return SklearnModel(estimator, described, file_format)


def _file(described: Description, trust_pickle: bool) -> tuple[Path, str]:
    """The model's file and its format."""
    fields = described.flavor_fields
    # LightGBM's flavor has another word for the same.
    key = "data" if described.flavor == "lightgbm" else "pickled_model"
    path = described.file(fields.get(key), key)
    given = text(fields.get("serialization_format"))
    # The stated format is the uploader's word; the file's first bytes decide. A skops file is a zip file.
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
    if given == SKOPS and is_zip:
        return path, SKOPS
    if given == SKOPS and path.suffix == ".skops":
        raise LoadError(Reason.ARTIFACT_INVALID, f"{path.name} is not a skops file")
    if trust_pickle and given in {"pickle", "cloudpickle"}:
        return path, PICKLE
    what = given if given in {"pickle", "cloudpickle"} else "not a skops file"
    raise LoadError(
        Reason.PICKLE_REFUSED,
        f"the model is {what}: loading it would run its code; log it with serialization_format='skops', "
        "or set HEADGATE_TRUST_PICKLE=true if you trust whoever can write to the registry",
    )


def _load_trusted(path: Path, trusted: Set[str]) -> Any:
    try:
        _check_size(path)
        untrusted = sorted(set(skops.io.get_untrusted_types(file=path)) - trusted)
        if untrusted:
            named = ", ".join(untrusted[:20]) + (f" and {len(untrusted) - 20} more" if len(untrusted) > 20 else "")
            raise LoadError(Reason.UNTRUSTED_TYPES, named)
        return _noting_warnings(lambda: skops.io.load(path, trusted=sorted(trusted)))
    except LoadError:
        raise
    except Exception as error:  # noqa: BLE001
        if memory.lacked(error):
            raise memory.lacking(path.name) from None
        # A hostile file can make the reader fail in any way; none of them is this process's end.
        raise LoadError(Reason.ARTIFACT_INVALID, f"{path.name} does not load: {type(error).__name__}") from None


def _check_size(path: Path) -> None:
    """A zip file of some kilobytes can hold gigabytes: what it unpacks to is known before it is unpacked."""
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    if max(sum(sizes.values()), SCHEMA_FACTOR * sizes.get(SCHEMA, 0)) > memory.available():
        raise memory.lacking(f"{path.name}, unpacked,")


def _noting_warnings(load: Callable[[], Any]) -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = load()
    for warned in caught:
        logs.warning("while loading", warning=str(warned.message)[:500])
    return made


def _inputs_of(estimator: Any) -> Inputs:
    """What the estimator itself says it takes, for a model without a signature."""
    from headgate_server.signature import Column

    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        return Columns(tuple(Column(str(name), "double") for name in names))
    width = getattr(estimator, "n_features_in_", -1)
    return Tensors((Tensor("input-0", "float64", (-1, int(width)), named=False),))


def _classes(estimator: Any) -> Sequence[Any]:
    classes = getattr(estimator, "classes_", None) if is_classifier(estimator) else None
    return list(classes) if isinstance(classes, np.ndarray) and classes.ndim == 1 else []


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _declared_name(described: Description) -> str:
    """The name that the signature gives the output, if it gives one."""
    outputs = described.signature.outputs
    if isinstance(outputs, Tensors) and len(outputs.tensors) == 1 and outputs.tensors[0].named:
        return outputs.tensors[0].name
    if isinstance(outputs, Columns) and len(outputs.columns) == 1:
        return outputs.columns[0].name
    return ""
