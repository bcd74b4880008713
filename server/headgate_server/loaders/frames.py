"""Validated columns as the estimator wants them: one numpy matrix in the order of its fit, or a pandas frame.

An estimator that was fitted on a frame warns at every array it gets, so its feature names are taken away once their
order is settled here. Only a ColumnTransformer that picks columns by name really needs a frame: pandas is no
dependency of the server, so it is imported for such a model alone, and where it is not installed the model is
refused with the way out.
"""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer

from headgate_server.loaders.object_graph import reachable
from headgate_server.reasons import LoadError, Reason
from headgate_server.signature import Columns, Inputs, Tensors
from headgate_server.validation import Array, Batch

NUMBERS = {"integer", "long", "float", "double", "boolean"}


class FrameBuilder:
    """Decided once at load; `build` is all that a request pays."""

    def __init__(self, estimator: Any, inputs: Inputs) -> None:
        self._order: tuple[str, ...] = ()
        self._pandas: Any = None
        self._dtype: Any = None
        if isinstance(inputs, Tensors):
            if len(inputs.tensors) != 1:
                raise LoadError(
                    Reason.ARTIFACT_INVALID, "a scikit-learn model takes one tensor, the signature has more"
                )
            self._one = inputs.tensors[0].name
            _forget_names(estimator)
            return
        self._order = _fit_order(estimator, inputs)
        if _picks_by_name(estimator):
            self._pandas = _pandas()
            return
        types = {c.type for c in inputs.columns}
        if types <= NUMBERS:
            self._dtype = np.float32 if types == {"float"} else np.float64
            if types <= {"integer", "long"}:
                self._dtype = np.int64
        else:
            self._dtype = object
        _forget_names(estimator)

    def build(self, batch: Batch) -> Any:
        if not self._order:
            return batch.arrays[self._one]
        if self._pandas is not None:
            return self._pandas.DataFrame({name: batch.arrays[name] for name in self._order}, copy=False)
        matrix: Array = np.empty((batch.rows, len(self._order)), dtype=self._dtype)
        for n, name in enumerate(self._order):
            matrix[:, n] = batch.arrays[name]
        return matrix


def _fit_order(estimator: Any, inputs: Columns) -> tuple[str, ...]:
    """The columns in the order in which the estimator saw them: the signature's may be another."""
    fitted = getattr(estimator, "feature_names_in_", None)
    if fitted is None:
        width = getattr(estimator, "n_features_in_", len(inputs.names))
        if width != len(inputs.names):
            raise LoadError(
                Reason.ARTIFACT_INVALID, f"the signature has {len(inputs.names)} columns, the estimator takes {width}"
            )
        return inputs.names
    names = tuple(str(name) for name in fitted)
    missing = sorted(set(names) - set(inputs.names))
    if missing:
        raise LoadError(Reason.ARTIFACT_INVALID, f"the signature lacks columns of the estimator: {', '.join(missing)}")
    return names


def _picks_by_name(estimator: Any) -> bool:
    return any(
        _has_text(columns)
        for item in reachable(estimator)
        if isinstance(item, ColumnTransformer)
        for _, _, columns in getattr(item, "transformers_", item.transformers)
    )


def _has_text(columns: Any) -> bool:
    if isinstance(columns, str):
        return True
    try:
        return any(isinstance(name, str) for name in columns)
    except TypeError:
        return False


def _forget_names(estimator: Any) -> None:
    for item in reachable(estimator):
        if "feature_names_in_" in getattr(item, "__dict__", {}):
            del item.__dict__["feature_names_in_"]


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError:
        raise LoadError(
            Reason.UNSUPPORTED_FLAVOR,
            "the model picks columns by name and needs pandas, which this image does not have: "
            "install pandas beside headgate[server], or fit the ColumnTransformer with column numbers",
        ) from None
    return pd
