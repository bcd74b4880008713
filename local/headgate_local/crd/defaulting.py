"""Schema defaults of custom kinds, filled where a field is absent."""

from __future__ import annotations

from typing import Any

from headgate_local.schema import Schema
from headgate_local.store import clone


def fill(schema: Schema | None, value: Any) -> None:
    """Fills defaults in place. A default is itself filled, so nested defaults below it take effect too."""
    if schema is None:
        return
    if isinstance(value, dict):
        for name, child in schema.properties.items():
            default = child.raw.get("default")
            if default is not None and (name not in value or (value[name] is None and not child.nullable)):
                value[name] = clone(default)
        for name, item in value.items():
            fill(schema.child(name), item)
    elif isinstance(value, list):
        for item in value:
            fill(schema.items, item)
