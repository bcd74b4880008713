"""How many lists and objects a body may hold: each takes 20 to 80 times the bytes it came in, and a row has few.

Memory that millions of them filled goes back in pieces of a MiB, and each piece in which anything lives stays.
"""

from itertools import accumulate
from operator import mul
from typing import Final

from headgate_server.protocols.call import CSV, Content
from headgate_server.protocols.failures import RequestFailed
from headgate_server.signature import Columns, Inputs, Tensor

# For columns that are sent and not asked for, shapes, parameters.
ROOM, SOME = 4, 1000
TEXTS: Final = frozenset({"string", "str", "object"})


def most(inputs: Inputs, max_rows: int) -> int | None:
    """How many a body with as many rows as are allowed may need; None where a row may be of any shape, or hold texts,
    in which a bracket is none."""
    if isinstance(inputs, Columns):
        count = len(inputs.columns)  # each value may stand in a list of its own
        of_a_row = None if any(column.type in TEXTS for column in inputs.columns) else max(1, count)
    else:
        count = len(inputs.tensors)
        each = [_of_a_row(tensor) for tensor in inputs.tensors]
        of_a_row = None if None in each else max(1, sum(filter(None, each)))
    return None if of_a_row is None else ROOM * (max_rows * of_a_row + count) + SOME


def _of_a_row(tensor: Tensor) -> int | None:
    sizes = tensor.shape[1:-1]
    if tensor.dtype in TEXTS or -1 in sizes:
        return None
    return sum(accumulate(sizes, mul, initial=1))


def check(content: Content, inputs: Inputs) -> None:
    """RequestFailed with 413 for a body that holds more than its rows can need."""
    if content.media == CSV:
        return
    bound = most(inputs, content.max_rows)
    text = content.raw if content.json_bytes is None else content.raw[: content.json_bytes]
    if bound is not None and text.count(b"[") + text.count(b"{") > bound:
        raise RequestFailed(413, "too_large", f"more lists and objects than {content.max_rows} rows can need")
