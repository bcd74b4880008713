"""Tables: what `kubectl get` prints is decided here, not by kubectl."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headgate_local.api.builtin.columns import BUILTIN
from headgate_local.api.clock import human_age
from headgate_local.crd.jsonpath import first
from headgate_local.kinds import Kind
from headgate_local.store import Obj, clone


@dataclass(frozen=True)
class Column:
    name: str
    cell: Callable[[Obj, datetime], Any]
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""

    def definition(self) -> Obj:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


NAME = Column("Name", lambda obj, _now: obj["metadata"]["name"], format="name", description="the name of the object")
AGE = Column("Age", lambda obj, now: _age(obj, now), description="the time since the object was made")
CREATED = Column("Created At", lambda obj, _now: obj["metadata"].get("creationTimestamp"))


def _age(obj: Obj, now: datetime) -> str:
    return human_age(obj["metadata"].get("creationTimestamp"), now)


def columns_of(kind: Kind) -> Sequence[Column]:
    if kind.custom:
        return [NAME, *(_custom(raw) for raw in kind.columns)] if kind.columns else [NAME, AGE]
    if kind.resource in BUILTIN:
        found = BUILTIN[kind.resource]
        return [
            Column(one.name, one.cell, one.type, one.priority, "name" if one.name == "Name" else "") for one in found
        ]
    return [NAME, CREATED]


def _custom(raw: Obj) -> Column:
    path, kind = raw["jsonPath"], raw["type"]

    def cell(obj: Obj, now: datetime) -> Any:
        value = first(path, obj)
        if value is None:
            return None
        if kind == "date":
            return human_age(value, now)
        if kind == "string" and not isinstance(value, str):
            return str(value).lower() if isinstance(value, bool) else str(value)
        return value

    return Column(raw["name"], cell, kind, raw.get("priority", 0), raw.get("format", ""), raw.get("description", ""))


def table(kind: Kind, objects: Sequence[Obj], meta: Obj, include: str, now: datetime) -> Obj:
    columns = columns_of(kind)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [_row(columns, obj, include, now) for obj in objects],
    }


def _row(columns: Sequence[Column], obj: Obj, include: str, now: datetime) -> Obj:
    return {"cells": [column.cell(obj, now) for column in columns], "object": _included(obj, include)}


def _included(obj: Obj, include: str) -> Obj | None:
    match include:
        case "None":
            return None
        case "Object":
            whole: Obj = clone(obj)
            return whole
        case _:
            return metadata_only(obj)


def metadata_only(obj: Obj) -> Obj:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": clone(obj["metadata"])}
