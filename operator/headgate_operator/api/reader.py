"""Reading JSON objects with errors that name the field: the only place where a spec's shape is doubted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from headgate_operator.api.durations import parse_duration
from headgate_operator.api.errors import SpecError

T = TypeVar("T")
_PERCENTAGE = re.compile(r"100%|[0-9]{1,2}%", re.ASCII)


class Reader:
    """One JSON object and where it stands. Absent and null are the same, as they are to Kubernetes."""

    def __init__(self, value: object, path: str) -> None:
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise SpecError(path, "must be an object")
        self._value = value
        self.path = path

    def error(self, name: str, why: str) -> SpecError:
        return SpecError(f"{self.path}.{name}", why)

    def has(self, name: str) -> bool:
        return self._value.get(name) is not None

    def object(self, name: str) -> Reader:
        return Reader(self._value.get(name), f"{self.path}.{name}")

    def _typed(self, name: str, kind: type[T], words: str) -> T | None:
        value = self._value.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(name, f"must be {words}")
        return value

    def text(self, name: str) -> str | None:
        return self._typed(name, str, "a string")

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise self.error(name, "is required")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._typed(name, bool, "true or false")
        return default if value is None else value

    def integer(self, name: str, *, low: int, high: int) -> int | None:
        value = self._typed(name, int, "a whole number")
        if value is not None and not low <= value <= high:
            raise self.error(name, f"must be from {low} to {high}")
        return value

    def integer_or_percentage(self, name: str, *, high: int) -> int | str | None:
        value = self._value.get(name)
        if isinstance(value, str):
            if not _PERCENTAGE.fullmatch(value):
                raise self.error(name, 'must be a whole number or a percentage from "0%" to "100%"')
            return value
        return self.integer(name, low=0, high=high)

    def duration(self, name: str) -> timedelta | None:
        return self._parsed(name, parse_duration)

    def _parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise self.error(name, str(error)) from error

    def json(self, name: str) -> Mapping[str, Any]:
        return self._typed(name, dict, "an object") or {}

    def texts(self, name: str) -> Mapping[str, str]:
        values = self.json(name)
        for key, value in values.items():
            if not isinstance(value, str):
                raise self.error(f"{name}.{key}", "must be a string (put it in quotes)")
        return values

    def objects(self, name: str) -> tuple[Reader, ...]:
        values = self._typed(name, list, "a list") or []
        return tuple(Reader(value, f"{self.path}.{name}[{index}]") for index, value in enumerate(values))

    @property
    def raw(self) -> Mapping[str, Any]:
        return self._value
