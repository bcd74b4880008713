"""Outputs as JSON values: numpy as lists, non-finite numbers as null, times as ISO 8601, bytes as base64."""

import base64
import datetime as dt
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson

OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def dumps(body: Any) -> bytes:
    """JSON bytes; orjson writes NaN and infinities as null, which JSON has no words for."""
    return orjson.dumps(body, default=_other, option=OPTIONS)


def plain(values: Any) -> Any:
    """An output as lists and scalars, ready for `dumps`."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "M":
            return np.datetime_as_string(values).tolist()
        # float32 goes as it is: orjson writes its shortest form, not the 64-bit one's tail of noise.
        as_it_is = values.ndim and values.flags.c_contiguous and written(values.dtype)
        return values if as_it_is else values.tolist()
    return values


@lru_cache(maxsize=64)
def written(dtype: np.dtype[Any]) -> bool:
    """Whether orjson writes contiguous arrays of it."""
    return dtype.kind in "biuf" and 1 < dtype.itemsize <= 8 and dtype.isnative and dtype != np.float16


def _other(value: Any) -> Any:
    match value:
        case np.ndarray():
            return value.tolist()
        case np.generic():
            return value.item()
        case bytes():
            return base64.b64encode(value).decode()
        case dt.datetime() | dt.date():
            return value.isoformat()
        case _:
            raise TypeError(f"no JSON form for {type(value).__name__}")
