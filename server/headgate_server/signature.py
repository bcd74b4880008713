"""The MLflow signature as types: what a model takes, in the words of its MLmodel.

Parsed once at load; a signature that cannot be understood refuses the model then, not a request later.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headgate_server.reasons import LoadError, Reason

COLUMN_TYPES: Final = frozenset({"boolean", "integer", "long", "float", "double", "string", "binary", "datetime"})
TENSOR_TYPES: Final[Mapping[str, str]] = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "str": "BYTES",
    "object": "BYTES",
}
V2_OF_COLUMN: Final[Mapping[str, str]] = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
    "datetime": "BYTES",
}


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    required: bool = True

    @property
    def datatype(self) -> str:
        return V2_OF_COLUMN[self.type]


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: str
    shape: tuple[int, ...]  # -1 = any
    named: bool = True  # False = the signature gives no name and this one is ours

    @property
    def datatype(self) -> str:
        return TENSOR_TYPES[self.dtype]


@dataclass(frozen=True)
class Columns:
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)


@dataclass(frozen=True)
class Tensors:
    tensors: tuple[Tensor, ...]


Inputs = Columns | Tensors


@dataclass(frozen=True)
class Param:
    """A parameter of a request, beside its input; `many` = a list of such values."""

    name: str
    type: str
    many: bool = False


@dataclass(frozen=True)
class Signature:
    inputs: Inputs | None
    outputs: Inputs | None
    params: tuple[Param, ...] = ()


NUMBERS: Final = frozenset({"integer", "long", "float", "double"})


def kinds(inputs: Inputs) -> Mapping[str, str]:
    """Of each input by name, whether it is a "number", a "text" or "other"."""
    if isinstance(inputs, Columns):
        texts = {"string": "text"}
        return {c.name: "number" if c.type in NUMBERS else texts.get(c.type, "other") for c in inputs.columns}
    words = {"bool": "other", "str": "text", "object": "text"}
    return {t.name: words.get(t.dtype, "number") for t in inputs.tensors}


def parse(raw: Any) -> Signature:
    """The `signature` of an MLmodel: an object whose members are JSON texts."""
    if raw is None:
        return Signature(None, None)
    if not isinstance(raw, dict):
        raise _invalid("signature is not an object")
    inputs = _schema(raw.get("inputs"), "inputs", strict=True)
    return Signature(inputs, _schema(raw.get("outputs"), "outputs", strict=False), _params(raw.get("params")))


def _schema(text: Any, where: str, *, strict: bool) -> Inputs | None:
    if text is None:
        return None
    try:
        items = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        raise _invalid(f"signature.{where} is not JSON") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _invalid(f"signature.{where} is not a list of objects")
    if not items:
        return None
    if all(item.get("type") == "tensor" for item in items):
        return Tensors(tuple(_tensor(item, where, n, len(items)) for n, item in enumerate(items)))
    return _columns(items, where, strict=strict)


def _params(text: Any) -> tuple[Param, ...]:
    try:
        items = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        raise _invalid("signature.params is not JSON") from None
    if items is None:
        return ()
    if not isinstance(items, list) or not all(isinstance(i, dict) and isinstance(i.get("name"), str) for i in items):
        raise _invalid("signature.params is not a list of objects with a name")
    # Of a type that we do not know nothing is checked; no served flavor computes with params.
    known = [item for item in items if item.get("type") in COLUMN_TYPES]
    return tuple(Param(item["name"], item["type"], item.get("shape") is not None) for item in known)


def _columns(items: Sequence[Mapping[str, Any]], where: str, *, strict: bool) -> Columns | None:
    columns = []
    for n, item in enumerate(items):
        name, kind = item.get("name"), item.get("type")
        if kind not in COLUMN_TYPES:
            if not strict:
                return None  # outputs only name V2 tensors; a type we do not know costs nothing there
            raise LoadError(Reason.UNSUPPORTED_FLAVOR, f"input column {name!r}: type {kind!r} is not served")
        if name is None and strict and len(items) > 1:
            raise _invalid(f"signature.{where}[{n}] has no name")
        columns.append(
            Column(str(name if name is not None else f"column-{n}"), str(kind), bool(item.get("required", True)))
        )
    if len({c.name for c in columns}) != len(columns):
        raise _invalid(f"signature.{where} names a column twice")
    return Columns(tuple(columns))


def _tensor(item: Mapping[str, Any], where: str, n: int, count: int) -> Tensor:
    spec = item.get("tensor-spec")
    if not isinstance(spec, dict):
        raise _invalid(f"signature.{where}[{n}] has no tensor-spec")
    dtype, shape, name = spec.get("dtype"), spec.get("shape"), item.get("name")
    if dtype not in TENSOR_TYPES:
        raise LoadError(Reason.UNSUPPORTED_FLAVOR, f"signature.{where}[{n}]: dtype {dtype!r} is not served")
    if not isinstance(shape, list) or not all(isinstance(d, int) and d >= -1 for d in shape):
        raise _invalid(f"signature.{where}[{n}]: the shape is not a list of whole numbers from -1")
    if name is None and count > 1:
        raise _invalid(f"signature.{where}[{n}] has no name")
    word = "input-0" if where == "inputs" else "predict"
    return Tensor(str(name) if name is not None else word, str(dtype), tuple(shape), name is not None)


def _invalid(message: str) -> LoadError:
    return LoadError(Reason.ARTIFACT_INVALID, f"MLmodel: {message}")
