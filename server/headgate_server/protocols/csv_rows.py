"""A CSV body with a header line as cells by column: each text as the type that the signature gives its column.

Only the form is read here; whether a value fits is the validator's to say, as for JSON.
"""

import csv
import io
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from headgate_server.protocols.failures import too_many_rows
from headgate_server.signature import Columns
from headgate_server.validation import Batch, InvalidInput, Validator

# What pandas, and so MLflow, reads as nothing.
NOTHING: Final = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "n/a", "<NA>", "#N/A"})
BOOLEANS: Final = {"true": True, "false": False}


def batch(raw: bytes, validator: Validator, max_rows: int) -> Batch:
    """The validated rows of a CSV text in UTF-8, or 413 before more of them than allowed are kept."""
    try:
        # Empty lines are never kept: one byte of such a body would take 60 of memory.
        filled = filter(None, csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True))
        lines = list(itertools.islice(filled, max_rows + 2))
    except UnicodeDecodeError:
        raise InvalidInput("the body is not UTF-8", unreadable=True) from None
    except csv.Error:
        raise InvalidInput("the body is not CSV", unreadable=True) from None
    if len(lines) > max_rows + 1:
        raise too_many_rows(max_rows)
    if len(lines) < 2:
        raise InvalidInput("expected a header line and one or more rows", unreadable=True)
    header, *rows = lines
    if any(len(row) != len(header) for row in rows):
        raise InvalidInput("a row has more or fewer cells than the header line", unreadable=True)
    inputs = validator.inputs
    if not isinstance(inputs, Columns):
        return validator.split(None, [[_number(cell) for cell in row] for row in rows])
    readers = _readers(inputs, validator)
    made = [[readers.get(name, _text)(cell) for name, cell in zip(header, row, strict=True)] for row in rows]
    return validator.split(header, made)


def _readers(inputs: Columns, validator: Validator) -> Mapping[str, Callable[[str], Any]]:
    kinds: dict[str, Callable[[str], Any]] = {
        "boolean": _boolean,
        "integer": _whole,
        "long": _whole,
        "float": _number,
        "double": _number,
        "string": _text if not validator.lenient else _text_or_nothing,
        "binary": _text_or_nothing,
        "datetime": _text_or_nothing,
    }
    return {column.name: kinds[column.type] for column in inputs.columns}


def _number(cell: str) -> Any:
    if cell in NOTHING:
        return None
    try:
        number = float(cell)
    except ValueError:
        return cell  # refused as a string, with its column and row
    whole = _whole(cell)
    return whole if isinstance(whole, int) and math.isfinite(number) else number


def _whole(cell: str) -> Any:
    if cell in NOTHING:
        return None
    try:
        return int(cell) if len(cell) <= 32 else cell
    except ValueError:
        return cell


def _boolean(cell: str) -> Any:
    return None if cell in NOTHING else BOOLEANS.get(cell.lower(), cell)


def _text(cell: str) -> Any:
    return cell


def _text_or_nothing(cell: str) -> Any:
    return None if cell in NOTHING else cell
