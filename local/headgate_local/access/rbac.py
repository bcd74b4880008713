"""Roles and bindings: what somebody may do is what the roles bound to them allow, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headgate_local.access.attributes import Attributes
from headgate_local.access.users import MASTERS, User
from headgate_local.errors import ApiError
from headgate_local.kinds import Kinds
from headgate_local.store import Obj, Store

GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Decision:
    allowed: bool
    reason: str = ""
    # Bindings to roles that are not there: they allow nothing, and people want to know.
    problem: str = ""


@dataclass(frozen=True)
class Grant:
    """A rule that holds for somebody, and why."""

    rule: Obj
    reason: str


class Authorizer:
    def __init__(self, store: Store, kinds: Kinds) -> None:
        self._store, self._kinds = store, kinds

    def decide(self, user: User, wanted: Attributes) -> Decision:
        if MASTERS in user.groups:
            return Decision(True)
        problems: list[str] = []
        for grant in self._grants(user, wanted.namespace, problems):
            if allows(grant.rule, wanted):
                return Decision(True, f"RBAC: allowed by {grant.reason}")
        listed = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        return Decision(False, problem=f"RBAC: {listed}" if problems else "")

    def check(self, user: User, wanted: Attributes) -> None:
        decision = self.decide(user, wanted)
        if not decision.allowed:
            raise forbidden(user, wanted, decision.problem)

    def rules(self, user: User, namespace: str) -> list[Obj]:
        return [grant.rule for grant in self._grants(user, namespace, [])]

    def _grants(self, user: User, namespace: str, problems: list[str]) -> Iterator[Grant]:
        yield from self._bound(user, "ClusterRoleBinding", "", problems)
        if namespace:
            yield from self._bound(user, "RoleBinding", namespace, problems)

    def _bound(self, user: User, kind: str, namespace: str, problems: list[str]) -> Iterator[Grant]:
        for binding in self._store.all(self._kinds.named(kind), namespace):
            subject = next((one for one in binding.get("subjects") or () if _is_about(one, user, namespace)), None)
            if subject is None:
                continue
            reference = binding["roleRef"]
            role = self._store.get(self._kinds.named(reference["kind"]), namespace, reference["name"])
            if role is None:
                problems.append(f'{reference["kind"].lower()}.{GROUP} "{reference["name"]}" not found')
                continue
            where = f'"{binding["metadata"]["name"]}{f"/{namespace}" if namespace else ""}"'
            reason = f'{kind} {where} of {reference["kind"]} "{reference["name"]}" to {_named(subject, namespace)}'
            for rule in role.get("rules") or ():
                yield Grant(rule, reason)


def _is_about(subject: Obj, user: User, namespace: str) -> bool:
    match subject["kind"]:
        case "User":
            return bool(subject["name"] == user.name)
        case "Group":
            return subject["name"] in user.groups
        case _:
            where = subject.get("namespace") or namespace
            return bool(where) and user.name == f"system:serviceaccount:{where}:{subject['name']}"


def _named(subject: Obj, namespace: str) -> str:
    where = f"/{subject.get('namespace') or namespace}" if subject["kind"] == "ServiceAccount" else ""
    return f'{subject["kind"]} "{subject["name"]}{where}"'


def allows(rule: Obj, wanted: Attributes) -> bool:
    if not _has(rule.get("verbs"), wanted.verb):
        return False
    if wanted.path:
        return any(_covers_path(url, wanted.path) for url in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames")
    return (
        _has(rule.get("apiGroups"), wanted.group)
        and _covers_resource(rule.get("resources") or (), wanted)
        and (not names or wanted.name in names)
    )


def _has(allowed: Sequence[str] | None, wanted: str) -> bool:
    return "*" in (allowed or ()) or wanted in (allowed or ())


def _covers_resource(resources: Sequence[str], wanted: Attributes) -> bool:
    every = f"*/{wanted.subresource}" if wanted.subresource else "*"
    return any(one in ("*", wanted.qualified, every) for one in resources)


def _covers_path(url: str, path: str) -> bool:
    return url in ("*", path) or (url.endswith("*") and path.startswith(url.rstrip("*")))


def forbidden(user: User, wanted: Attributes, problem: str = "") -> ApiError:
    who, tail = f'User "{user.name}" cannot {wanted.verb}', f": {problem}" if problem else ""
    if wanted.path:
        return ApiError(403, "Forbidden", f'forbidden: {who} path "{wanted.path}"{tail}')
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    what = f'{who} resource "{wanted.qualified}" in API group "{wanted.group}" {where}{tail}'
    full = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    named = f'{full} "{wanted.name}"' if wanted.name else full
    details = {"name": wanted.name, "group": wanted.group, "kind": wanted.resource}
    details = {key: value for key, value in details.items() if value}
    return ApiError(403, "Forbidden", f"{named} is forbidden: {what}", details)
