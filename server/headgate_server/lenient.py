"""One JSON value against one column type, as MLflow's server casts it: `Compatible` validation.

The verdicts are those of pandas' astype and numpy's array over parsed JSON, value by value and without pandas. Where
MLflow lets a number wrap around into another one, the value is refused here too: no caller can want that.
"""

import base64
import binascii
import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from headgate_server.values import INT_RANGES, Mismatch, moment, type_word


def whole(dtype: str) -> Callable[[Any], int]:
    low, high = INT_RANGES[dtype]

    def check(value: Any) -> int:
        match value:
            case bool() | int():
                made = int(value)
            case float() if math.isfinite(value):
                made = int(value)
            case str() if len(value) <= 32:
                made = _parsed(int, value)
            case _:
                raise Mismatch(type_word(value))
        if not low <= made <= high:
            raise Mismatch("integer out of range")
        return made

    return check


def real(value: Any) -> float:
    match value:
        case None:
            return math.nan
        case float():
            return value
        case bool() | int() | str():
            return float(_parsed(float, value))
        case _:
            raise Mismatch(type_word(value))


def boolean(value: Any) -> bool:
    if isinstance(value, list | dict):
        raise Mismatch(type_word(value))
    return bool(value)


def string(value: Any) -> str:
    match value:
        case str():
            return value
        case bytes():
            return _utf8(value)
        case bool() | int() | float():
            return str(value)
        case _:
            raise Mismatch(type_word(value))


def binary(value: Any) -> bytes:
    match value:
        case bytes():
            return value
        case str():
            try:
                return base64.decodebytes(value.encode())
            except (binascii.Error, ValueError):
                raise Mismatch("string that is not base64") from None
        case _:
            raise Mismatch(type_word(value))


def when(value: Any) -> dt.datetime:
    """ISO 8601 text, or nanoseconds since 1970 as pandas takes a number."""
    if type(value) is int and abs(value) < 1 << 63:
        return dt.datetime.fromtimestamp(0, dt.UTC).replace(tzinfo=None) + dt.timedelta(microseconds=value // 1000)
    return moment(value)


def _parsed(kind: Callable[[Any], Any], value: Any) -> Any:
    try:
        return kind(value)
    except OverflowError:
        raise Mismatch("number out of range") from None
    except ValueError:
        raise Mismatch("string that is no number") from None


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Mismatch("bytes that are not UTF-8") from None


# By column type: the check, and the numpy type of the column.
OF_COLUMN: Final[Mapping[str, tuple[Callable[[Any], Any], str]]] = {
    "boolean": (boolean, "bool"),
    "integer": (whole("int32"), "int32"),
    "long": (whole("int64"), "int64"),
    "float": (real, "float32"),
    "double": (real, "float64"),
    "string": (string, "object"),
    "binary": (binary, "object"),
    "datetime": (when, "datetime64[ns]"),
}


def of_dtype(dtype: str) -> Callable[[Any], Any]:
    """The check for one element of a tensor."""
    if dtype in INT_RANGES:
        return whole(dtype)
    if dtype.startswith("float"):
        return real
    return boolean if dtype == "bool" else string
