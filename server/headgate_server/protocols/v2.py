"""Open Inference Protocol V2 over JSON: infer, metadata. Binary tensors are refused in words a client shows.

Raw bodies only: a missing Content-Type is JSON, and every error is `{"error": "..."}` (see failures).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from headgate_server.loaders.runtime import Model, Output
from headgate_server.protocols.jsonable import plain
from headgate_server.signature import Column, Columns, Tensor
from headgate_server.validation import Batch, Detail, InvalidInput, Validator

MAX_DEPTH: Final = 16
EXTENSIONS: Final[tuple[str, ...]] = ()
KINDS: Final[Mapping[str, str]] = {
    "BOOL": "boolean",
    **{f"{sign}INT{bits}": "whole" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": "real" for bits in (32, 64)},
    "BYTES": "text",
}
DATATYPES: Final[Mapping[str, str]] = {
    "bool": "BOOL",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}


def batch(body: Any, validator: Validator) -> Batch:
    """The request's inputs, validated."""
    if not isinstance(body, dict) or not isinstance(body.get("inputs"), list) or not body["inputs"]:
        raise InvalidInput("expected an object with a list of inputs")
    _check_id(body)
    known = _known(validator)
    given: dict[str, tuple[Any, Sequence[int]]] = {}
    for n, item in enumerate(body["inputs"]):
        name, flat, shape, datatype = _input(item, n)
        if len(known) == 1 and not next(iter(known.values())).named:
            name = next(iter(known))  # MLflow's tensor without a name takes any
        if name in given:
            raise InvalidInput(f"inputs[{n}]: the name stands there twice")
        if name in known and not _accepts(known[name].datatype, datatype):
            message = f"expected {known[name].datatype}, got {datatype}"
            raise InvalidInput(f"{name}: {message}", [Detail(name, message)])
        given[name] = (flat, shape)
    return validator.named(given)


def wanted(body: Mapping[str, Any], model: Model) -> Sequence[str]:
    """The names of the requested outputs, or the model's default ones."""
    asked = body.get("outputs")
    if asked is None:
        return model.default_outputs
    if not isinstance(asked, list) or not all(isinstance(o, dict) and isinstance(o.get("name"), str) for o in asked):
        raise InvalidInput("outputs: expected a list of objects with a name")
    names = [o["name"] for o in asked]
    known = [spec.name for spec in model.outputs]
    if not set(names) <= set(known):
        raise InvalidInput(f"outputs: unknown name; known are {', '.join(known)}")
    if len(set(names)) != len(names):
        raise InvalidInput("outputs: a name stands there twice")
    return names or model.default_outputs


def answer(body: Mapping[str, Any], outputs: Sequence[Output], name: str, version: str) -> dict[str, Any]:
    made: dict[str, Any] = {"model_name": name, "model_version": version}
    if "id" in body:
        made["id"] = body["id"]
    made["outputs"] = [_output(output) for output in outputs]
    return made


def metadata(model: Model, name: str, version: str) -> dict[str, Any]:
    inputs = (
        [{"name": c.name, "datatype": c.datatype, "shape": [-1]} for c in model.inputs.columns]
        if isinstance(model.inputs, Columns)
        else [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in model.inputs.tensors]
    )
    outputs = [{"name": o.name, "datatype": o.datatype, "shape": list(o.shape)} for o in model.outputs]
    return {"name": name, "versions": [version], "platform": model.platform, "inputs": inputs, "outputs": outputs}


class _Known:
    """What the signature says of one input name."""

    def __init__(self, item: Column | Tensor) -> None:
        self.datatype = item.datatype
        self.named = item.named if isinstance(item, Tensor) else True


def _known(validator: Validator) -> dict[str, _Known]:
    inputs = validator.inputs
    items: Sequence[Column | Tensor] = inputs.columns if isinstance(inputs, Columns) else inputs.tensors
    return {item.name: _Known(item) for item in items}


def _check_id(body: Mapping[str, Any]) -> None:
    if not isinstance(body.get("id", ""), str):
        raise InvalidInput("id: expected a string")


def _input(item: Any, n: int) -> tuple[str, list[Any], Sequence[int], str]:
    where = f"inputs[{n}]"
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise InvalidInput(f"{where}: expected an object with a name")
    parameters = item.get("parameters")
    if isinstance(parameters, dict) and "binary_data_size" in parameters:
        raise InvalidInput(f"{where}: binary tensor data is not supported, send the data as JSON")
    shape, datatype, data = item.get("shape"), item.get("datatype"), item.get("data")
    if not isinstance(shape, list) or len(shape) > MAX_DEPTH or not all(type(d) is int and d >= 0 for d in shape):
        # Bounded before it is multiplied: a long shape of large numbers takes the event loop for minutes.
        raise InvalidInput(f"{where}: shape: expected a list of at most {MAX_DEPTH} whole numbers")
    if not isinstance(datatype, str) or datatype not in KINDS:
        raise InvalidInput(f"{where}: datatype: expected one of {', '.join(KINDS)}")
    if not isinstance(data, list):
        raise InvalidInput(f"{where}: data: expected a list")
    flat: list[Any] = []
    _flatten(data, flat, 0)
    if len(flat) != math.prod(shape):
        raise InvalidInput(f"{where}: shape {shape} has {math.prod(shape)} elements, data has {len(flat)}")
    if KINDS[datatype] == "whole" and not all(type(value) is int for value in flat if value is not None):
        raise InvalidInput(f"{where}: data: expected {datatype}, got something else")
    return item["name"], flat, shape, datatype


def _flatten(data: list[Any], flat: list[Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidInput("data: nested too deep")
    for value in data:
        if isinstance(value, list):
            _flatten(value, flat, depth + 1)
        else:
            flat.append(value)


def _accepts(wanted_type: str, given: str) -> bool:
    """Numbers may come in another width: each value is held against the signature anyway."""
    want, got = KINDS.get(wanted_type, "real"), KINDS[given]
    return want == got or {want, got} == {"whole", "real"}


def _output(output: Output) -> dict[str, Any]:
    values = output.values
    if not isinstance(values, np.ndarray):
        raise InvalidInput(f"outputs: {output.name} has no tensor form; ask for another output")
    datatype = DATATYPES.get(values.dtype.name, "BYTES")
    flat = plain(values.reshape(-1))
    if datatype == "BYTES":
        flat = [v if isinstance(v, str) else str(v) for v in (flat.tolist() if isinstance(flat, np.ndarray) else flat)]
    return {"name": output.name, "shape": list(values.shape), "datatype": datatype, "data": flat}
