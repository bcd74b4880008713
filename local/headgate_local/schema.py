"""One structural schema for built-in and custom kinds.

Unknown fields, defaults, list-map keys and ownership of fields all ask the same questions of a schema ("what is this
field, and how do its items merge?"). Both sources, Kubernetes' OpenAPI and the `openAPIV3Schema` of a CRD, are
therefore compiled into the same nodes. Nodes are made lazily: built-in schemas refer to themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from typing import Any

REF_PREFIX = "#/components/schemas/"
METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class Schema:
    """A node of a schema; what the raw keywords mean for walking, pruning and merging values."""

    def __init__(self, raw: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> None:
        self._definitions = definitions
        while "$ref" in raw:
            target = definitions[raw["$ref"].removeprefix(REF_PREFIX)]
            raw = {**target, **{key: value for key, value in raw.items() if key != "$ref"}}
        self.raw = raw

    @cached_property
    def type(self) -> str:
        return str(self.raw.get("type", ""))

    @cached_property
    def is_object(self) -> bool:
        return self.type == "object" or "properties" in self.raw

    @cached_property
    def properties(self) -> Mapping[str, Schema]:
        return {name: Schema(child, self._definitions) for name, child in self.raw.get("properties", {}).items()}

    @cached_property
    def items(self) -> Schema | None:
        raw = self.raw.get("items")
        return Schema(raw, self._definitions) if isinstance(raw, Mapping) else None

    @cached_property
    def additional(self) -> Schema | None:
        raw = self.raw.get("additionalProperties")
        return Schema(raw, self._definitions) if isinstance(raw, Mapping) else None

    @cached_property
    def keeps_unknown(self) -> bool:
        if self.raw.get("x-kubernetes-preserve-unknown-fields") or self.raw.get("additionalProperties") is True:
            return True
        # An object of Kubernetes' own schema without any field (RawExtension, JSON, FieldsV1) holds anything.
        return (
            not self.properties and self.additional is None and self.type in ("object", "") and not self.int_or_string
        )

    @cached_property
    def int_or_string(self) -> bool:
        return bool(self.raw.get("x-kubernetes-int-or-string")) or self.raw.get("format") == "int-or-string"

    @cached_property
    def embedded(self) -> bool:
        return bool(self.raw.get("x-kubernetes-embedded-resource"))

    @cached_property
    def nullable(self) -> bool:
        return bool(self.raw.get("nullable"))

    @cached_property
    def list_type(self) -> str:
        return str(self.raw.get("x-kubernetes-list-type", "atomic"))

    @cached_property
    def map_keys(self) -> tuple[str, ...]:
        return tuple(self.raw.get("x-kubernetes-list-map-keys", ()))

    @cached_property
    def atomic_map(self) -> bool:
        return self.raw.get("x-kubernetes-map-type") == "atomic"

    @cached_property
    def required(self) -> tuple[str, ...]:
        return tuple(self.raw.get("required", ()))

    def child(self, name: str) -> Schema | None:
        """The schema of a field, or None where the schema says nothing about it."""
        return self.properties.get(name) or self.additional

    def at(self, *path: str) -> Schema | None:
        node: Schema | None = self
        for name in path:
            node = node.child(name) if node else None
        return node


def builtin_definitions() -> Mapping[str, Mapping[str, Any]]:
    return _DEFINITIONS


def builtin_schema(name: str) -> Schema:
    return Schema(_DEFINITIONS[name], _DEFINITIONS)


def _load() -> Mapping[str, Mapping[str, Any]]:
    source = resources.files("headgate_local.api.builtin").joinpath("schemas.json")
    definitions: dict[str, dict[str, Any]] = json.loads(source.read_text(encoding="utf-8"))
    return definitions


_DEFINITIONS = _load()
