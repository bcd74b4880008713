"""The metadata every object has: names, identity, generation, and what an update may not change."""

from __future__ import annotations

import random
import re
from typing import Any

from headgate_local.errors import FieldError, FieldReason, forbidden, invalid, required
from headgate_local.kinds import Kind
from headgate_local.store import Obj

DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
DNS_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
DNS_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
LABEL_NAME = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
SUFFIX = "bcdfghjklmnpqrstvwxz2456789"

SUBDOMAIN_HINT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_HINT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with"
    " an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
DNS_1035_HINT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character,"
    " and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is"
    " '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_NAME_HINT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE_HINT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
    " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def generated(prefix: str, rng: random.Random) -> str:
    return prefix[:58] + "".join(rng.choice(SUFFIX) for _ in range(5))


def validate(kind: Kind, obj: Obj) -> list[FieldError]:
    meta = obj.get("metadata", {})
    errors = _name_errors(kind, meta)
    errors += label_errors("metadata.labels", meta.get("labels") or {})
    errors += _annotation_errors(meta.get("annotations") or {})
    errors += _owner_errors(meta.get("ownerReferences") or [])
    return errors


def _name_errors(kind: Kind, meta: dict[str, Any]) -> list[FieldError]:
    name = meta.get("name", "")
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    return [invalid("metadata.name", name, hint) for hint in name_hints(kind, name)]


def name_hints(kind: Kind, name: str) -> list[str]:
    match kind.resource:
        case "services":
            return _hints(name, DNS_1035, DNS_1035_HINT, 63)
        case "namespaces":
            return _hints(name, DNS_LABEL, LABEL_HINT, 63)
        case "roles.rbac.authorization.k8s.io" | "rolebindings.rbac.authorization.k8s.io":
            return _segment_hints(name)
        case "clusterroles.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io":
            return _segment_hints(name)
        case "customresourcedefinitions.apiextensions.k8s.io":
            return []
        case _:
            return _hints(name, DNS_SUBDOMAIN, SUBDOMAIN_HINT, 253)


def _segment_hints(name: str) -> list[str]:
    """A name that only has to fit into a path, such as system:discovery."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{mark}'" for mark in "/%" if mark in name]


def _hints(name: str, pattern: re.Pattern[str], hint: str, longest: int) -> list[str]:
    found = [f"must be no more than {longest} characters"] if len(name) > longest else []
    return found if pattern.match(name) else [*found, hint]


def label_errors(path: str, labels: dict[str, Any]) -> list[FieldError]:
    errors = []
    for key, value in labels.items():
        errors += [invalid(path, key, hint) for hint in qualified_name_hints(key)]
        text = str(value)
        if len(text) > 63:
            errors.append(invalid(path, text, "must be no more than 63 characters"))
        if not LABEL_VALUE.match(text):
            errors.append(invalid(path, text, LABEL_VALUE_HINT))
    return errors


def qualified_name_hints(key: str) -> list[str]:
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        return ["prefix part must be non-empty"]
    hints = []
    if prefix and not DNS_SUBDOMAIN.match(prefix):
        hints.append(f"prefix part {SUBDOMAIN_HINT}")
    if not name:
        hints.append("name part must be non-empty")
    elif len(name) > 63:
        hints.append("name part must be no more than 63 characters")
    if not LABEL_NAME.match(name):
        hints.append(LABEL_NAME_HINT)
    return hints


def _annotation_errors(annotations: dict[str, Any]) -> list[FieldError]:
    errors = [
        invalid("metadata.annotations", key, hint) for key in annotations for hint in qualified_name_hints(key.lower())
    ]
    if sum(len(key) + len(str(value)) for key, value in annotations.items()) > 256 * 1024:
        errors.append(
            FieldError(FieldReason.TOO_LONG, "metadata.annotations", detail="may not be more than 262144 bytes")
        )
    return errors


def _owner_errors(owners: list[dict[str, Any]]) -> list[FieldError]:
    errors = []
    path = "metadata.ownerReferences"
    for owner in owners:
        for name, hint in (("apiVersion", "version must not be empty"), ("kind", "must not be empty"),
                           ("name", "must not be empty"), ("uid", "must not be empty")):  # fmt: skip
            if not owner.get(name):
                errors.append(invalid(f"{path}.{name}", owner.get(name, ""), hint))
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        hint = "Only one reference can have Controller set to true."
        found = f'{hint} Found "true" in references for {controllers[0]["kind"]}/{controllers[0]["name"]}'
        found += f" and {controllers[1]['kind']}/{controllers[1]['name']}"
        errors.append(FieldError(FieldReason.INVALID, "metadata.ownerReferences", owners, found))
    return errors


SYSTEM_FIELDS = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)


def keep_system_fields(obj: Obj, old: Obj) -> None:
    """An update may repeat what the system set, or leave it out; it never changes it."""
    for name in SYSTEM_FIELDS:
        obj["metadata"].pop(name, None)
        if name in old["metadata"]:
            obj["metadata"][name] = old["metadata"][name]


def change_errors(obj: Obj, old: Obj) -> list[FieldError]:
    before, after = old["metadata"], obj["metadata"]
    if "deletionTimestamp" not in before:
        return []
    added = [one for one in after.get("finalizers", []) if one not in before.get("finalizers", [])]
    if not added:
        return []
    shown = " ".join(f'"{one}"' for one in added)
    hint = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
    return [forbidden("metadata.finalizers", hint)]
