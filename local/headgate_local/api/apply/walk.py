"""Walks over values by their schema: which fields a value has, what differs between two, merging and removing.

Where the schema says nothing (None), maps merge by key and lists are atomic, as for schemaless fields in Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from headgate_local.api.apply.paths import Path, PathSet, field_element, item_element
from headgate_local.schema import Schema


class Absent:
    """The absence of a value, which is not the same as null."""


ABSENT = Absent()


def merges_map(schema: Schema | None, value: Any) -> bool:
    return isinstance(value, dict) and not (schema is not None and schema.atomic_map)


def merges_list(schema: Schema | None, value: Any) -> bool:
    return isinstance(value, list) and schema is not None and schema.list_type in ("map", "set")


def child_of(schema: Schema | None, name: str) -> Schema | None:
    return schema.child(name) if schema is not None else None


def field_set(schema: Schema | None, value: Any) -> PathSet:
    return frozenset(_fields(schema, value, ()))


def _fields(schema: Schema | None, value: Any, path: Path) -> Iterator[Path]:
    if merges_map(schema, value):
        for name, item in value.items():
            here = (*path, field_element(name))
            declared = schema is not None and name in schema.properties
            yield from _fields(child_of(schema, name), item, here)
            if item is None or item == {} or not declared:
                yield here
    elif merges_list(schema, value):
        assert schema is not None  # noqa: S101 - merges_list says so
        for item in value:
            here = (*path, item_element(schema, item))
            yield from _fields(schema.items, item, here)
            yield here
    elif path:
        yield path


@dataclass
class Comparison:
    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def compare(schema: Schema | None, old: Any, new: Any) -> Comparison:
    found = Comparison()
    _compare(schema, old, new, (), found)
    return found


def _compare(schema: Schema | None, old: Any, new: Any, path: Path, found: Comparison) -> None:
    if old is not ABSENT and new is not ABSENT and _same(old, new):
        return
    old_map, new_map = merges_map(schema, old), merges_map(schema, new)
    old_list, new_list = merges_list(schema, old), merges_list(schema, new)
    if (old_map or new_map) and (old or new) and _compatible(old, old_map) and _compatible(new, new_map):
        before, after = old if old_map else {}, new if new_map else {}
        for name in dict.fromkeys((*before, *after)):
            here = (*path, field_element(name))
            _compare(child_of(schema, name), before.get(name, ABSENT), after.get(name, ABSENT), here, found)
        _mark_presence(old, new, path, found)
    elif (old_list or new_list) and (old or new) and _compatible(old, old_list) and _compatible(new, new_list):
        assert schema is not None  # noqa: S101 - merges_list says so
        before = {item_element(schema, item): item for item in old} if old_list else {}
        after = {item_element(schema, item): item for item in new} if new_list else {}
        for element in dict.fromkeys((*before, *after)):
            here = (*path, element)
            _compare(schema.items, before.get(element, ABSENT), after.get(element, ABSENT), here, found)
        _mark_presence(old, new, path, found)
    elif old is ABSENT:
        found.added.add(path)
    elif new is ABSENT:
        found.removed.add(path)
    else:
        found.modified.add(path)


def _compatible(value: Any, merges: bool) -> bool:
    return merges or value is ABSENT or value is None


def _mark_presence(old: Any, new: Any, path: Path, found: Comparison) -> None:
    if old is ABSENT:
        found.added.add(path)
    elif new is ABSENT:
        found.removed.add(path)


def _same(old: Any, new: Any) -> bool:
    # True == 1 in Python, but not in JSON.
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def merge(schema: Schema | None, live: Any, config: Any) -> Any:
    """The live value with the configuration laid over it; the configuration wins, keyed lists merge item by item."""
    if merges_map(schema, config) and isinstance(live, dict):
        merged = dict(live)
        for name, value in config.items():
            merged[name] = merge(child_of(schema, name), live[name], value) if name in live else value
        return merged
    if merges_list(schema, config) and isinstance(live, list):
        return _merge_list(schema, live, config)
    return config


def _merge_list(schema: Schema | None, live: list[Any], config: list[Any]) -> list[Any]:
    """Keeps the applied order among shared items and the live order among the others, as structured-merge-diff does."""
    assert schema is not None  # noqa: S101 - only called for lists with a schema
    left = [(item_element(schema, item), item) for item in live]
    right = [(item_element(schema, item), item) for item in config]
    left_by, right_by = dict(left), dict(right)
    shared = [element for element, _ in right if element in left_by]
    merged: dict[str, Any] = {}

    def take(element: str) -> None:
        if element in left_by and element in right_by:
            merged[element] = merge(schema.items, left_by[element], right_by[element])
        else:
            merged[element] = left_by.get(element, right_by.get(element))
        if shared and shared[0] == element:
            shared.pop(0)

    at_left = at_right = 0
    while at_left < len(left) or at_right < len(right):
        if at_left < len(left):
            element = left[at_left][0]
            if at_right < len(right):
                if element == right[at_right][0]:
                    take(element)
                    at_left, at_right = at_left + 1, at_right + 1
                    continue
                if element in right_by and shared and shared[0] != element:
                    at_left += 1
                    continue
            if element not in right_by:
                take(element)
                at_left += 1
                continue
            if element in merged:
                at_left += 1
        if at_right < len(right):
            take(right[at_right][0])
            at_right += 1
    return list(merged.values())


def remove(schema: Schema | None, value: Any, paths: PathSet) -> Any:
    """The value without the named nodes; a container that loses its last member stays, empty."""
    return _remove(schema, value, paths, ()) if paths else value


def _remove(schema: Schema | None, value: Any, paths: PathSet, path: Path) -> Any:
    if merges_map(schema, value):
        kept = {}
        for name, item in value.items():
            here = (*path, field_element(name))
            if here not in paths:
                kept[name] = _remove(child_of(schema, name), item, paths, here)
        return kept
    if merges_list(schema, value):
        assert schema is not None  # noqa: S101 - merges_list says so
        items = [((*path, item_element(schema, item)), item) for item in value]
        return [_remove(schema.items, item, paths, here) for here, item in items if here not in paths]
    return value


def with_declared(schema: Schema | None, paths: PathSet) -> PathSet:
    """Adds the declared fields above every path, so that removing all of a struct removes the struct itself."""
    return paths | {path[:length] for path in paths for length in _declared_lengths(schema, path)}


def _declared_lengths(schema: Schema | None, path: Path) -> Iterator[int]:
    node = schema
    for length, element in enumerate(path[:-1], start=1):
        if node is None:
            return
        if element.startswith("f:"):
            name = element[2:]
            if name in node.properties:
                yield length
            node = node.child(name)
        else:
            node = node.items
