"""MLflow's scoring protocol: POST /invocations, as `mlflow models serve` speaks it.

Exactly one of dataframe_split, dataframe_records, instances, inputs, and perhaps params; other keys are ignored as
MLflow ignores them. Or CSV with a header line. Parquet is not read: it needs pandas and pyarrow.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from headgate_server import values
from headgate_server.loaders.runtime import Output
from headgate_server.protocols import csv_rows, missing
from headgate_server.protocols.call import CSV, Call, Content, Facts, Reply
from headgate_server.protocols.jsonable import dumps, plain
from headgate_server.signature import Columns, Inputs, Param, Tensors
from headgate_server.validation import Batch, InvalidInput, Validator
from headgate_server.values import Mismatch

if TYPE_CHECKING:
    from headgate_server.loading import Loaded

FORMATS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")


def read(content: Content, loaded: "Loaded") -> Call:
    validator = loaded.validator
    if content.media == CSV:
        made = csv_rows.batch(content.raw, validator, content.max_rows)
    else:
        made = batch(content.json(missing.loads), validator)

    def answer(outputs: Sequence[Output], facts: Facts) -> Reply:
        del facts
        onnx = loaded.described.flavor == "onnx"
        return Reply(dumps({"predictions": predictions(outputs, loaded.model.inputs, frame=onnx)}))

    return Call(made, loaded.model.default_outputs, answer)


def batch(body: Any, validator: Validator) -> Batch:
    """The request body as validated input."""
    if not isinstance(body, dict):
        raise InvalidInput(f"expected an object with exactly one of {', '.join(FORMATS)}", unreadable=True)
    given = [key for key in FORMATS if key in body]
    if len(given) != 1:
        raise InvalidInput(f"expected exactly one of {', '.join(FORMATS)}, got {len(given)}", unreadable=True)
    _check_params(body.get("params"), validator)
    content = body[given[0]]
    match given[0]:
        case "dataframe_split":
            return _split(content, validator)
        case "dataframe_records":
            return validator.records(content)
        case "instances":
            return _rows(content, validator)
        case _:
            return _columns(content, validator) if isinstance(content, dict) else _rows(content, validator)


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


def _split(content: Any, validator: Validator) -> Batch:
    if not isinstance(content, dict) or not {"data"} <= set(content) <= {"columns", "index", "data"}:
        raise InvalidInput("dataframe_split: expected columns and data", unreadable=True)
    if content.get("columns") is None and validator.lenient and isinstance(validator.inputs, Columns):
        raise InvalidInput("dataframe_split: columns are missing")
    return validator.split(content.get("columns"), content["data"])


def _rows(content: Any, validator: Validator) -> Batch:
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return validator.records(content)
    inputs = validator.inputs
    if isinstance(inputs, Columns):
        if len(inputs.columns) == 1 and isinstance(content, list) and not any(isinstance(v, list) for v in content):
            return validator.columns({inputs.columns[0].name: content})
        if validator.lenient:
            # Strict takes rows in the signature's order: their width says that they are meant.
            raise InvalidInput("expected the columns by name")
    return validator.positional(content)


def _columns(content: dict[str, Any], validator: Validator) -> Batch:
    inputs = validator.inputs
    if validator.lenient and isinstance(inputs, Tensors) and not inputs.tensors[0].named:
        raise InvalidInput("the signature has a tensor without a name: expected a nested list", unreadable=True)
    return validator.columns(content)


def _check_params(given: Any, validator: Validator) -> None:
    """Types of the params that the signature knows; others are ignored, as MLflow ignores them."""
    if given is None:
        return
    if not isinstance(given, dict):
        raise InvalidInput("params: expected an object")
    for name, value in given.items():
        param = validator.params.get(name)
        if param is not None and value is not None:
            _check_param(param, value)


def _check_param(param: Param, value: Any) -> None:
    check, _ = values.OF_COLUMN[param.type]
    try:
        if param.many != isinstance(value, list):
            raise Mismatch(values.type_word(value))
        for item in value if isinstance(value, list) else [value]:
            check(item)
    except Mismatch as wrong:
        expected = f"a list of {param.type}" if param.many else param.type
        raise InvalidInput(f"params: {param.name}: expected {expected}, got {wrong.got}") from None
