"""Frozen dataclasses to JSON and back: camelCase names, RFC 3339 times, None and empty lists left out.

One rule for the whole of status, so that what is written is read again as the same value (a property test holds it).
Unknown fields are ignored and unreadable values dropped: a status is rebuilt from the world, it must never wedge.
"""

from __future__ import annotations

import dataclasses
import types
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from headgate_operator.api.durations import format_time, parse_time
from headgate_operator.api.text import keepable

T = TypeVar("T")


class UnreadableError(ValueError):
    """A value of another type than the field's."""


def camel(name: str) -> str:
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


def to_json(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((camel(field.name), getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: to_json(item) for name, item in pairs if item is not None and item != ()}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, StrEnum):
        return str(value)
    return keepable(value) if isinstance(value, str) else value


def from_json(kind: type[T], value: object) -> T:
    """`kind` is a dataclass whose fields all have defaults or are present; UnreadableError otherwise."""
    if not isinstance(value, dict):
        raise UnreadableError(f"{kind.__name__} is not an object")
    hints: dict[str, Any] = _hints(kind)  # type: ignore[arg-type]
    known: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        raw = value.get(camel(field.name))
        if raw is None:
            continue
        try:
            known[field.name] = _read(hints[field.name], raw)
        except ValueError:
            if _required(field):
                raise
    try:
        return kind(**known)
    except TypeError as error:
        raise UnreadableError(str(error)) from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read(hint: Any, raw: object) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (option for option in get_args(hint) if option is not type(None))
    if get_origin(hint) is tuple:
        return _read_items(get_args(hint)[0], raw)
    if dataclasses.is_dataclass(hint):
        return from_json(hint, raw)  # type: ignore[arg-type]
    if hint is datetime:
        return parse_time(_typed(str, raw))
    if issubclass(hint, StrEnum):
        return hint(_typed(str, raw))
    return _typed(hint, raw)


def _read_items(hint: Any, raw: object) -> tuple[Any, ...]:
    items = []
    for item in _typed(list, raw):
        try:
            items.append(_read(hint, item))
        except ValueError:
            continue  # one entry that cannot be read does not take the others with it
    return tuple(items)


def _typed(kind: type[T], raw: object) -> T:
    if not isinstance(raw, kind) or (kind is int and isinstance(raw, bool)):
        raise UnreadableError(f"{raw!r} is no {kind.__name__}")
    return raw
