"""Nobody gives away what they do not have: a written role or binding may allow only what its writer may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from headgate_local.access.attributes import Attributes
from headgate_local.access.rbac import GROUP, Authorizer, allows
from headgate_local.access.users import MASTERS, User
from headgate_local.errors import forbidden_write
from headgate_local.kinds import Kind, Kinds
from headgate_local.store import Obj, Store

ROLES, BINDINGS = ("Role", "ClusterRole"), ("RoleBinding", "ClusterRoleBinding")


class Escalation:
    def __init__(self, store: Store, kinds: Kinds, authorizer: Authorizer) -> None:
        self._store, self._kinds, self._authorizer = store, kinds, authorizer

    def check(self, user: User | None, kind: Kind, obj: Obj, old: Obj | None) -> None:
        if user is None or MASTERS in user.groups or kind.group != GROUP:
            return
        if old is not None and all(old.get(part) == obj.get(part) for part in ("rules", "roleRef", "subjects")):
            return
        meta = obj["metadata"]
        wanted = Attributes("escalate", GROUP, kind.plural, "", meta.get("namespace", ""), meta.get("name", ""))
        rules = obj.get("rules") or []
        if kind.kind in BINDINGS:
            role = self._store.get(self._kinds.named(obj["roleRef"]["kind"]), wanted.namespace, obj["roleRef"]["name"])
            plural = "roles" if obj["roleRef"]["kind"] == "Role" else "clusterroles"
            wanted = replace(wanted, verb="bind", resource=plural, name=obj["roleRef"]["name"])
            rules = (role or {}).get("rules") or []
        if self._authorizer.decide(user, wanted).allowed:
            return
        held = self._authorizer.rules(user, wanted.namespace)
        missing = [one for rule in rules for one in _parts(rule) if not any(_covers(own, one) for own in held)]
        if missing:
            groups = " ".join(json.dumps(group) for group in user.groups)
            why = f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:'
            listed = "\n".join(_text(one) for one in missing)
            raise forbidden_write(kind.plural, kind.group, meta.get("name", ""), f"{why}\n{listed}")


def _parts(rule: Obj) -> Iterator[Obj]:
    """The rule as many that allow one thing each."""
    if rule.get("nonResourceURLs"):
        for verb, url in product(rule["verbs"], rule["nonResourceURLs"]):
            yield {"verbs": [verb], "nonResourceURLs": [url]}
        return
    for verb, group, resource in product(rule["verbs"], rule["apiGroups"], rule["resources"]):
        for name in rule.get("resourceNames") or [""]:
            part = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
            yield {**part, **({"resourceNames": [name]} if name else {})}


def _covers(own: Obj, part: Obj) -> bool:
    verb = part["verbs"][0]
    if "nonResourceURLs" in part:
        return allows(own, Attributes(verb, path=part["nonResourceURLs"][0]))
    resource, _, subresource = part["resources"][0].partition("/")
    name = (part.get("resourceNames") or [""])[0]
    return allows(own, Attributes(verb, part["apiGroups"][0], resource, subresource, name=name))


SHOWN = {
    "apiGroups": "APIGroups",
    "nonResourceURLs": "NonResourceURLs",
    "resources": "Resources",
    "resourceNames": "ResourceNames",
    "verbs": "Verbs",
}


def _text(part: Obj) -> str:
    """A rule as the refusal shows it."""
    return "{" + ", ".join(f"{shown}:{json.dumps(part[name])}" for name, shown in SHOWN.items() if name in part) + "}"
