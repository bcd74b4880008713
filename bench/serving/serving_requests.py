"""What each protocol is sent for the same rows, and the class labels in what it answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
Rows = Sequence[Sequence[float]]

V2, INVOCATIONS, BENTO = "v2", "invocations", "bento"
PATHS = {V2: "/v2/models/iris/infer", INVOCATIONS: "/invocations", BENTO: "/predict"}


class WrongAnswer(Exception):  # noqa: N818 - the text of what was wrong
    pass


def body(protocol: str, rows: Rows) -> bytes:
    return json.dumps(_document(protocol, rows), separators=(",", ":")).encode()


def _document(protocol: str, rows: Rows) -> Any:
    if protocol == V2:
        flat = [value for row in rows for value in row]
        return {"inputs": [{"name": "X", "shape": [len(rows), 4], "datatype": "FP32", "data": flat}]}
    if protocol == INVOCATIONS:
        return {"dataframe_split": {"columns": COLUMNS, "data": rows}}
    return {"rows": rows}


def labels(protocol: str, answer: bytes) -> list[int]:
    """The class a row. Some servers add probabilities, some give labels as numbers with a fraction."""
    try:
        document = json.loads(answer)
        if protocol == V2:
            found = document["outputs"][0]["data"]
        elif protocol == INVOCATIONS:
            found = document["predictions"]
            found = found["label"] if isinstance(found, dict) else found
        else:
            found = document
        return [int(_label(value)) for value in found]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WrongAnswer(f"no labels ({type(error).__name__}) in {answer[:200]!r}") from None


def _label(value: Any) -> Any:
    if isinstance(value, dict):
        return value["label"]
    return value[0] if isinstance(value, list) else value


def check(protocol: str, status: int, answer: bytes, expected: Sequence[int]) -> None:
    if status != 200:
        raise WrongAnswer(f"answered {status}: {answer[:300].decode(errors='replace')}")
    found = labels(protocol, answer)
    if found != list(expected):
        raise WrongAnswer(f"predicted {found[:10]}, right is {list(expected)[:10]}")


def check_length(status: int, answer: bytes, expected: int) -> None:
    json.loads(answer)
    if (status, len(answer)) != (200, expected):
        raise WrongAnswer(f"answered {status} with {len(answer)} bytes, wanted 200 with {expected}")
