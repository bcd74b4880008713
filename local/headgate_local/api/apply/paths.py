"""Field paths and sets of them, in the `fieldsV1` notation of managedFields.

A path element is kept as its wire text (`f:spec`, `k:{"name":"web"}`, `v:"x"`), so that sets are plain frozensets and
the wire form is a nested grouping of them. A path in a set owns exactly that node, not what lies below it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from headgate_local.schema import Schema

Path = tuple[str, ...]
PathSet = frozenset[Path]


def field_element(name: str) -> str:
    return f"f:{name}"


def item_element(schema: Schema | None, item: Any) -> str:
    """Names an item of a list that merges: by value in a set, by its key fields in a map."""
    if schema is None or schema.list_type != "map":
        return f"v:{_json(item)}"
    keys = {key: _key_value(schema, item, key) for key in schema.map_keys}
    return f"k:{_json({key: value for key, value in sorted(keys.items()) if value is not None})}"


def _key_value(schema: Schema, item: Any, key: str) -> Any:
    value = item.get(key) if isinstance(item, Mapping) else None
    if value is not None:
        return value
    # A port without protocol is the same item as one with TCP: the key's default stands in.
    child = schema.items.child(key) if schema.items else None
    return child.raw.get("default") if child else None


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def from_fields(fields: Mapping[str, Any]) -> PathSet:
    return frozenset(_paths(fields, ()))


def _paths(fields: Mapping[str, Any], above: Path) -> Iterable[Path]:
    for element, below in fields.items():
        if element == ".":
            continue
        path = (*above, element)
        # A leaf is an empty map; a node that is owned and has owned children says so with ".".
        if not below or "." in below:
            yield path
        yield from _paths(below, path)


def to_fields(paths: PathSet) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for path in sorted(paths, key=len, reverse=True):
        node = fields
        for element in path:
            node = node.setdefault(element, {})
        if node:
            node["."] = {}
    return _sorted(fields)


def _sorted(fields: dict[str, Any]) -> dict[str, Any]:
    return {element: _sorted(fields[element]) for element in sorted(fields)}


def text(path: Path) -> str:
    """A path as Kubernetes prints it in conflicts: `.spec.containers[name="web"].image`."""
    parts = []
    for element in path:
        mark, _, rest = element.partition(":")
        if mark == "f":
            parts.append(f".{rest}")
        elif mark == "k":
            keys = ",".join(f"{key}={_json(value)}" for key, value in json.loads(rest).items())
            parts.append(f"[{keys}]")
        else:
            parts.append(f"[={rest}]")
    return "".join(parts)


def without_below(paths: PathSet, removed: PathSet) -> PathSet:
    """The paths that are neither in `removed` nor below one of its members."""
    if not removed:
        return paths
    return frozenset(p for p in paths if not any(p[:n] in removed for n in range(1, len(p) + 1)))
