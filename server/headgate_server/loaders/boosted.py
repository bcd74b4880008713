"""Boosted trees behind one matrix of numbers, in the order of columns in which the trees were grown."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from headgate_server.loaders import memory
from headgate_server.loaders.runtime import Output, OutputSpec
from headgate_server.mlmodel import Description
from headgate_server.reasons import LoadError, Reason
from headgate_server.signature import Column, Columns, Inputs, Tensor, Tensors
from headgate_server.validation import Array, Batch

NUMBERS: Final = {"integer", "long", "float", "double", "boolean"}
Predict = Callable[[Array], Array]


class NotServed(Exception):  # noqa: N818 - a verdict on a good file
    """The file is as it should be, of models that are not served; the message says which."""


def refusal(error: Exception, file: str, library: str) -> LoadError:
    """What is told of a file that was not taken, whatever was raised on it."""
    if isinstance(error, NotServed):
        return LoadError(Reason.UNSUPPORTED_FLAVOR, f"{error} are not served")
    if memory.lacked(error):
        return memory.lacking(file)
    said = f": {error}" if isinstance(error, ValueError) else ""
    return LoadError(Reason.ARTIFACT_INVALID, f"{file} is not a model of {library}'s: {type(error).__name__}{said}")


class BoostedModel:
    """Trees behind a function from a matrix to a vector, or to a matrix with a column a class."""

    steady = True  # the time does not hang on the values

    def __init__(
        self, described: Description, names: Sequence[str] | None, width: int, *, platform: str, runtime: str
    ) -> None:
        self.platform, self.runtime = platform, runtime
        self.inputs: Inputs = described.signature.inputs or _inputs(names, width)
        self._order = _order(self.inputs, names, width)
        self._outputs: dict[str, Predict] = {}
        self.classes: tuple[Any, ...] = ()
        self.outputs: list[OutputSpec] = []
        self.default_outputs: tuple[str, ...] = ()
        self.label_output = self.probability_output = ""

    def answers(self, predict: Predict, spec: OutputSpec) -> None:
        """The output of the model's `predict`."""
        self._outputs[spec.name] = predict
        self.outputs.append(spec)
        self.default_outputs, self.label_output = (spec.name,), spec.name

    def also(self, classes: int, probabilities: Predict) -> None:
        """What a classifier adds."""
        self.classes = tuple(range(classes))
        self.probability_output = "predict_proba"
        self._outputs[self.probability_output] = probabilities
        self.outputs.append(OutputSpec(self.probability_output, "FP32", (-1, classes)))

    def run(self, batch: Batch, wanted: Sequence[str]) -> list[Output]:
        if len(self._order) == 1:
            rows = np.ascontiguousarray(batch.arrays[self._order[0]], dtype=np.float64).reshape(batch.rows, -1)
        else:
            rows = np.empty((batch.rows, len(self._order)), dtype=np.float64)
            for n, name in enumerate(self._order):
                rows[:, n] = batch.arrays[name]
        return [Output(name, self._outputs[name](rows)) for name in wanted]


def _inputs(names: Sequence[str] | None, width: int) -> Inputs:
    """What the trees themselves say, for a model without a signature."""
    if names is not None:
        return Columns(tuple(Column(name, "double") for name in names))
    return Tensors((Tensor("input-0", "float64", (-1, width), named=False),))


def _order(inputs: Inputs, names: Sequence[str] | None, width: int) -> tuple[str, ...]:
    """The inputs side by side as the trees number them: the signature's order may be another."""
    if isinstance(inputs, Tensors):
        shape = inputs.tensors[0].shape
        if len(inputs.tensors) != 1 or len(shape) != 2 or shape[1] not in (-1, width):
            raise LoadError(Reason.ARTIFACT_INVALID, f"the signature is not one tensor of {width} columns")
        return (inputs.tensors[0].name,)
    other = sorted({column.type for column in inputs.columns} - NUMBERS)
    if other:
        raise LoadError(
            Reason.UNSUPPORTED_FLAVOR, f"columns of the type {other[0]} are not served to trees: numbers are"
        )
    if names is not None and set(names) == set(inputs.names):
        return tuple(names)
    if len(inputs.names) != width:
        raise LoadError(
            Reason.ARTIFACT_INVALID, f"the signature has {len(inputs.names)} columns, the trees take {width}"
        )
    if names is not None:
        missing = ", ".join(sorted(set(names) - set(inputs.names)))
        raise LoadError(Reason.ARTIFACT_INVALID, f"the signature lacks columns of the trees: {missing}")
    return inputs.names
