"""Plain records: config maps, secrets, namespaces, leases and events."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from headgate_local.errors import FieldError, FieldReason, forbidden, invalid, required
from headgate_local.store import Obj

DATA_KEY = re.compile(r"^[-._a-zA-Z0-9]+$")
KEY_HINT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or"
    " 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
LARGEST = 1024 * 1024


def _data_errors(obj: Obj, parts: tuple[str, ...]) -> Iterator[FieldError]:
    total = 0
    for part in parts:
        for key, value in (obj.get(part) or {}).items():
            total += len(value)
            if not DATA_KEY.match(key):
                yield invalid(f"{part}[{key}]", key, KEY_HINT)
    if total > LARGEST:
        yield FieldError(FieldReason.TOO_LONG, "", detail=f"may not be more than {LARGEST} bytes")


def _frozen_errors(obj: Obj, old: Obj | None, parts: tuple[str, ...]) -> Iterator[FieldError]:
    if old is None or not old.get("immutable"):
        return
    if not obj.get("immutable"):
        yield forbidden("immutable", "field is immutable when `immutable` is set")
    for part in parts:
        if (obj.get(part) or {}) != (old.get(part) or {}):
            yield forbidden(part, "field is immutable when `immutable` is set")


class ConfigMapRules:
    def default(self, obj: Obj) -> None:
        """Nothing is filled."""

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        """Nothing is set."""

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        parts = ("data", "binaryData")
        errors = [*_data_errors(obj, parts), *_frozen_errors(obj, old, parts)]
        both = sorted(set(obj.get("data") or {}) & set(obj.get("binaryData") or {}))
        return errors + [invalid(f"data[{key}]", key, "duplicate of key present in binaryData") for key in both]


class SecretRules:
    def default(self, obj: Obj) -> None:
        obj.setdefault("type", "Opaque")

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        del old
        plain = obj.pop("stringData", None) or {}
        for key, value in plain.items():
            obj.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        errors = [*_data_errors(obj, ("data",)), *_frozen_errors(obj, old, ("data",))]
        if old is not None and obj.get("type") != old.get("type"):
            errors.append(FieldError(FieldReason.INVALID, "type", obj.get("type"), "field is immutable"))
        return errors


class NamespaceRules:
    def default(self, obj: Obj) -> None:
        meta = obj["metadata"]
        if meta.get("name"):
            meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta["name"]

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        if old is None:
            obj["spec"] = {"finalizers": ["kubernetes"]}
            obj["status"] = {"phase": "Active"}
        elif "deletionTimestamp" in obj["metadata"]:
            obj.setdefault("status", {})["phase"] = "Terminating"

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        del obj, old
        return []


class LeaseRules:
    def default(self, obj: Obj) -> None:
        """Nothing is filled."""

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        """Nothing is set."""

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        del old
        spec, errors = obj.get("spec") or {}, []
        if "leaseDurationSeconds" in spec and spec["leaseDurationSeconds"] <= 0:
            errors.append(invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0"))
        if spec.get("leaseTransitions", 0) < 0:
            errors.append(
                invalid("spec.leaseTransitions", spec["leaseTransitions"], "must be greater than or equal to 0")
            )
        return errors


class EventRules:
    def default(self, obj: Obj) -> None:
        """Nothing is filled."""

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        """Nothing is set."""

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        del old
        about = obj.get("involvedObject") or obj.get("regarding") or {}
        namespace = obj["metadata"].get("namespace", "")
        held = about.get("namespace") or "default"
        if held != namespace:
            return [invalid("involvedObject.namespace", about.get("namespace", ""), "does not match event.namespace")]
        return [] if about.get("kind") or not obj.get("eventTime") else [required("involvedObject.kind")]
