"""Fields a schema does not know: found, reported and taken out, with nulls that mean nothing."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from headgate_local.api.apply.paths import Path, field_element, item_element
from headgate_local.errors import FieldError, FieldReason
from headgate_local.schema import Schema
from headgate_local.store import Obj

NUMERIC = "numeric (int or float)"


def known(schema: Schema, obj: Obj, *, nulls: bool = False) -> tuple[Obj, list[str]]:
    """The object with only known fields, and the paths of the others, as strict decoding names them.

    `nulls` keeps those that mean nothing: an applied configuration owns them too, and clears what is there."""
    unknown: list[str] = []
    return _known(schema, obj, "", unknown, nulls), unknown


def without_null_texts(schema: Schema | None, value: Any) -> Any:
    """A null in a map of texts, as a typed decoder reads it: the key is there, and its text is empty."""
    if schema is None or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return [without_null_texts(schema.items, one) for one in value]
    if schema.additional is not None and schema.additional.type == "string" and not schema.properties:
        return {name: "" if item is None else item for name, item in value.items()}
    return {name: without_null_texts(schema.child(name), item) for name, item in value.items()}


def null_errors(schema: Schema | None, value: Any, path: str = "") -> Iterator[FieldError]:
    """The nulls in an applied custom object where the schema wants something else."""
    if schema is None:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            here, child = f"{path}.{name}" if path else name, schema.child(name)
            if item is None and child is not None and not child.nullable and not child.keeps_unknown and child.type:
                why = f'{here} in body must be of type {child.type}: "null"'
                yield FieldError(FieldReason.TYPE_INVALID, here, "null", why)
            else:
                yield from null_errors(child, item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from null_errors(schema.items, item, f"{path}[{index}]")


SCALARS = {"string": "string", "boolean": "boolean", "integer": NUMERIC, "number": NUMERIC}


def misfits(schema: Schema | None, value: Any, path: str = "") -> Iterator[str]:
    """What keeps an applied configuration from being one of its schema at all: other than the rules of a kind, it is
    not told in the words of a validation."""
    if schema is None or value is None or schema.int_or_string:
        return
    if schema.type and not _has_type(schema.type, value) and not (schema.type == "integer" and _is_number(value)):
        wanted = {"object": "map", "array": "list"}.get(schema.type) or SCALARS.get(schema.type, schema.type)
        given = "string" if wanted == NUMERIC and isinstance(value, str) else f"&{{{value}}}"
        yield f"{path}: expected {wanted}, got {given}"
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from misfits(schema.child(name), item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from misfits(schema.items, item, path)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def without_empties(schema: Schema | None, value: Any) -> Any:
    """A built-in object as Go encodes it: optional maps and lists that are empty are left out."""
    if schema is None:
        return value
    if isinstance(value, dict):
        return {
            name: without_empties(schema.child(name), item)
            for name, item in value.items()
            if not (_is_empty(schema.child(name), item) and name not in schema.required)
        }
    return [without_empties(schema.items, item) for item in value] if isinstance(value, list) else value


def _is_empty(schema: Schema | None, value: Any) -> bool:
    if schema is None or schema.keeps_unknown:
        return False
    return value == [] or (value == {} and schema.additional is not None)


GO_NAMES = {"boolean": "bool", "object": "map", "array": "[]"}


def mistyped(schema: Schema | None, value: Any, path: str = "") -> Iterator[str]:
    """What a typed decoder would trip over; such an object is no object of its kind at all."""
    if schema is None or value is None:
        return
    if schema.type and not schema.int_or_string and not _has_type(schema.type, value):
        given = "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else _given(value)
        wanted = schema.raw.get("format") if schema.type == "integer" else GO_NAMES.get(schema.type, schema.type)
        yield f"json: cannot unmarshal {given} into Go struct field {path} of type {wanted}"
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from mistyped(schema.child(name), item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from mistyped(schema.items, item, path)
    elif schema.raw.get("format") == "byte" and not _is_base64(value):
        yield f"illegal base64 data at input byte 0 in {path}: {json.dumps(value)}"


def _given(value: Any) -> str:
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _has_type(kind: str, value: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def repeated_keys(schema: Schema | None, value: Any, path: Path = ()) -> Iterator[Path]:
    """The items of lists that merge by key which name a key twice; an apply cannot tell them apart."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from repeated_keys(schema.child(name) if schema else None, item, (*path, field_element(name)))
    elif isinstance(value, list) and schema is not None and schema.list_type in ("map", "set"):
        seen: set[str] = set()
        for item in value:
            element = item_element(schema, item)
            if element in seen:
                yield (*path, element)
            seen.add(element)
            yield from repeated_keys(schema.items, item, (*path, element))


def _known(schema: Schema | None, value: Any, path: str, unknown: list[str], nulls: bool) -> Any:
    if schema is None:
        return value
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            here = f"{path}.{name}" if path else name
            child = schema.child(name)
            if child is None and not schema.keeps_unknown and not _meta_of_embedded(schema, name):
                unknown.append(here)
            elif item is None and child is not None and not child.nullable and not child.keeps_unknown and not nulls:
                continue  # null is absence, unless the schema says that it is a value
            else:
                kept[name] = _known(child, item, here, unknown, nulls)
        return kept
    if isinstance(value, list) and schema.items is not None:
        return [_known(schema.items, item, f"{path}[{index}]", unknown, nulls) for index, item in enumerate(value)]
    return value


def _meta_of_embedded(schema: Schema, name: str) -> bool:
    return schema.embedded and name in ("apiVersion", "kind", "metadata")
