"""A JSON object and where it stands, so that what is refused in it is refused with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn


class CaseError(ValueError):
    """Not a case that can be replayed."""


@dataclass(frozen=True, slots=True)
class Place:
    path: str
    items: Mapping[str, Any]

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def refuse(self, name: str, why: str) -> NoReturn:
        raise CaseError(f"{self.at(name)}: {why}")

    def number(self, name: str, default: float | None = None, *, least: float = 0.0, most: float = 1e15) -> float:
        value = self.items.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(name, "is missing" if name not in self.items else f"must be a number, not {shown(value)}")
        if not least <= value <= most:
            self.refuse(
                name,
                f"must be {'at least' if value < least else 'at most'} "
                f"{least if value < least else most:g}, not {value}",
            )
        return float(value)

    def share(self, name: str, default: float) -> float:
        """A probability: strictly between 0 and 1."""
        value = self.number(name, default)
        if not 0 < value < 1:
            self.refuse(name, f"must lie between 0 and 1, not {value}")
        return value

    def words(self, name: str) -> str | None:
        value = self.items.get(name)
        if value is not None and not isinstance(value, str):
            self.refuse(name, f"must be a string, not {shown(value)}")
        return value

    def inside(self, name: str) -> Place | None:
        value = self.items.get(name)
        if value is None:
            return None
        return Place(self.at(name), an_object(self.at(name), value))

    def each(self, name: str) -> list[Place]:
        value = self.items.get(name)
        if not isinstance(value, list):
            self.refuse(name, "is missing" if name not in self.items else f"must be a list, not {shown(value)}")
        return [
            Place(path, an_object(path, item))
            for path, item in ((f"{self.at(name)}[{index}]", item) for index, item in enumerate(value))
        ]


def shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def an_object(path: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CaseError(f"{path}: must be an object, not {shown(value)}")
    return value
