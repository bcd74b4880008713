"""Reading protobuf bodies. `kubectl create secret` and its kin write nothing else, and do not fall back to JSON.

Answers stay JSON, which every client accepts. Field numbers and types come from Kubernetes' .proto files
(messages.json), so this is a reader of one wire format by a table, with the three types that look different in JSON.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from headgate_local.errors import bad_request
from headgate_local.kinds import Kind
from headgate_local.schema import Schema

MAGIC = b"k8s\x00"
META = "k8s.io.apimachinery.pkg.apis.meta.v1"
TIMES = {f"{META}.Time": "seconds", f"{META}.MicroTime": "microseconds"}
QUANTITY = "k8s.io.apimachinery.pkg.api.resource.Quantity"
# Holds JSON as it is.
RAW = {f"{META}.FieldsV1", "k8s.io.apimachinery.pkg.runtime.RawExtension"}
INT_OR_STRING = "k8s.io.apimachinery.pkg.util.intstr.IntOrString"

Message = dict[str, list[str]]


@cache
def _messages() -> dict[str, Message]:
    source = resources.files("headgate_local.api.builtin").joinpath("messages.json")
    found: dict[str, Message] = json.loads(source.read_text(encoding="utf-8"))
    return found


def read(kind: Kind, body: bytes) -> dict[str, Any]:
    """The object in a `runtime.Unknown` envelope, as its JSON form."""
    name = f"k8s.io.api.{kind.group.split('.')[0] or 'core'}.{kind.version}.{kind.kind}"
    return {"apiVersion": kind.api_version, "kind": kind.kind, **read_message(name, kind.schema, body)}


def read_message(name: str, schema: Schema, body: bytes) -> dict[str, Any]:
    """The same for a body that is no stored object, by the name of its message."""
    if not body.startswith(MAGIC):
        raise bad_request("the body is not in the protobuf format of Kubernetes")
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        about = {number: value.decode() for number, value in _fields(envelope.get(1, b""))}
        found = _message(name, envelope.get(2, b""), schema)
    except (IndexError, KeyError, ValueError) as error:
        kind = name.rpartition(".")[2]
        raise bad_request(f"the protobuf body cannot be read as a {kind}: {error!r}") from error
    return {name: about[number] for number, name in ((1, "apiVersion"), (2, "kind")) if number in about} | found


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(data, at)
            yield number, data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _message(name: str, data: bytes, schema: Schema | None) -> dict[str, Any]:
    fields, found = _messages()[name], dict[str, Any]()
    for number, raw in _fields(data):
        if str(number) not in fields:
            continue
        field, kind, label = fields[str(number)]
        child = schema.child(field) if schema else None
        if label == "map":
            entry = dict(_fields(raw))
            key = entry.get(1, b"").decode()
            found.setdefault(field, {})[key] = _value(kind, entry.get(2, b""), child.additional if child else None)
        elif label == "rep":
            found.setdefault(field, []).append(_value(kind, raw, child.items if child else None))
        elif child is None and kind in _messages() and schema is not None:
            # A field that JSON does not know is an embedded struct: its fields lie beside the others.
            found |= _message(kind, raw, schema)
        else:
            value = _value(kind, raw, child)
            # Go writes zero values of plain fields; in JSON they are left out.
            if value not in ("", 0, False, None) or kind == INT_OR_STRING:
                found[field] = value
    return found


def _value(kind: str, raw: Any, schema: Schema | None) -> Any:
    match kind:
        case "string":
            return raw.decode() if isinstance(raw, bytes) else ""
        case "bytes":
            return base64.b64encode(raw).decode()
        case "bool":
            return bool(raw)
        case "int32" | "int64":
            return raw - (1 << 64) if raw >= 1 << 63 else raw
        case _ if kind == QUANTITY:
            return dict(_fields(raw)).get(1, b"0").decode()
        case _ if kind == INT_OR_STRING:
            parts = dict(_fields(raw))
            return parts.get(3, b"").decode() if parts.get(1) else parts.get(2, 0)
        case _ if kind in RAW:
            return json.loads(dict(_fields(raw)).get(1, b"null"))
        case _ if kind in TIMES:
            return _time(dict(_fields(raw)), TIMES[kind])
        case _:
            return _message(kind, raw, schema)


def _time(parts: dict[int, Any], precision: str) -> str | None:
    if not parts:
        return None
    moment = datetime.fromtimestamp(parts.get(1, 0), tz=UTC).replace(microsecond=parts.get(2, 0) // 1000)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
