"""The part of JSONPath that printer columns use: fields, indexes and filters by equality."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

STEP = re.compile(
    r"""\.(?P<field>(?:\\.|[^.\[\]\\])+)
      | \[(?P<index>-?\d+)\]
      | \[(?P<every>\*)\]
      | \[\?\(@(?P<path>[^=!)]+?)\s*(?P<operator>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|[^)]*)\)\]
      | \[(?P<quoted>'[^']*'|"[^"]*")\]""",
    re.VERBOSE,
)
Walk = Callable[[Any], Iterator[Any]]


def first(path: str, obj: Any) -> Any:
    """The first value the path leads to, or None."""
    values: Iterator[Any] = iter((obj,))
    for step in _steps(path):
        values = _spread(values, step)
    return next(values, None)


def _spread(values: Iterator[Any], step: Walk) -> Iterator[Any]:
    for value in values:
        yield from step(value)


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[Walk, ...]:
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[Walk] = []
    while text:
        found = STEP.match(text)
        if found is None:
            return (_nothing,)
        steps.append(_step(found))
        text = text[found.end() :]
    return tuple(steps)


def _nothing(value: Any) -> Iterator[Any]:
    del value
    return iter(())


def _step(found: re.Match[str]) -> Walk:
    if found["field"] is not None:
        return _field(found["field"].replace("\\", ""))
    if found["quoted"] is not None:
        return _field(found["quoted"][1:-1])
    if found["every"] is not None:
        return lambda value: iter(value) if isinstance(value, list) else iter(())
    if found["index"] is not None:
        return _index(int(found["index"]))
    return _filter(found["path"].strip(), found["operator"] == "==", found["value"].strip().strip("\"'"))


def _field(name: str) -> Walk:
    def walk(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and value.get(name) is not None:
            yield value[name]

    return walk


def _index(at: int) -> Walk:
    def walk(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= at < len(value):
            yield value[at]

    return walk


def _filter(path: str, equal: bool, wanted: str) -> Walk:
    def holds(item: Any) -> bool:
        found = first(path, item)
        text = str(found).lower() if isinstance(found, bool) else str(found)
        return (found is not None and text == wanted) == equal

    return lambda value: (item for item in value if holds(item)) if isinstance(value, list) else iter(())
