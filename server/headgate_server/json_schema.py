"""The model's input as JSON Schema, for /openapi.json and /model/schema: what Strict takes, rules included."""

from collections.abc import Mapping
from typing import Any, Final

from headgate_server.rules import Rule, Rules
from headgate_server.signature import Column, Columns, Inputs, Tensor
from headgate_server.values import FLOAT_LIMITS, INT_RANGES

Schema = dict[str, Any]
DTYPE_OF_COLUMN: Final = {"integer": "int32", "long": "int64", "float": "float32", "double": "float64"}
TEXTS: Final[Mapping[str, Schema]] = {
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": "string", "format": "date-time"},
}


def record(inputs: Inputs, rules: Rules) -> Schema:
    """One row as an object by name."""
    if isinstance(inputs, Columns):
        properties = {c.name: _column(c, rules.get(c.name)) for c in inputs.columns}
        required = [c.name for c in inputs.columns if c.required]
    else:
        properties = {t.name: _tensor(t, t.shape[1:], rules.get(t.name)) for t in inputs.tensors}
        required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def row(inputs: Inputs, rules: Rules) -> Schema:
    """One row as a list in the signature's order."""
    if isinstance(inputs, Columns):
        items = [_column(c, rules.get(c.name)) for c in inputs.columns]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    tensor = inputs.tensors[0]
    return _tensor(tensor, tensor.shape[1:], rules.get(tensor.name))


def _column(column: Column, rule: Rule | None) -> Schema:
    dtype = DTYPE_OF_COLUMN.get(column.type)
    made = _number(dtype) if dtype else dict(TEXTS[column.type])
    made |= _ruled(rule)
    if column.required or column.type in {"boolean", "integer", "long"}:
        return made
    return {"anyOf": [made, {"type": "null"}]}


def _tensor(tensor: Tensor, shape: tuple[int, ...], rule: Rule | None) -> Schema:
    if not shape:
        word = {"bool": "boolean"}.get(tensor.dtype, "string")
        numeric = tensor.dtype in INT_RANGES or tensor.dtype in FLOAT_LIMITS
        return (_number(tensor.dtype) if numeric else {"type": word}) | _ruled(rule)
    made: Schema = {"type": "array", "items": _tensor(tensor, shape[1:], rule)}
    return made | ({"minItems": 1} if shape[0] == -1 else {"minItems": shape[0], "maxItems": shape[0]})


def _number(dtype: str) -> Schema:
    if dtype in INT_RANGES:
        low, high = INT_RANGES[dtype]
        return {"type": "integer", "minimum": low, "maximum": high}
    if dtype == "float64":
        return {"type": "number"}
    limit = FLOAT_LIMITS[dtype]
    return {"type": "number", "minimum": -limit, "maximum": limit}


def _ruled(rule: Rule | None) -> Schema:
    if rule is None:
        return {}
    made: Schema = {}
    if rule.low is not None:
        made["minimum"] = rule.low
    if rule.high is not None:
        made["maximum"] = rule.high
    if rule.pattern is not None:
        made |= {"pattern": rule.pattern.pattern, "maxLength": 256}
    if rule.allowed is not None:
        made["enum"] = sorted(rule.allowed)
    return made
