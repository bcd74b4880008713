"""A CustomResourceDefinition: what it says, whether it may stand, and which kinds it brings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from headgate_local.crd import values
from headgate_local.crd.expressions import compiled, undefined_fields
from headgate_local.errors import FieldError, FieldReason, invalid, required
from headgate_local.kinds import Kind, ScalePaths
from headgate_local.schema import METADATA, REF_PREFIX, Schema, builtin_definitions
from headgate_local.store import Obj

META_REF = {"$ref": f"{REF_PREFIX}{METADATA}"}


def kinds_of(crd: Obj) -> list[Kind]:
    """One kind per served version."""
    return [_kind(crd, version) for version in crd["spec"]["versions"] if version.get("served")]


def _kind(crd: Obj, version: dict[str, Any]) -> Kind:
    spec, names = crd["spec"], crd["spec"]["names"]
    subresources = version.get("subresources") or {}
    return Kind(
        spec["group"],
        version["name"],
        names["kind"],
        names["plural"],
        spec["scope"] == "Namespaced",
        schema_of(version),
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        status="status" in subresources,
        scale=_scale(subresources.get("scale")),
        custom=True,
        selectable=tuple(one["jsonPath"].lstrip(".") for one in version.get("selectableFields", ())),
        columns=tuple(version.get("additionalPrinterColumns", ())),
    )


def schema_of(version: dict[str, Any]) -> Schema:
    """The version's schema with the metadata of every object, which a CRD may leave out or abbreviate."""
    raw = (version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"}
    own = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": META_REF}
    return Schema({**raw, "properties": {**raw.get("properties", {}), **own}}, builtin_definitions())


def _scale(raw: dict[str, Any] | None) -> ScalePaths | None:
    if raw is None:
        return None
    return ScalePaths(
        _path(raw["specReplicasPath"]), _path(raw["statusReplicasPath"]), _path(raw.get("labelSelectorPath", ""))
    )


def _path(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(".") if part)


def condition(kind: str, reason: str, message: str, now: str) -> dict[str, str]:
    return {"lastTransitionTime": now, "message": message, "reason": reason, "status": "True", "type": kind}


def accept(crd: Obj, now: str) -> None:
    """Fills the status which the real server's controllers would fill a moment later."""
    spec, status = crd["spec"], crd.setdefault("status", {})
    names = dict(spec["names"])
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", f"{names['kind']}List")
    status["acceptedNames"] = names
    if not status.get("conditions"):
        status["conditions"] = [
            condition("NamesAccepted", "NoConflicts", "no conflicts found", now),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted", now),
        ]
    storage = next((one["name"] for one in spec["versions"] if one.get("storage")), None)
    stored = status.setdefault("storedVersions", [])
    if storage and storage not in stored:
        stored.append(storage)


def default(crd: Obj) -> None:
    spec = crd.get("spec", {})
    names = spec.get("names", {})
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})


def validate(crd: Obj) -> list[FieldError]:
    """What users get wrong: names, versions, schemas that are not structural, rules that do not compile."""
    return list(_errors(crd))


def _errors(crd: Obj) -> Iterator[FieldError]:
    spec = crd.get("spec", {})
    names = spec.get("names", {})
    if not spec.get("group"):
        yield required("spec.group")
    for name in ("plural", "singular", "kind", "listKind"):
        if not names.get(name):
            yield required(f"spec.names.{name}")
    expected = f"{names.get('plural', '')}.{spec.get('group', '')}"
    if crd["metadata"].get("name") != expected:
        hint = 'must be spec.names.plural+"."+spec.group'
        yield invalid("metadata.name", crd["metadata"].get("name", ""), hint)
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        yield (
            required("spec.scope")
            if not spec.get("scope")
            else FieldError(
                FieldReason.NOT_SUPPORTED, "spec.scope", spec["scope"], 'supported values: "Cluster", "Namespaced"'
            )
        )
    versions = spec.get("versions") or []
    if sum(bool(one.get("storage")) for one in versions) != 1:
        yield invalid("spec.versions", versions, "must have exactly one version marked as storage version")
    for index, version in enumerate(versions):
        yield from _version_errors(version, f"spec.versions[{index}]")


def _version_errors(version: dict[str, Any], path: str) -> Iterator[FieldError]:
    if not re.match(r"^[a-z]([-a-z0-9]*[a-z0-9])?$", version.get("name", "")):
        yield invalid(f"{path}.name", version.get("name", ""), "a DNS-1035 label is needed")
    raw = (version.get("schema") or {}).get("openAPIV3Schema")
    if raw is None:
        yield required(f"{path}.schema.openAPIV3Schema", "schemas are required")
        return
    yield from _schema_errors(raw, f"{path}.schema.openAPIV3Schema")


def _schema_errors(raw: dict[str, Any], path: str) -> Iterator[FieldError]:
    free = raw.get("x-kubernetes-int-or-string") or raw.get("x-kubernetes-preserve-unknown-fields")
    if not raw.get("type") and not free:
        yield required(f"{path}.type", "must not be empty for specified object fields")
    if raw.get("x-kubernetes-list-type") == "map" and not raw.get("x-kubernetes-list-map-keys"):
        yield required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
    for index, rule in enumerate(raw.get("x-kubernetes-validations", ())):
        for name in ("rule", "messageExpression"):
            yield from _rule_errors(raw, rule.get(name, ""), f"{path}.x-kubernetes-validations[{index}].{name}")
    if raw.get("default") is not None:
        here = f"{path}.default"
        for wrong in values.validate(Schema(raw, {}), raw["default"], here):
            yield replace(wrong, path=here) if wrong.path == here else wrong
    if raw.get("pattern"):
        yield from _pattern_errors(raw["pattern"], f"{path}.pattern")
    for name, child in raw.get("properties", {}).items():
        yield from _schema_errors(child, f"{path}.properties[{name}]")
    if isinstance(raw.get("items"), dict):
        yield from _schema_errors(raw["items"], f"{path}.items")
    if isinstance(raw.get("additionalProperties"), dict):
        yield from _schema_errors(raw["additionalProperties"], f"{path}.additionalProperties")


def _rule_errors(raw: dict[str, Any], text: str, path: str) -> Iterator[FieldError]:
    if not text:
        return
    try:
        compiled(text)
    except ValueError as error:
        yield invalid(path, text, f"compilation failed: {error}")
        return
    for column, name in undefined_fields(Schema(raw, {}), text):
        pointer = f"ERROR: <input>:1:{column}: undefined field '{name}'\n | {text}\n | {'.' * column}^"
        yield invalid(path, text, f"compilation failed: {pointer}")


def _pattern_errors(text: str, path: str) -> Iterator[FieldError]:
    try:
        re.compile(text)
    except re.error as error:
        yield invalid(path, text, f"must be a valid regular expression, but isn't: {error}")
