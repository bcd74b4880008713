"""Input against the signature, compiled once at load: rows in, one numpy array a column or tensor out.

Strict: every unknown column, missing required column, lossy cast, wrong shape and non-finite number is refused.
Compatible: MLflow's verdicts (see lenient). A refusal names the column, what was expected and what came as a type,
and never holds any of the data. No pandas.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from headgate_server import lenient as lenient_values
from headgate_server import rules as rule_file
from headgate_server import uniform, values
from headgate_server.rules import Rules
from headgate_server.signature import Column, Columns, Inputs, Param, Tensor, Tensors
from headgate_server.values import Mismatch

Array = npt.NDArray[Any]
MAX_DETAILS: Final = 20


@dataclass(frozen=True)
class Detail:
    """One thing wrong with the input: where, and what was expected and came."""

    field: str
    message: str


class InvalidInput(Exception):  # noqa: N818 - the client's mistake, answered with 400
    """The input does not fit the signature.

    `unreadable`: not even its form, or one of its values, could be taken for input. MLflow has another error code
    for that than for well-formed input that does not fit.
    """

    def __init__(self, message: str, details: Sequence[Detail] = (), *, unreadable: bool = False) -> None:
        super().__init__(message)
        self.unreadable = unreadable
        self.message = message
        self.details = tuple(details)


class Batch(NamedTuple):
    """Validated input: arrays by input name, in the signature's order, and how many rows they have."""

    arrays: Mapping[str, Array]
    rows: int


class Validator:
    """The compiled signature."""

    def __init__(
        self,
        inputs: Inputs,
        *,
        lenient: bool = False,
        rules: Rules = rule_file.NONE,
        params: Sequence[Param] = (),
    ) -> None:
        self.inputs = inputs
        self.lenient = lenient
        self.params = {param.name: param for param in params}
        self.rules = rules
        self._columns = {c.name: c for c in inputs.columns} if isinstance(inputs, Columns) else {}
        self._required = {name for name, column in self._columns.items() if column.required}
        self._tensors = {t.name: t for t in inputs.tensors} if isinstance(inputs, Tensors) else {}
        items: Sequence[Column | Tensor] = inputs.columns if isinstance(inputs, Columns) else inputs.tensors
        self.datatypes = {item.name: item.datatype for item in items}
        """What V2 calls the type of each input."""
        first = inputs.tensors[0] if isinstance(inputs, Tensors) and len(inputs.tensors) == 1 else None
        self.unnamed = first.name if first is not None and not first.named else None
        """Our name for MLflow's tensor without one."""
        of = lenient_values if lenient else values
        self._of_column = {name: of.OF_COLUMN[column.type] for name, column in self._columns.items()}
        self._of_tensor = {name: of.of_dtype(tensor.dtype) for name, tensor in self._tensors.items()}
        self._uniform = None if lenient or rules else uniform.compiled(inputs)

    # -- what the protocols hand in ---------------------------------------------------------------------------

    def records(self, rows: Any) -> Batch:
        """A list of objects by column name."""
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise InvalidInput("expected a list of one or more objects", unreadable=True)
        if not self._columns:
            return self._tensors_of_records(rows)
        return self._by_column(self._cells_of(rows), len(rows))

    def split(self, names: Any, rows: Any) -> Batch:
        """Rows as lists, with the column names given once."""
        if names is not None and (not isinstance(names, list) or not all(isinstance(n, str) for n in names)):
            raise InvalidInput("columns: expected a list of names", unreadable=True)
        if not isinstance(rows, list) or not rows:
            raise InvalidInput("data: expected a list of one or more rows", unreadable=True)
        if not self._columns:
            return self.tensor(rows)
        if names is None or (self._uniform is not None and names == self._uniform.names):
            return self.positional(rows)
        if len(set(names)) != len(names):
            raise InvalidInput("columns: a name stands there twice", unreadable=True)
        self._check_width(rows, len(names))
        return self._by_column({name: [row[n] for row in rows] for n, name in enumerate(names)}, len(rows))

    def positional(self, rows: Any) -> Batch:
        """Rows as lists in the order of the signature."""
        if not self._columns:
            return self.tensor(rows)
        if not isinstance(rows, list) or not rows:
            raise InvalidInput("expected a list of one or more rows", unreadable=True)
        if self._uniform is not None and (read := uniform.columns(rows, self._uniform)) is not None:
            return Batch(read, len(rows))
        self._check_width(rows, len(self._columns))
        return self._by_column({name: [row[n] for row in rows] for n, name in enumerate(self._columns)}, len(rows))

    def columns(self, by_name: Any) -> Batch:
        """A list of values by column name, or a nested list by tensor name."""
        if not isinstance(by_name, dict) or not by_name:
            raise InvalidInput("expected an object of lists by name", unreadable=True)
        if not self._columns:
            return self._by_tensor(by_name)
        cells = {name: cell if isinstance(cell, list) else [cell] for name, cell in by_name.items()}
        lengths = {len(cell) for cell in cells.values()}
        if len(lengths) != 1 or lengths == {0}:
            raise InvalidInput("the columns differ in length, or are empty", unreadable=True)
        return self._by_column(cells, lengths.pop())

    def tensor(self, nested: Any) -> Batch:
        """A nested list, for a model with one tensor."""
        if len(self._tensors) != 1:
            raise InvalidInput(f"expected an object with the inputs {', '.join(self._tensors)}")
        name = next(iter(self._tensors))
        return self._by_tensor({name: nested})

    def named(self, arrays: Mapping[str, tuple[Any, Sequence[int]]]) -> Batch:
        """Flat values, a list or an array, with a shape by input name: what V2 sends."""
        if self._columns:
            return self._by_column({name: flat for name, (flat, _) in arrays.items()}, _rows_of(arrays))
        self._check_names(arrays.keys(), self._tensors.keys(), self._tensors.keys())
        return self._ruled({n: self._elements(n, arrays[n][0], tuple(arrays[n][1])) for n in self._tensors})

    # -- columns ----------------------------------------------------------------------------------------------

    def _cells_of(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        names = {name: None for row in rows for name in row}
        # Before the cells are made: rows that each bring names of their own would make a square of them.
        self._check_names(names.keys(), self._columns.keys(), self._required)
        cells: dict[str, list[Any]] = {name: [] for name in names if name in self._columns}
        absent = None if self.lenient else _ABSENT
        for row in rows:
            for name, cell in cells.items():
                cell.append(row.get(name, absent))
        return cells

    def _by_column(self, cells: Mapping[str, Sequence[Any]], rows: int) -> Batch:
        self._check_names(cells.keys(), self._columns.keys(), self._required)
        arrays, details = {}, []
        for name, column in self._columns.items():
            try:
                arrays[name] = self._column_array(column, cells.get(name, [_ABSENT] * rows))
                self._check_rule(name, arrays[name], rows)
            except _AtRow as wrong:
                details.append(Detail(name, f"row {wrong.row}: expected {wrong.expected}, got {wrong.got}"))
        if details:
            raise _refusal(details, unreadable=True)
        return Batch(arrays, rows)

    def _column_array(self, column: Column, cell: Sequence[Any] | Array) -> Array:
        check, dtype = self._of_column[column.name]
        if isinstance(cell, np.ndarray):
            if (array := _taken_over(cell, dtype)) is not None:
                return array
            cell = cell.tolist()
        made = []
        for n, value in enumerate(cell):
            try:
                if value is None or value is _ABSENT:
                    made.append(self._nothing(column, value))
                else:
                    made.append(check(value))
            except Mismatch as wrong:
                raise _AtRow(n, _expected(column), wrong.got) from None
        if dtype == "object":
            array = np.empty(len(made), dtype=object)
            array[:] = made
            return array
        return self._array(made, dtype)

    def _array(self, made: list[Any], dtype: str) -> Array:
        if not self.lenient:  # what is too large has been refused
            return np.array(made, dtype=dtype)
        with np.errstate(over="ignore"):
            return np.array(made, dtype=dtype)

    def _nothing(self, column: Column, value: Any) -> Any:
        """What a model gets for a cell that is null or absent: NaN, None or NaT, where the type has one."""
        refused = value is _ABSENT or not self.lenient
        if (column.required and refused) or column.type in {"integer", "long"}:
            raise Mismatch("null" if value is None else "nothing")
        match column.type:
            case "float" | "double":
                return float("nan")
            case "datetime":
                return np.datetime64("NaT")
            case "boolean":
                if refused:
                    raise Mismatch("null" if value is None else "nothing")
                return False  # as pandas casts it
            case _:
                return None

    def _check_rule(self, name: str, array: Array, rows: int) -> None:
        rule = self.rules.get(name)
        if rule is None or (broken := rule.broken_at(array)) is None:
            return
        at, expected = broken
        raise _AtRow(at * rows // max(array.size, 1), expected, "something else")

    def _check_names(self, given: AbstractSet[str], known: AbstractSet[str], required: AbstractSet[str]) -> None:
        if given == known:
            return
        details = [Detail(name, "missing") for name in sorted(required - given)]
        unknown = len(given - known)
        # MLflow drops unknown columns, but not unknown tensors.
        if unknown and not (self.lenient and self._columns):
            # The unknown names come from the client and may be data: they are counted, not repeated.
            details.append(Detail("", f"{unknown} unknown; known are {', '.join(known and sorted(known))}"))
        if details:
            raise _refusal(details)

    def _check_width(self, rows: Sequence[Any], width: int) -> None:
        for n, row in enumerate(rows):
            if not isinstance(row, list):
                raise InvalidInput(
                    f"row {n}: expected a list of {width} values, got {values.type_word(row)}", unreadable=True
                )
            if len(row) != width:
                raise InvalidInput(f"row {n}: expected {width} values, got {len(row)}", unreadable=True)

    # -- tensors ----------------------------------------------------------------------------------------------

    def _tensors_of_records(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        names = set(rows[0])
        if any(set(row) != names for row in rows):
            raise InvalidInput("the rows differ in their names", unreadable=True)
        return self._by_tensor({name: [row[name] for row in rows] for name in names})

    def _by_tensor(self, nested: Mapping[str, Any]) -> Batch:
        self._check_names(nested.keys(), self._tensors.keys(), self._tensors.keys())
        made = {}
        for name in self._tensors:
            flat: list[Any] = []
            shape = _flatten(nested[name], flat, name)
            made[name] = self._elements(name, flat, shape)
        return self._ruled(made)

    def _elements(self, name: str, flat: Sequence[Any] | Array, shape: tuple[int, ...]) -> Array:
        tensor = self._tensors[name]
        wanted = tensor.shape
        if not fits(shape, wanted):
            raise _refusal([Detail(name, f"expected shape {list(wanted)}, got {list(shape)}")])
        dtype = "object" if tensor.dtype in {"str", "object"} else tensor.dtype
        if isinstance(flat, np.ndarray):
            if (array := _taken_over(flat, dtype)) is not None:
                return array.reshape(shape)
            flat = flat.tolist()
        check = self._of_tensor[name]
        try:
            made = [check(value) for value in flat]
        except Mismatch as wrong:
            raise _refusal([Detail(name, f"expected {tensor.dtype}, got {wrong.got}")], unreadable=True) from None
        return self._array(made, dtype).reshape(shape)

    def _ruled(self, arrays: Mapping[str, Array]) -> Batch:
        batch = _batch_of_tensors(arrays)
        if not self.rules:
            return batch
        for name, array in arrays.items():
            try:
                self._check_rule(name, array, batch.rows)
            except _AtRow as wrong:
                message = f"row {wrong.row}: expected {wrong.expected}, got {wrong.got}"
                raise _refusal([Detail(name, message)], unreadable=True) from None
        return batch


class _Absent:
    """A cell that is not there at all, in a row that lacks the column."""


_ABSENT: Final = _Absent()


class _AtRow(Exception):  # noqa: N818 - a verdict on its way to a Detail
    def __init__(self, row: int, expected: str, got: str) -> None:
        super().__init__(got)
        self.row = row
        self.expected = expected
        self.got = got


def _refusal(details: Sequence[Detail], *, unreadable: bool = False) -> InvalidInput:
    first = details[0]
    message = f"{first.field}: {first.message}".removeprefix(": ")
    return InvalidInput(message, details[:MAX_DETAILS], unreadable=unreadable)


def _taken_over(array: Array, dtype: str) -> Array | None:
    """An array as it came, where its type fits without loss and nothing in it needs a look; else None."""
    if dtype == "object" or not np.can_cast(array.dtype, dtype, "safe"):
        return None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return None
    return array.astype(dtype, copy=False)


def _expected(column: Column) -> str:
    return column.type if column.required else f"{column.type} or nothing"


def _flatten(nested: Any, flat: list[Any], name: str, depth: int = 0) -> tuple[int, ...]:
    """Collect the elements and return the shape; a ragged or too deep list is refused."""
    if not isinstance(nested, list):
        flat.append(nested)
        return ()
    if depth >= 16:
        raise InvalidInput(f"{name}: nested too deep", unreadable=True)
    shape: tuple[int, ...] = ()
    for n, item in enumerate(nested):
        found = _flatten(item, flat, name, depth + 1)
        # At once: of millions of lists the second one tells.
        if n and found != shape:
            raise InvalidInput(f"{name}: the nested lists differ in length", unreadable=True)
        shape = found
    return (len(nested), *shape)


def fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """An array of that shape has an element, and the signature's number of them where that names one."""
    if len(shape) != len(wanted):
        return False
    for size, want in zip(shape, wanted, strict=True):  # noqa: SIM110 - a generator takes twice as long
        if not size or want not in (-1, size):
            return False
    return True


def _batch_of_tensors(arrays: Mapping[str, Array]) -> Batch:
    rows = [array.shape[0] if array.ndim else 1 for array in arrays.values()]
    return Batch(arrays, min(rows, default=0))


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
