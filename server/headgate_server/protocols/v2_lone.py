"""V2's commonest request, read in one go: the model's one tensor of floats as JSON, and nothing else asked for.

Whatever is not exactly that gets None and takes the general way, which is also the one that says what is wrong. So does
its answer where it is more than tensors of numbers.
"""

import math
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from orjson import OPT_SERIALIZE_NUMPY as NUMPY
from orjson import dumps

from headgate_server.loaders.runtime import Output
from headgate_server.protocols import tensors
from headgate_server.protocols.jsonable import written
from headgate_server.signature import Inputs, Tensors
from headgate_server.validation import Batch, Validator, fits
from headgate_server.values import FLOAT_LIMITS

MAX_DEPTH: Final = 16


class Lone(NamedTuple):
    """What the signature says of its one tensor."""

    name: str
    datatype: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    limit: float


def compiled(validator: Validator) -> Lone | None:
    """Once for each signature; None for one that has more to look at."""
    inputs: Inputs = validator.inputs
    if not isinstance(inputs, Tensors) or len(inputs.tensors) != 1 or validator.lenient or validator.rules:
        return None
    [tensor] = inputs.tensors
    if tensor.dtype not in {"float32", "float64"} or not 0 < len(tensor.shape) <= MAX_DEPTH:
        return None
    limit = min(FLOAT_LIMITS[tensor.dtype], sys.float_info.max)
    return Lone(tensor.name, tensor.datatype, np.dtype(tensor.dtype), tensor.shape, limit)


def batch(body: Any, lone: Lone) -> Batch | None:
    if type(body) is not dict or not (len(body) == 1 or (len(body) == 2 and type(body.get("id")) is str)):
        return None
    items = body.get("inputs")
    if type(items) is not list or len(items) != 1:
        return None
    [item] = items
    if type(item) is not dict or len(item) != 4:
        return None
    if item.get("name") != lone.name or item.get("datatype") != lone.datatype:
        return None
    shape, data = item.get("shape"), item.get("data")
    if type(shape) is not list or type(data) is not list:
        return None
    if set(map(type, shape)) != {int} or set(map(type, data)) != {float}:
        return None
    if min(shape) < 1 or not fits(shape, lone.shape) or len(data) != math.prod(shape):
        return None
    if not (-lone.limit <= min(data) and max(data) <= lone.limit):
        return None
    return Batch({lone.name: np.array(data, lone.dtype).reshape(shape)}, shape[0])


def answer(name: str, version: str, outputs: Sequence[Output]) -> bytes | None:
    """The answer's JSON around the values of its tensors: what stands there is made once for each model and shape."""
    parts = [_start(name, version)]
    for called, values in outputs:
        if type(values) is not np.ndarray or not values.flags.c_contiguous:  # orjson writes none of its subclasses
            return None
        head = _head(called, values.shape, values.dtype)
        if head is None:
            return None
        parts += (head, dumps(values if values.ndim == 1 else values.reshape(-1), option=NUMPY), b"},")
    parts[-1] = b"}]}"
    return b"".join(parts) if outputs else None


@lru_cache(maxsize=4)
def _start(name: str, version: str) -> bytes:
    return dumps({"model_name": name, "model_version": version, "outputs": []})[:-2]


@lru_cache(maxsize=256)  # clients send batches of any size
def _head(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes | None:
    """What stands before the values; None where orjson does not write them."""
    if not shape or not written(dtype):
        return None
    return dumps({"name": name, "shape": shape, "datatype": tensors.datatype_of(dtype), "data": 0})[:-2]
