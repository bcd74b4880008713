"""V2's tensors as bytes: little-endian and row-major, texts with their length before them, as Triton and KServe do."""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np

from headgate_server.validation import Array, InvalidInput

# FP16 has no JSON form that every client writes, so it is read from bytes only. BF16 is no type of numpy's.
DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype("bool"),
    **{f"{sign}INT{b}": np.dtype(f"<{'u' if sign else 'i'}{b // 8}") for sign in ("", "U") for b in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
_DATATYPES: Final[Mapping[str, str]] = {dtype.name: name for name, dtype in DTYPES.items()}
LENGTH: Final = struct.Struct("<I")


def decode(raw: memoryview, datatype: str, count: int, where: str) -> Array | list[Any]:
    """The `count` elements that lie in `raw`, which must be all of it."""
    if datatype == "BYTES":
        return _texts(raw, count, where)
    dtype = DTYPES[datatype]
    if len(raw) != count * dtype.itemsize:
        expected = count * dtype.itemsize
        raise InvalidInput(f"{where}: {count} elements of {datatype} are {expected} bytes, got {len(raw)}")
    if datatype == "BOOL" and any(byte > 1 for byte in raw):
        raise InvalidInput(f"{where}: a byte of BOOL is 0 or 1")
    return np.frombuffer(raw, dtype)


@lru_cache(maxsize=64)  # numpy makes the name anew each time, which takes longer than all else here
def datatype_of(dtype: np.dtype[Any]) -> str:
    """What V2 calls it; what it has no word for goes as text."""
    return _DATATYPES.get(dtype.name, "BYTES")


def encode(values: Array) -> bytes:
    """An output's bytes."""
    datatype = datatype_of(values.dtype)
    if datatype != "BYTES":
        return np.ascontiguousarray(values, DTYPES[datatype]).tobytes()
    made = []
    for value in values.reshape(-1).tolist():
        text = value if isinstance(value, bytes) else str(value).encode()
        made.append(LENGTH.pack(len(text)) + text)
    return b"".join(made)


def _texts(raw: memoryview, count: int, where: str) -> list[Any]:
    made: list[Any] = []
    at = 0
    while at < len(raw):
        if at + LENGTH.size > len(raw) or len(made) == count:
            break
        (length,) = LENGTH.unpack_from(raw, at)
        at += LENGTH.size
        if at + length > len(raw):
            raise InvalidInput(f"{where}: a text is longer than what is left of the tensor")
        made.append(bytes(raw[at : at + length]))
        at += length
    if at != len(raw) or len(made) != count:
        raise InvalidInput(f"{where}: expected {count} texts, each after its length, and nothing else")
    return made
