"""Validation of values against the OpenAPI part of a custom kind's schema, in the words of the real server."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from headgate_local.errors import FieldError, FieldReason, invalid, not_supported, required
from headgate_local.schema import Schema


def validate(schema: Schema, value: Any, path: str = "") -> list[FieldError]:
    return list(_errors(schema, value, path))


def _errors(schema: Schema, value: Any, path: str) -> Iterator[FieldError]:
    if value is None and schema.nullable:
        return
    wrong_type = _type_error(schema, value, path)
    if wrong_type is not None:
        yield wrong_type
        return
    if "enum" in schema.raw and value not in schema.raw["enum"]:
        allowed = [one if isinstance(one, str) else json.dumps(one) for one in schema.raw["enum"]]
        yield not_supported(path, value, allowed)
    if isinstance(value, str):
        yield from _string_errors(schema, value, path)
    elif isinstance(value, bool):
        pass
    elif isinstance(value, int | float):
        yield from _number_errors(schema, value, path)
    elif isinstance(value, list):
        yield from _list_errors(schema, value, path)
    elif isinstance(value, dict):
        yield from _object_errors(schema, value, path)
    yield from _combined_errors(schema, value, path)


def type_name(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "null"


def _type_error(schema: Schema, value: Any, path: str) -> FieldError | None:
    found = type_name(value)
    if schema.int_or_string:
        expected = ["integer", "string"]
    elif schema.type:
        expected = [schema.type]
    else:
        return None
    if found in expected or (found == "integer" and "number" in expected):
        return None
    if found == "number" and "integer" in expected and math.floor(value) == value:
        return None
    detail = f'{_in_body(path)} must be of type {",".join(expected)}: "{found}"'
    return FieldError(FieldReason.TYPE_INVALID, path, found, detail)


def _in_body(path: str) -> str:
    return f"{path} in body"


def _string_errors(schema: Schema, value: str, path: str) -> Iterator[FieldError]:
    raw = schema.raw
    if "maxLength" in raw and len(value) > raw["maxLength"]:
        yield FieldError(FieldReason.TOO_LONG, path, detail=_at_most(raw["maxLength"], "byte"))
    if "minLength" in raw and len(value) < raw["minLength"]:
        yield invalid(path, value, f"{_in_body(path)} should be at least {raw['minLength']} chars long")
    if "pattern" in raw and not _pattern(raw["pattern"]).search(value):
        yield invalid(path, value, f"{_in_body(path)} should match '{raw['pattern']}'")
    check = FORMATS.get(raw.get("format", ""))
    if check is not None and not check(value):
        detail = f'{_in_body(path)} must be of type {raw["format"]}: "{value}"'
        yield FieldError(FieldReason.TYPE_INVALID, path, value, detail)


def _at_most(count: int, unit: str) -> str:
    return f"may not be more than {count} {unit}{'' if count == 1 else 's'}"


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    # RE2 has no multi-line dollar: Python's $ also matches before a final newline, \Z does not.
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", text))


def _number_errors(schema: Schema, value: float, path: str) -> Iterator[FieldError]:
    raw = schema.raw
    if "maximum" in raw:
        strict = raw.get("exclusiveMaximum")
        if value > raw["maximum"] or (strict and value == raw["maximum"]):
            words = "less than" if strict else "less than or equal to"
            yield invalid(path, value, f"{_in_body(path)} should be {words} {raw['maximum']}")
    if "minimum" in raw:
        strict = raw.get("exclusiveMinimum")
        if value < raw["minimum"] or (strict and value == raw["minimum"]):
            words = "greater than" if strict else "greater than or equal to"
            yield invalid(path, value, f"{_in_body(path)} should be {words} {raw['minimum']}")
    if raw.get("multipleOf") and value % raw["multipleOf"]:
        yield invalid(path, value, f"{_in_body(path)} should be a multiple of {raw['multipleOf']}")
    bits = {"int32": 31, "int64": 63}.get(raw.get("format", ""))
    if bits and not -(2**bits) <= value < 2**bits:
        yield invalid(path, value, f"Checked value must be of type integer with format {raw['format']} in body")


def _list_errors(schema: Schema, value: list[Any], path: str) -> Iterator[FieldError]:
    raw = schema.raw
    if schema.items is not None:
        for index, item in enumerate(value):
            yield from _errors(schema.items, item, f"{path}[{index}]")
    if "minItems" in raw and len(value) < raw["minItems"]:
        yield invalid(path, len(value), f"{_in_body(path)} should have at least {raw['minItems']} items")
    if "maxItems" in raw and len(value) > raw["maxItems"]:
        yield _too_many(path, len(value), raw["maxItems"])
    if raw.get("uniqueItems") and _repeated(value) is not None:
        yield invalid(path, value, f"{_in_body(path)} shouldn't contain duplicates")


def _too_many(path: str, found: int, most: int) -> FieldError:
    return FieldError(FieldReason.TOO_MANY, path, found, f"must have at most {most} item{'' if most == 1 else 's'}")


def _repeated(items: list[Any]) -> int | None:
    seen: list[Any] = []
    for index, item in enumerate(items):
        if item in seen:
            return index
        seen.append(item)
    return None


def _object_errors(schema: Schema, value: dict[str, Any], path: str) -> Iterator[FieldError]:
    raw = schema.raw
    for name in schema.required:
        if name not in value:
            yield required(_child(path, name))
    if "maxProperties" in raw and len(value) > raw["maxProperties"]:
        yield _too_many(path, len(value), raw["maxProperties"])
    if "minProperties" in raw and len(value) < raw["minProperties"]:
        yield invalid(path, len(value), f"{_in_body(path)} should have at least {raw['minProperties']} properties")
    for name, item in value.items():
        child = schema.child(name)
        if child is not None:
            yield from _errors(child, item, _child(path, name))


def _child(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _combined_errors(schema: Schema, value: Any, path: str) -> Iterator[FieldError]:
    raw = schema.raw
    for one in raw.get("allOf", ()):
        yield from _errors(Schema(one, {}), value, path)
    if "anyOf" in raw and not any(_fits(one, value) for one in raw["anyOf"]):
        yield invalid(path, _whole(value), f"{_in_body(path)} must validate at least one schema (anyOf)")
    if "oneOf" in raw:
        fitting = sum(_fits(one, value) for one in raw["oneOf"])
        if fitting != 1:
            found = "Found none valid" if fitting == 0 else f"Found {fitting} valid alternatives"
            yield invalid(
                path, _whole(value), f"{_in_body(path)} must validate one and only one schema (oneOf). {found}"
            )
    if "not" in raw and _fits(raw["not"], value):
        yield invalid(path, _whole(value), f"{_in_body(path)} must not validate the schema (not)")


def _fits(raw: dict[str, Any], value: Any) -> bool:
    return not validate(Schema(raw, {}), value)


def _whole(value: Any) -> Any:
    return value


def list_errors(schema: Schema | None, value: Any, path: str = "") -> Iterator[FieldError]:
    """Duplicates in lists that are sets or maps; the real server checks them apart from the OpenAPI part."""
    if schema is None:
        return
    if isinstance(value, dict):
        for name, item in value.items():
            yield from list_errors(schema.child(name), item, _child(path, name))
    elif isinstance(value, list):
        seen: list[Any] = []
        for index, item in enumerate(value):
            key = {name: item.get(name) for name in schema.map_keys} if schema.list_type == "map" else item
            if schema.list_type != "atomic" and key in seen:
                yield FieldError(FieldReason.DUPLICATE, f"{path}[{index}]", key)
            seen.append(key)
            yield from list_errors(schema.items, item, f"{path}[{index}]")


def _is_date_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return "T" in text.upper() and (text.endswith("Z") or bool(re.search(r"[+-]\d\d:\d\d$", text)))


def _is_uri(text: str) -> bool:
    return bool(urlsplit(text).scheme) and not re.search(r"\s", text)


FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _is_date_time,
    "date": lambda text: bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text)),
    "uri": _is_uri,
    "uuid": lambda text: bool(
        re.fullmatch(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", text)
    ),
    "byte": lambda text: bool(re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", text)) and len(text) % 4 == 0,
    "hostname": lambda text: bool(re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,253}[A-Za-z0-9])?", text)),
    "ipv4": lambda text: bool(re.fullmatch(r"(\d{1,3}\.){3}\d{1,3}", text)),
    "duration": lambda text: bool(re.fullmatch(r"-?(\d+(\.\d*)?|\.\d+)\s*(ns|us|µs|ms|s|m|h|d|w).*", text)),
}
