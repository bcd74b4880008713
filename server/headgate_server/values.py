"""One JSON value against one column or tensor type, strictly: what is lossy is refused, and never echoed.

Each check returns the value as the model gets it or raises Mismatch with what came, as a type word only.
"""

import base64
import binascii
import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

INT_RANGES: Final[Mapping[str, tuple[int, int]]] = {
    **{f"int{bits}": (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
}
# What is larger becomes an infinity; a 32-bit float rounds, so that its limit is a little above its largest number.
FLOAT_LIMITS: Final[Mapping[str, float]] = {
    "float16": 65504.0,
    "float32": math.nextafter(3.4028235677973366e38, 0.0),
    "float64": math.inf,
}
# Above this a whole number may change when it becomes a 64-bit (32, 16) float.
EXACT_WHOLE: Final[Mapping[str, int]] = {"float16": 1 << 11, "float32": 1 << 24, "float64": 1 << 53}


class Mismatch(Exception):  # noqa: N818 - a verdict about a value, made into an answer by the caller
    """The value does not fit; `got` is a word for it that holds nothing of the data."""

    def __init__(self, got: str) -> None:
        super().__init__(got)
        self.got = got


def type_word(value: Any) -> str:
    """What a JSON value is, without saying what it holds."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str() | bytes():
            return "string"
        case list() | tuple():
            return "array"
        case _:
            return "object"


def whole(dtype: str) -> Callable[[Any], int]:
    low, high = INT_RANGES[dtype]

    def check(value: Any) -> int:
        if type(value) is float:
            if not value.is_integer():
                raise Mismatch("number with a fraction")
            # Beyond 2**53 a JSON decimal no longer says which whole number was meant.
            if abs(value) > EXACT_WHOLE["float64"]:
                raise Mismatch("number too large to be exact")
            value = int(value)
        if type(value) is not int:
            raise Mismatch(type_word(value))
        if not low <= value <= high:
            raise Mismatch("integer out of range")
        return value

    return check


def real(dtype: str) -> Callable[[Any], float]:
    limit, exact = FLOAT_LIMITS[dtype], EXACT_WHOLE[dtype]

    def check(value: Any) -> float:
        if type(value) is int:
            if abs(value) > exact and not _survives(value, dtype):
                raise Mismatch("integer too large to be exact")
            return float(value)
        if type(value) is not float:
            raise Mismatch(type_word(value))
        if not math.isfinite(value):
            raise Mismatch("non-finite number")
        if abs(value) > limit:
            raise Mismatch("number out of range")
        return value

    return check


def _survives(value: int, dtype: str) -> bool:
    """Whether a whole number is exactly a float of that width (2**60 is, 2**53 + 1 is not)."""
    if abs(value) > FLOAT_LIMITS[dtype] or value.bit_length() > 1024:
        return False
    significant = value.bit_length() - ((value & -value).bit_length() - 1)
    return significant <= EXACT_WHOLE[dtype].bit_length() - 1


def boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise Mismatch(type_word(value))
    return value


def string(value: Any) -> str:
    if type(value) is bytes:  # V2's binary form of a text
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Mismatch("bytes that are not UTF-8") from None
    if type(value) is not str:
        raise Mismatch(type_word(value))
    return value


def binary(value: Any) -> bytes:
    if type(value) is bytes:  # V2's binary form; JSON has base64
        return value
    if type(value) is not str:
        raise Mismatch(type_word(value))
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Mismatch("string that is not base64") from None


def moment(value: Any) -> dt.datetime:
    try:
        read = dt.datetime.fromisoformat(string(value))
    except ValueError:
        raise Mismatch("string that is not an ISO 8601 time") from None
    return read.astimezone(dt.UTC).replace(tzinfo=None) if read.tzinfo else read


# By column type: the check, and the numpy type of the column.
OF_COLUMN: Final[Mapping[str, tuple[Callable[[Any], Any], str]]] = {
    "boolean": (boolean, "bool"),
    "integer": (whole("int32"), "int32"),
    "long": (whole("int64"), "int64"),
    "float": (real("float32"), "float32"),
    "double": (real("float64"), "float64"),
    "string": (string, "object"),
    "binary": (binary, "object"),
    "datetime": (moment, "datetime64[ns]"),
}


def of_dtype(dtype: str) -> Callable[[Any], Any]:
    """The check for one element of a tensor."""
    if dtype in INT_RANGES:
        return whole(dtype)
    if dtype in FLOAT_LIMITS:
        return real(dtype)
    return boolean if dtype == "bool" else string
