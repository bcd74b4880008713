"""MLflow's scoring protocol: POST /invocations, as `mlflow models serve` speaks it, in Strict.

Exactly one of dataframe_split, dataframe_records, instances, inputs; other keys are ignored as MLflow ignores them.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from headgate_server.loaders.runtime import Output
from headgate_server.protocols.jsonable import plain
from headgate_server.signature import Columns, Inputs
from headgate_server.validation import Batch, InvalidInput, Validator

FORMATS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")


def batch(body: Any, validator: Validator) -> Batch:
    """The request body as validated input."""
    if not isinstance(body, dict):
        raise InvalidInput(f"expected an object with exactly one of {', '.join(FORMATS)}")
    given = [key for key in FORMATS if key in body]
    if len(given) != 1:
        raise InvalidInput(f"expected exactly one of {', '.join(FORMATS)}, got {len(given)}")
    content = body[given[0]]
    match given[0]:
        case "dataframe_split":
            if not isinstance(content, dict) or not {"data"} <= set(content) <= {"columns", "index", "data"}:
                raise InvalidInput("dataframe_split: expected columns and data")
            return validator.split(content.get("columns"), content["data"])
        case "dataframe_records":
            return validator.records(content)
        case "instances":
            return _rows(content, validator)
        case _:
            return _inputs(content, validator)


def predictions(outputs: Sequence[Output], inputs: Inputs, *, frame: bool) -> Any:
    """What stands under `predictions`: one output bare; several as MLflow's onnx flavor does them."""
    if not frame:
        return plain(outputs[0].values)
    if isinstance(inputs, Columns) and all(_one_column(output.values) for output in outputs):
        # A frame in, a frame out: records.
        lists = [np.asarray(output.values).reshape(-1).tolist() for output in outputs]
        return [dict(zip([o.name for o in outputs], row, strict=True)) for row in zip(*lists, strict=True)]
    return {output.name: plain(output.values) for output in outputs}


def _one_column(values: Any) -> bool:
    return isinstance(values, np.ndarray) and (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1))


def _rows(content: Any, validator: Validator) -> Batch:
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return validator.records(content)
    return validator.positional(content)


def _inputs(content: Any, validator: Validator) -> Batch:
    if isinstance(content, dict):
        return validator.columns(content)
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return validator.records(content)
    return validator.positional(content)
