"""Open Inference Protocol V2: infer in JSON and binary tensors, metadata.

Raw bodies only: a missing Content-Type is JSON, and every error is `{"error": "..."}` (see failures). FP16 comes in
as bytes only and goes out in JSON as FP32, which holds it exactly; BF16 is not served.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from headgate_server.loaders.runtime import Model, Output
from headgate_server.protocols import tensors, v2_lone
from headgate_server.protocols.call import BINARY, Call, Content, Facts, Reply
from headgate_server.protocols.jsonable import dumps, plain
from headgate_server.signature import Columns
from headgate_server.validation import Array, Batch, Detail, InvalidInput, Validator

if TYPE_CHECKING:
    from headgate_server.loading import Loaded

MAX_DEPTH: Final = 16
EXTENSIONS: Final = ("binary_tensor_data",)
KINDS: Final[Mapping[str, str]] = {
    "BOOL": "boolean",
    **{f"{sign}INT{bits}": "whole" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": "real" for bits in (16, 32, 64)},
    "BYTES": "text",
}
# Parameters that ask for what is not here: ignored, they would give an answer to another question.
UNSUPPORTED: Final = ("classification", "shared_memory_region")


class Asked(NamedTuple):
    """An output that the request wants, and how."""

    name: str
    binary: bool


def read(content: Content, loaded: "Loaded") -> Call:
    body = content.json()
    # Not the body: it would be kept until the model has time, and nobody asked for it back.
    echoed = {"id": body["id"]} if isinstance(body, dict) and "id" in body else {}
    lone = _lone(loaded.validator)
    if lone is not None and content.json_bytes is None and (made := v2_lone.batch(body, lone)) is not None:
        return Call(made, loaded.model.default_outputs, partial(_short_answer, echoed, loaded))
    tail = memoryview(b"" if content.json_bytes is None else content.raw)[content.json_bytes or 0 :]
    made = batch(body, loaded.validator, tail)
    asked = wanted(body, loaded.model)
    return Call(made, [o.name for o in asked], partial(_answer, echoed, asked, loaded))


@lru_cache(maxsize=2)  # the model that is served, and the one that takes its place
def _lone(validator: Validator) -> v2_lone.Lone | None:
    return v2_lone.compiled(validator)


def batch(body: Any, validator: Validator, tail: memoryview = memoryview(b"")) -> Batch:  # noqa: B008 - immutable
    """The request's inputs, validated; `tail` is what follows the JSON."""
    if not isinstance(body, dict) or not isinstance(body.get("inputs"), list) or not body["inputs"]:
        raise InvalidInput("expected an object with a list of inputs")
    if not isinstance(body.get("id", ""), str):
        raise InvalidInput("id: expected a string")
    _parameters(body, "parameters")
    known, unnamed = validator.datatypes, validator.unnamed
    given: dict[str, tuple[Any, Sequence[int]]] = {}
    for n, item in enumerate(body["inputs"]):
        name, flat, shape, datatype, tail = _input(item, n, tail)
        if unnamed is not None:
            name = unnamed  # MLflow's tensor without a name takes any
        if name in given:
            raise InvalidInput(f"inputs[{n}]: the name stands there twice")
        if name in known and not _accepts(known[name], datatype):
            message = f"expected {known[name]}, got {datatype}"
            raise InvalidInput(f"{name}: {message}", [Detail(name, message)])
        given[name] = (flat, shape)
    if len(tail):
        raise InvalidInput(f"{len(tail)} bytes follow the JSON that no input's binary_data_size speaks of")
    return validator.named(given)


def wanted(body: Mapping[str, Any], model: Model) -> list[Asked]:
    """The requested outputs, or the model's default ones."""
    binary = _parameters(body, "parameters").get("binary_data_output", False)
    if type(binary) is not bool:
        raise InvalidInput("parameters: binary_data_output: expected true or false")
    asked = body.get("outputs")
    if asked is None or asked == []:
        return [Asked(name, binary) for name in model.default_outputs]
    if not isinstance(asked, list) or not all(isinstance(o, dict) and isinstance(o.get("name"), str) for o in asked):
        raise InvalidInput("outputs: expected a list of objects with a name")
    known = [spec.name for spec in model.outputs]
    if not {o["name"] for o in asked} <= set(known):
        raise InvalidInput(f"outputs: unknown name; known are {', '.join(known)}")
    if len({o["name"] for o in asked}) != len(asked):
        raise InvalidInput("outputs: a name stands there twice")
    return [_asked(output, n, default=binary) for n, output in enumerate(asked)]


def metadata(model: Model, name: str, version: str) -> dict[str, Any]:
    inputs = (
        [{"name": c.name, "datatype": c.datatype, "shape": [-1]} for c in model.inputs.columns]
        if isinstance(model.inputs, Columns)
        else [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in model.inputs.tensors]
    )
    outputs = [{"name": o.name, "datatype": o.datatype, "shape": list(o.shape)} for o in model.outputs]
    return {"name": name, "versions": [version], "platform": model.platform, "inputs": inputs, "outputs": outputs}


def _parameters(item: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    given = item.get("parameters")
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str | bool | int | float) for value in given.values()):
        raise InvalidInput(f"{where}: expected an object of strings, numbers and booleans")
    for name in UNSUPPORTED:
        if name in given:
            raise InvalidInput(f"{where}: {name} is not supported here")
    return given


def _asked(output: Mapping[str, Any], n: int, *, default: bool) -> Asked:
    where = f"outputs[{n}]: parameters"
    binary = _parameters(output, where).get("binary_data", default)
    if type(binary) is not bool:
        raise InvalidInput(f"{where}: binary_data: expected true or false")
    return Asked(output["name"], binary)


def _input(item: Any, n: int, tail: memoryview) -> tuple[str, Any, Sequence[int], str, memoryview]:
    where = f"inputs[{n}]"
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise InvalidInput(f"{where}: expected an object with a name")
    shape, datatype, data = item.get("shape"), item.get("datatype"), item.get("data")
    if not isinstance(shape, list) or len(shape) > MAX_DEPTH or not _are_sizes(shape):
        # Bounded before it is multiplied: a long shape of large numbers takes the event loop for minutes.
        raise InvalidInput(f"{where}: shape: expected a list of at most {MAX_DEPTH} whole numbers")
    if not isinstance(datatype, str) or datatype not in KINDS:
        raise InvalidInput(f"{where}: datatype: expected one of {', '.join(KINDS)}")
    size = _parameters(item, f"{where}: parameters").get("binary_data_size")
    if size is None:
        return item["name"], _of_json(data, datatype, shape, where), shape, datatype, tail
    if data is not None:
        raise InvalidInput(f"{where}: expected data or binary_data_size, got both")
    if type(size) is not int or not 0 <= size <= len(tail):
        raise InvalidInput(
            f"{where}: binary_data_size: expected the number of its bytes after the JSON "
            "(whose length the header Inference-Header-Content-Length tells)"
        )
    return item["name"], tensors.decode(tail[:size], datatype, math.prod(shape), where), shape, datatype, tail[size:]


def _are_sizes(shape: Sequence[Any]) -> bool:
    return all(type(size) is int and size >= 0 for size in shape)


def _of_json(data: Any, datatype: str, shape: Sequence[int], where: str) -> list[Any]:
    if datatype == "FP16":
        raise InvalidInput(f"{where}: FP16 is taken as binary data only; send FP32")
    if not isinstance(data, list):
        raise InvalidInput(f"{where}: data: expected a list")
    flat: list[Any] = data
    if list in map(type, data):
        flat = []
        _flatten(data, flat, 0)
    if len(flat) != (elements := math.prod(shape)):
        raise InvalidInput(f"{where}: shape {shape} has {elements} elements, data has {len(flat)}")
    if KINDS[datatype] == "whole" and not all(type(value) is int for value in flat if value is not None):
        raise InvalidInput(f"{where}: data: expected {datatype}, got something else")
    return flat


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


def _short_answer(echoed: Mapping[str, Any], loaded: "Loaded", outputs: Sequence[Output], facts: Facts) -> Reply:
    body = None if echoed else v2_lone.answer(loaded.name, loaded.version, outputs)
    if body is not None:
        return Reply(body)
    return _answer(echoed, [Asked(output.name, False) for output in outputs], loaded, outputs, facts)


def _answer(
    echoed: Mapping[str, Any], asked: Sequence[Asked], loaded: "Loaded", outputs: Sequence[Output], _: Facts
) -> Reply:
    made: dict[str, Any] = {"model_name": loaded.name, "model_version": loaded.version, **echoed}
    tail: list[bytes] = []
    made["outputs"] = [
        _output(output, tail if want.binary else None) for want, output in zip(asked, outputs, strict=True)
    ]
    head = dumps(made)
    if not tail:
        return Reply(head)
    return Reply(b"".join([head, *tail]), BINARY, {"inference-header-content-length": str(len(head))})


def _output(output: Output, tail: list[bytes] | None) -> dict[str, Any]:
    values = output.values
    if not isinstance(values, np.ndarray):
        raise InvalidInput(f"outputs: {output.name} has no tensor form; ask for another output")
    datatype = tensors.datatype_of(values.dtype)
    if tail is None and datatype == "FP16":
        values, datatype = values.astype(np.float32), "FP32"
    made = {"name": output.name, "shape": list(values.shape), "datatype": datatype}
    if tail is not None:
        tail.append(tensors.encode(values))
        return made | {"parameters": {"binary_data_size": len(tail[-1])}}
    made["data"] = _texts(values) if datatype == "BYTES" else plain(values.reshape(-1))
    return made


def _texts(values: Array) -> list[str]:
    return [v if isinstance(v, str) else str(v) for v in values.reshape(-1).tolist()]
