"""How fast a model is and whether rows may share a call: measured once at load, for the decisions of every request.

A call on the event loop saves two changes of thread but holds up everything else, so only a model whose time does not
hang on its input's values and that was measured to be quick runs there. Rows of several requests go through the model
together only if a trial showed that company changes no row's answer.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from headgate_server.loaders.runtime import Model, Output
from headgate_server.merging import NotMergeable, merged, parted
from headgate_server.signature import Columns, Inputs, Tensor
from headgate_server.validation import Array, Batch

INLINE_SECONDS: Final = 0.001
MANY_ROWS, FEW_ROWS = 16, 4
FEW_SECONDS: Final = 0.005  # of a model that takes so long for a row, few are tried
LONG_SECONDS: Final = 0.5  # and of one that takes so long, none: it shall be ready some day
TRIES: Final = 3
# Two ways to add up the same numbers differ in the last bits of a float; another row's answer differs in the first.
TOLERANCE: Final = 1e-5


@dataclass
class Pace:
    """What a model was seen to do. `inline` is taken away for good by the first call that was slow after all."""

    inline: bool = False
    mergeable: bool = False
    first: float = 0.0  # seconds of a call with one row
    more: float = 0.0  # seconds of each row beyond
    elements: int = 1  # values in one row; a longer row counts as several

    def rows(self, batch: Batch) -> float:
        """The rows, or how many of the measured size they amount to."""
        if self.elements == 1 or batch.rows == 0:
            return batch.rows
        elements = 0
        for array in batch.arrays.values():
            elements += array.size
        return max(batch.rows, elements / self.elements)

    def seconds(self, rows: float) -> float:
        return self.first + self.more * max(0.0, rows - 1)


def measured(model: Model) -> Pace:
    """Run the model on rows made up from its signature; one that does not take them stays in a thread, alone."""
    try:
        one = _row(model.inputs, 0)
        pace = Pace(elements=max(1, sum(array.size for array in one.arrays.values())))
        pace.first = pace.more = _seconds(model, one)
        if _growing(model.inputs) and pace.first < LONG_SECONDS:
            rows = [_row(model.inputs, n) for n in range(MANY_ROWS if pace.first < FEW_SECONDS else FEW_ROWS)]
            pace.more = max(0.0, _seconds(model, merged(rows)) - pace.first) / (len(rows) - 1)
            pace.mergeable = _adds_up(model, rows)
        pace.inline = model.steady and pace.first <= INLINE_SECONDS
    except Exception:  # noqa: BLE001 - a model may raise anything at made-up values; nothing is concluded from it
        return Pace()
    return pace


def _seconds(model: Model, batch: Batch) -> float:
    """The best of a few: the first call is a slow one, and others may share the machine."""
    best = float("inf")
    for _ in range(TRIES):
        began = time.perf_counter()
        model.run(batch, model.default_outputs)
        best = min(best, time.perf_counter() - began)
        if best > LONG_SECONDS:
            break
    return best


def _adds_up(model: Model, rows: list[Batch]) -> bool:
    """f(many rows) = the f(row) one after the other, for every output and in two orders."""
    wanted = [spec.name for spec in model.outputs]
    alone = [model.run(row, wanted) for row in rows]
    for order in (range(len(rows)), range(len(rows) - 1, -1, -1), range(2)):
        chosen = [rows[n] for n in order]
        try:
            shares = parted(model.run(merged(chosen), wanted), [row.rows for row in chosen])
        except NotMergeable:
            return False
        if not all(_same(share, alone[n]) for share, n in zip(shares, order, strict=True)):
            return False
    return True


def _same(one: list[Output], other: list[Output]) -> bool:
    return all(a.name == b.name and _alike(a.values, b.values) for a, b in zip(one, other, strict=True))


def _alike(one: Any, other: Any) -> bool:
    match one:
        case np.ndarray():
            if not isinstance(other, np.ndarray) or one.shape != other.shape or one.dtype != other.dtype:
                return False
            if one.dtype.kind == "f":
                # By the size of what the row says: near zero everything would be alike.
                largest = float(np.max(np.abs(other), where=np.isfinite(other), initial=0.0))
                return bool(np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * largest, equal_nan=True))
            return bool((one == other).all())
        case list() | tuple():
            return len(one) == len(other) and all(_alike(a, b) for a, b in zip(one, other, strict=True))
        case dict():
            return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
        case float():
            return _alike(np.array(one), np.array(other))
        case _:
            return bool(one == other)


def _growing(inputs: Inputs) -> bool:
    """Whether the first dimension of every input is free."""
    return isinstance(inputs, Columns) or all(t.shape and t.shape[0] == -1 for t in inputs.tensors)


def _row(inputs: Inputs, seed: int) -> Batch:
    """A made-up row, another one for each seed; the first is of zeros."""
    draw = np.random.default_rng(seed)
    if isinstance(inputs, Columns):
        arrays: dict[str, Array] = {c.name: _values(COLUMN_DTYPES[c.type], (1,), draw, seed) for c in inputs.columns}
    else:
        arrays = {
            t.name: _values(_dtype(t), tuple(1 if d == -1 else d for d in t.shape), draw, seed) for t in inputs.tensors
        }
    return Batch(arrays, 1)


COLUMN_DTYPES: Final[Mapping[str, str]] = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "text",
    "binary": "bytes",
    "datetime": "datetime64[ns]",
}


def _dtype(tensor: Tensor) -> str:
    return "text" if tensor.dtype in {"str", "object"} else tensor.dtype


def _values(dtype: str, shape: tuple[int, ...], draw: np.random.Generator, seed: int) -> Array:
    if dtype in {"text", "bytes"}:
        made: Array = np.empty(shape, dtype=object)
        made[...] = ("a" * seed) if dtype == "text" else (b"a" * seed)
        return made
    if dtype == "bool":
        return np.full(shape, seed % 2 == 1)
    if dtype.startswith("datetime"):
        return np.full(shape, seed * 86_400_000_000_000).astype(dtype)
    if dtype.startswith("float"):
        return (draw.normal(size=shape) * seed).astype(dtype)
    return draw.integers(0, seed + 1, size=shape).astype(dtype)
