"""Input against the signature, compiled once at load: rows in, one numpy array a column or tensor out.

Strict: every unknown column, missing required column, lossy cast, wrong shape and non-finite number is refused.
The refusal names the column, what was expected and what came as a type, and never holds any of the data. No pandas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from headgate_server import values
from headgate_server.signature import Column, Columns, Inputs, Tensor, Tensors
from headgate_server.values import Mismatch

Array = npt.NDArray[Any]
MAX_DETAILS: Final = 20


@dataclass(frozen=True)
class Detail:
    """One thing wrong with the input: where, and what was expected and came."""

    field: str
    message: str


class InvalidInput(Exception):  # noqa: N818 - the client's mistake, answered with 400
    """The input does not fit the signature."""

    def __init__(self, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)


@dataclass(frozen=True)
class Batch:
    """Validated input: arrays by input name, in the signature's order, and how many rows they have."""

    arrays: Mapping[str, Array]
    rows: int


class Validator:
    """The compiled signature."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self._columns = {c.name: c for c in inputs.columns} if isinstance(inputs, Columns) else {}
        self._required = {name for name, column in self._columns.items() if column.required}
        self._tensors = {t.name: t for t in inputs.tensors} if isinstance(inputs, Tensors) else {}

    # -- what the protocols hand in ---------------------------------------------------------------------------

    def records(self, rows: Any) -> Batch:
        """A list of objects by column name."""
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise InvalidInput("expected a list of one or more objects")
        if not self._columns:
            return self._tensors_of_records(rows)
        return self._by_column(self._cells_of(rows), len(rows))

    def split(self, names: Any, rows: Any) -> Batch:
        """Rows as lists, with the column names given once."""
        if names is not None and (not isinstance(names, list) or not all(isinstance(n, str) for n in names)):
            raise InvalidInput("columns: expected a list of names")
        if not isinstance(rows, list) or not rows:
            raise InvalidInput("data: expected a list of one or more rows")
        if not self._columns:
            return self.tensor(rows)
        if names is None:
            return self.positional(rows)
        if len(set(names)) != len(names):
            raise InvalidInput("columns: a name stands there twice")
        self._check_width(rows, len(names))
        return self._by_column({name: [row[n] for row in rows] for n, name in enumerate(names)}, len(rows))

    def positional(self, rows: Any) -> Batch:
        """Rows as lists in the order of the signature."""
        if not self._columns:
            return self.tensor(rows)
        if not isinstance(rows, list) or not rows:
            raise InvalidInput("expected a list of one or more rows")
        self._check_width(rows, len(self._columns))
        return self._by_column({name: [row[n] for row in rows] for n, name in enumerate(self._columns)}, len(rows))

    def columns(self, by_name: Any) -> Batch:
        """A list of values by column name, or a nested list by tensor name."""
        if not isinstance(by_name, dict) or not by_name:
            raise InvalidInput("expected an object of lists by name")
        if not self._columns:
            return self._by_tensor(by_name)
        cells = {name: cell if isinstance(cell, list) else [cell] for name, cell in by_name.items()}
        lengths = {len(cell) for cell in cells.values()}
        if len(lengths) != 1 or lengths == {0}:
            raise InvalidInput("the columns differ in length, or are empty")
        return self._by_column(cells, lengths.pop())

    def tensor(self, nested: Any) -> Batch:
        """A nested list, for a model with one tensor."""
        if len(self._tensors) != 1:
            raise InvalidInput(f"expected an object with the inputs {', '.join(self._tensors)}")
        name = next(iter(self._tensors))
        return self._by_tensor({name: nested})

    def named(self, arrays: Mapping[str, tuple[Any, Sequence[int]]]) -> Batch:
        """Flat values with a shape by input name: what V2 sends."""
        if self._columns:
            return self._by_column({name: list(flat) for name, (flat, _) in arrays.items()}, _rows_of(arrays))
        self._check_names(set(arrays), set(self._tensors), set(self._tensors))
        made = {n: _element_array(t, list(arrays[n][0]), tuple(arrays[n][1])) for n, t in self._tensors.items()}
        return _batch_of_tensors(made)

    # -- columns ----------------------------------------------------------------------------------------------

    def _cells_of(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        names = {name: None for row in rows for name in row}
        # Before the cells are made: rows that each bring names of their own would make a square of them.
        self._check_names(set(names), set(self._columns), self._required)
        cells: dict[str, list[Any]] = {name: [] for name in names}
        for row in rows:
            for name, cell in cells.items():
                cell.append(row.get(name, _ABSENT))
        return cells

    def _by_column(self, cells: Mapping[str, Sequence[Any]], rows: int) -> Batch:
        self._check_names(set(cells), set(self._columns), self._required)
        arrays, details = {}, []
        for name, column in self._columns.items():
            try:
                arrays[name] = _column_array(column, cells.get(name, [_ABSENT] * rows))
            except _AtRow as wrong:
                details.append(Detail(name, f"row {wrong.row}: expected {_expected(column)}, got {wrong.got}"))
        if details:
            raise InvalidInput(f"{details[0].field}: {details[0].message}", details[:MAX_DETAILS])
        return Batch(arrays, rows)

    def _check_names(self, given: set[str], known: set[str], required: set[str]) -> None:
        details = [Detail(name, "missing") for name in sorted(required - given)]
        unknown = len(given - known)
        if unknown:
            # The unknown names come from the client and may be data: they are counted, not repeated.
            details.append(Detail("", f"{unknown} unknown; known are {', '.join(known and sorted(known))}"))
        if details:
            first = details[0]
            raise InvalidInput(f"{first.field}: {first.message}".removeprefix(": "), details[:MAX_DETAILS])

    def _check_width(self, rows: Sequence[Any], width: int) -> None:
        for n, row in enumerate(rows):
            if not isinstance(row, list):
                raise InvalidInput(f"row {n}: expected a list of {width} values, got {values.type_word(row)}")
            if len(row) != width:
                raise InvalidInput(f"row {n}: expected {width} values, got {len(row)}")

    # -- tensors ----------------------------------------------------------------------------------------------

    def _tensors_of_records(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        names = set(rows[0])
        if any(set(row) != names for row in rows):
            raise InvalidInput("the rows differ in their names")
        return self._by_tensor({name: [row[name] for row in rows] for name in names})

    def _by_tensor(self, nested: Mapping[str, Any]) -> Batch:
        self._check_names(set(nested), set(self._tensors), set(self._tensors))
        made = {}
        for name, tensor in self._tensors.items():
            flat: list[Any] = []
            shape = _flatten(nested[name], flat, name)
            made[name] = _element_array(tensor, flat, shape)
        return _batch_of_tensors(made)


class _Absent:
    """A cell that is not there at all, in a row that lacks the column."""


_ABSENT: Final = _Absent()


class _AtRow(Exception):  # noqa: N818 - a verdict on its way to a Detail
    def __init__(self, row: int, got: str) -> None:
        super().__init__(got)
        self.row = row
        self.got = got


def _expected(column: Column) -> str:
    return column.type if column.required else f"{column.type} or nothing"


def _column_array(column: Column, cell: Sequence[Any]) -> Array:
    check, dtype = values.OF_COLUMN[column.type]
    made = []
    for n, value in enumerate(cell):
        try:
            if value is None or value is _ABSENT:
                made.append(_nothing(column, value))
            else:
                made.append(check(value))
        except Mismatch as wrong:
            raise _AtRow(n, wrong.got) from None
    if dtype == "object":
        array = np.empty(len(made), dtype=object)
        array[:] = made
        return array
    with np.errstate(over="ignore"):
        return np.array(made, dtype=dtype)


def _nothing(column: Column, value: Any) -> Any:
    """What a model gets for an optional cell that is null or absent: NaN, None or NaT, where the type has one."""
    if column.required or column.type in {"boolean", "integer", "long"}:
        raise Mismatch("null" if value is None else "nothing")
    if column.type in {"float", "double"}:
        return float("nan")
    return np.datetime64("NaT") if column.type == "datetime" else None


def _flatten(nested: Any, flat: list[Any], name: str, depth: int = 0) -> tuple[int, ...]:
    """Collect the elements and return the shape; a ragged or too deep list is refused."""
    if not isinstance(nested, list):
        flat.append(nested)
        return ()
    if depth >= 16:
        raise InvalidInput(f"{name}: nested too deep")
    shapes = {_flatten(item, flat, name, depth + 1) for item in nested}
    if len(shapes) > 1:
        raise InvalidInput(f"{name}: the nested lists differ in length")
    return (len(nested), *(shapes.pop() if shapes else ()))


def _element_array(tensor: Tensor, flat: Sequence[Any], shape: tuple[int, ...]) -> Array:
    wanted = tensor.shape
    fits = len(shape) == len(wanted) and all(w in (-1, s) for w, s in zip(wanted, shape, strict=False))
    if not fits or 0 in shape:
        message = f"expected shape {list(wanted)}, got {list(shape)}"
        raise InvalidInput(f"{tensor.name}: {message}", [Detail(tensor.name, message)])
    check = values.of_dtype(tensor.dtype)
    try:
        made = [check(value) for value in flat]
    except Mismatch as wrong:
        message = f"expected {tensor.dtype}, got {wrong.got}"
        raise InvalidInput(f"{tensor.name}: {message}", [Detail(tensor.name, message)]) from None
    dtype = "object" if tensor.dtype in {"str", "object"} else tensor.dtype
    return np.array(made, dtype=dtype).reshape(shape)


def _batch_of_tensors(arrays: Mapping[str, Array]) -> Batch:
    counts = {array.shape[0] if array.ndim else 1 for array in arrays.values()}
    return Batch(arrays, min(counts) if counts else 0)


def _rows_of(arrays: Mapping[str, tuple[Any, Sequence[int]]]) -> int:
    """The common number of rows of V2 column inputs, each of shape [n] or [n, 1]."""
    counts = set()
    for name, (flat, shape) in arrays.items():
        if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
            raise InvalidInput(f"{name}: expected shape [n] or [n, 1], got {list(shape)}")
        counts.add(len(flat))
    if len(counts) > 1 or counts == {0}:
        raise InvalidInput("the inputs differ in length, or are empty")
    return counts.pop() if counts else 0
