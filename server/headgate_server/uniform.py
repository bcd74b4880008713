"""Rows of nothing but floats, for columns of one float type: read in one go.

Whatever is not exactly that gets None and takes the general way, which is also the one that says what is wrong.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headgate_server.signature import Columns, Inputs
from headgate_server.values import FLOAT_LIMITS, OF_COLUMN


class Uniform(NamedTuple):
    """What a signature says whose columns are all alike."""

    names: list[str]
    dtype: np.dtype[Any]
    limit: float


def compiled(inputs: Inputs) -> Uniform | None:
    """Once for each signature; None for one that has more to look at."""
    if not isinstance(inputs, Columns) or len({column.type for column in inputs.columns}) != 1:
        return None
    dtype = OF_COLUMN[inputs.columns[0].type][1]
    if dtype not in FLOAT_LIMITS:
        return None
    limit = min(FLOAT_LIMITS[dtype], sys.float_info.max)
    return Uniform([column.name for column in inputs.columns], np.dtype(dtype), limit)


def columns(rows: Sequence[Any], uniform: Uniform) -> Mapping[str, npt.NDArray[Any]] | None:
    """The rows, with their values in the signature's order, as one array a column."""
    width, limit = len(uniform.names), uniform.limit
    for row in rows:
        if type(row) is not list or len(row) != width or set(map(type, row)) != {float}:
            return None
        # Not a number is neither too large nor too small.
        if not (-limit <= min(row) and max(row) <= limit and math.isfinite(sum(row))):
            return None
    matrix = np.array(rows, uniform.dtype)
    return dict(zip(uniform.names, np.ascontiguousarray(matrix.T), strict=True))
