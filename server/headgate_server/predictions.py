"""What is predicted, as plain integers in bins: the canary compares the bins of two versions.

No process knows the others, and versions may know different classes. So a bin depends on the prediction alone (a number
on a fixed ladder), or on that and the classes of the model (names; labels that are unknown or too many, by their hash).
Of a batch one row counts: requests are what traffic is split by, and the rows of one request resemble each other.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final
from zlib import crc32

import numpy as np

from headgate_server.contract import PREDICTION_LAST_STEP, PREDICTION_LEAST_EXPONENT, PREDICTION_STEPS_PER_DOUBLING
from headgate_server.loaders.runtime import Model, Output

Bin = str | int
MOST_NAMES: Final = 20
HASHES: Final = 20
LONGEST_NAME: Final = 40
SMALL: Final = range(-1, 32)
"""Whole numbers that are classes rather than quantities; -1 is what outlier detectors say."""
ONE_ROW: Final = ((1,), (1, 1))
CLASSES: Final = {number: str(number) for number in SMALL}
NO_NUMBER: Final = "not a number"


class PredictionCounts:
    """One prediction of every answered request, since the process began."""

    def __init__(self) -> None:
        self.bins: Counter[Bin] = Counter()
        self._turn = 0

    def predicted(self, outputs: Sequence[Output], model: Model, class_names: Sequence[str]) -> None:
        """Nothing is counted where the label was not asked for, or a row of it is more than one value."""
        for output in outputs:
            if output.name == model.label_output:
                self._turn += 1
                found = _class_of(output.values) or bin_of(_row(output.values, self._turn), class_names)
                if found is not None:
                    self.counted(found)

    def counted(self, found: Bin) -> None:
        self.bins[found] += 1

    def as_json(self) -> list[tuple[Bin, int]]:
        return sorted(self.bins.items(), key=lambda item: (isinstance(item[0], str), item[0]))

    def words(self) -> Iterator[tuple[str, int]]:
        """For people: numbers by doubling only, so that a metric has few series."""
        told: Counter[str] = Counter()
        for found, count in self.as_json():
            told[found if isinstance(found, str) else doubling(found)] += count
        yield from told.items()


def _class_of(values: Any) -> str | None:
    """The commonest prediction, one number of a class, without the questions that others need."""
    if isinstance(values, np.ndarray) and values.shape in ONE_ROW and values.dtype.kind == "i":
        return CLASSES.get(values.item())
    return None


def _row(values: Any, turn: int) -> Any:
    """Another row at each turn: the first one of a sorted batch would be all that is ever seen."""
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return values[turn % len(values)] if len(values) else _NOTHING
    if isinstance(values, list) and values:
        return values[turn % len(values)]
    return _NOTHING


_NOTHING: Final = object()


def bin_of(value: Any, names: Sequence[str]) -> Bin | None:
    """A name or a step of the ladder; None for what is no single value."""
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case bool():
            return str(value).lower()
        case int() if value in SMALL:
            return str(value)
        case float() if not math.isfinite(value):
            return NO_NUMBER
        case int() | float():
            return step(value)
        case str():
            known = len(names) <= MOST_NAMES and value in names and len(value) <= LONGEST_NAME
            # What cannot be printed cannot be told either: lone surrogates are no JSON.
            if known and value.isprintable() and value:
                return value
            return hashed(value)
        case None:
            return NO_NUMBER
        case _:
            return None


def hashed(text: str) -> str:
    return f"~{crc32(text.encode('utf-8', 'surrogatepass')) % HASHES}"


def step(number: float) -> int:
    """0 for nearly nothing; else 1, 2, ... from there on, with the number's sign."""
    size = abs(number)
    if size < 2.0**PREDICTION_LEAST_EXPONENT:
        return 0
    steps = math.floor(PREDICTION_STEPS_PER_DOUBLING * (math.log2(size) - PREDICTION_LEAST_EXPONENT)) + 1
    return min(steps, PREDICTION_LAST_STEP) * (1 if number > 0 else -1)


def doubling(at: int) -> str:
    """The range of a step's doubling, from what is nearer to zero: "2 to 4", "-2 to -4"."""
    if at == 0:
        return "0"
    low = 2.0 ** ((abs(at) - 1) // PREDICTION_STEPS_PER_DOUBLING + PREDICTION_LEAST_EXPONENT)
    sign = "" if at > 0 else "-"
    return f"{sign}{low:g} to {sign}{2 * low:g}"
