"""Fields a schema does not know: found, reported and taken out, with nulls that mean nothing."""

from __future__ import annotations

from typing import Any

from headgate_local.schema import Schema
from headgate_local.store import Obj


def known(schema: Schema, obj: Obj) -> tuple[Obj, list[str]]:
    """The object with only known fields, and the paths of the others, as strict decoding names them."""
    unknown: list[str] = []
    return _known(schema, obj, "", unknown), unknown


def _known(schema: Schema | None, value: Any, path: str, unknown: list[str]) -> Any:
    if schema is None:
        return value
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            here = f"{path}.{name}" if path else name
            child = schema.child(name)
            if child is None and not schema.keeps_unknown and not _meta_of_embedded(schema, name):
                unknown.append(here)
            elif item is None and child is not None and not child.nullable and not child.keeps_unknown:
                continue  # null is absence, unless the schema says that it is a value
            else:
                kept[name] = _known(child, item, here, unknown)
        return kept
    if isinstance(value, list) and schema.items is not None:
        return [_known(schema.items, item, f"{path}[{index}]", unknown) for index, item in enumerate(value)]
    return value


def _meta_of_embedded(schema: Schema, name: str) -> bool:
    return schema.embedded and name in ("apiVersion", "kind", "metadata")
