"""Rows of several requests as one input, and the outputs given back to each: whoever comes in also gets out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headgate_server.loaders.runtime import Output
from headgate_server.validation import Batch


class NotMergeable(Exception):  # noqa: N818 - a verdict, answered by running each alone
    """What came out has no rows that could be given back."""


def kind(batch: Batch) -> tuple[Any, ...] | None:
    """Batches of one kind fit together; None where a batch has no rows to speak of."""
    parts = []
    for name, array in batch.arrays.items():
        if not array.ndim or array.shape[0] != batch.rows:
            return None
        parts.append((name, array.dtype, array.shape[1:]))
    return tuple(parts)


def merged(batches: Sequence[Batch]) -> Batch:
    """The rows of batches of one kind, one after the other."""
    names = batches[0].arrays
    arrays = {name: np.concatenate([batch.arrays[name] for batch in batches]) for name in names}
    return Batch(arrays, sum(batch.rows for batch in batches))


def parted(outputs: Sequence[Output], counts: Sequence[int]) -> list[list[Output]]:
    """The outputs of merged batches with so many rows each, by batch; NotMergeable if the rows do not add up."""
    total = sum(counts)
    for output in outputs:
        if not _has_rows(output.values, total):
            raise NotMergeable(output.name)
    shares = []
    at = 0
    for count in counts:
        shares.append([Output(output.name, output.values[at : at + count]) for output in outputs])
        at += count
    return shares


def _has_rows(values: Any, rows: int) -> bool:
    if isinstance(values, np.ndarray):
        return values.ndim > 0 and values.shape[0] == rows
    return isinstance(values, list) and len(values) == rows
