"""What is compared of two versions' predictions: about ten bins, found in what stable said before anything is compared.

The servers count by class, or on a fine ladder of numbers that fits every model and none. Here the ladder's steps are
put together so that each bin holds a tenth of what stable said, with one below and one above all of it; of classes the
nine most frequent ones have a bin each. What is left over is in the last bin: a class that stable never gave is there.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from headgate_operator.contract import PREDICTION_LEAST_EXPONENT, PREDICTION_STEPS_PER_DOUBLING
from headgate_operator.core.evidence.interval import Predicted

LARGE: Final = 10
"""Bins that share stable's predictions evenly."""


@dataclass(frozen=True, slots=True)
class Bins:
    edges: tuple[int, ...] = ()  # numbers: the first step of each bin but the first
    labels: tuple[str, ...] = ()  # classes; one of the two is empty

    @classmethod
    def of(cls, predicted: Predicted) -> Self:
        """From what stable said: by classes if most of it was classes."""
        numbers = sorted((step, count) for step, count in predicted if not isinstance(step, str))
        classes = [(label, count) for label, count in predicted if isinstance(label, str)]
        if total(classes) >= total(numbers):
            frequent = sorted(classes, key=lambda item: (-item[1], item[0]))
            return cls(labels=tuple(label for label, _ in frequent[: LARGE - 1]))
        return cls(edges=tuple(sorted({numbers[0][0], numbers[-1][0] + 1, *_quantiles(numbers)})))

    @property
    def size(self) -> int:
        return len(self.labels) + 1 if self.labels else len(self.edges) + 2

    def counted(self, predicted: Predicted) -> tuple[float, ...]:
        """Of up to some hundred steps at each look: without a call for each."""
        counts, edges = [0.0] * self.size, self.edges
        index = {label: at for at, label in enumerate(self.labels)}
        for found, count in predicted:
            if isinstance(found, str):
                counts[index.get(found, -1)] += count
            else:
                counts[bisect_right(edges, found) if edges else -1] += count
        return tuple(counts)

    def words(self, index: int) -> str:
        if index == self.size - 1:
            return "others" if self.labels else "what is no number"
        if self.labels:
            label = self.labels[index]
            return f"group {label}" if label.startswith("~") else f"class {label}"
        if index == 0:
            return f"below {_lowest(self.edges[0]):.3g}"
        if index == len(self.edges):
            return f"{_lowest(self.edges[-1]):.3g} and more"
        return f"{_lowest(self.edges[index - 1]):.3g} to {_lowest(self.edges[index]):.3g}"

    @property
    def text(self) -> str:
        """Names as they are: escaped, they would outgrow the field."""
        told = self.labels or self.edges
        return json.dumps(told, separators=(",", ":"), ensure_ascii=False) if told else ""

    @classmethod
    def read(cls, text: str) -> Self | None:
        """None where there is none yet; ValueError for what is none."""
        if not text:
            return None
        found = json.loads(text)
        if isinstance(found, list) and found and len(set(map(str, found))) == len(found) <= LARGE + 1:
            if all(isinstance(one, str) for one in found):
                return cls(labels=tuple(found))
            if all(type(one) is int for one in found) and found == sorted(found):
                return cls(edges=tuple(found))
        raise ValueError(f"not bins: {text[:80]!r}")


def total(predicted: Iterable[tuple[object, float]]) -> float:
    return sum(count for _, count in predicted)


def _quantiles(numbers: Sequence[tuple[int, float]]) -> list[int]:
    whole, below = total(numbers), 0.0
    edges: list[int] = []
    for step, count in numbers:
        below += count
        while len(edges) < LARGE - 1 and below > whole * (len(edges) + 1) / LARGE:
            edges.append(step)
    return edges


def _lowest(step: int) -> float:
    """The smallest number that is counted on a step."""
    if step == 0:
        return 0.0
    at = (step - 1 if step > 0 else -step) / PREDICTION_STEPS_PER_DOUBLING + PREDICTION_LEAST_EXPONENT
    return float(2.0**at if step > 0 else -(2.0**at))
