"""From a path to what is meant: which kind, where, which object, which subresource."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headgate_local.errors import ApiError, unknown_path
from headgate_local.kinds import Kind, Kinds

SUBRESOURCES = {"status", "scale", "log", "finalize", "eviction", "binding", "token"}


@dataclass(frozen=True)
class Target:
    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def named(self, name: str) -> Target:
        return replace(self, name=name)


def parse(kinds: Kinds, path: str) -> Target:
    """The target of a resource path; a 404 without details where no such resource is served."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise unknown_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and not (rest[2] in SUBRESOURCES and len(rest) == 3):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.find(group, version, rest[0])
    if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
        raise unknown_path()
    target = Target(kind, namespace, *rest[1:3])
    if target.name and kind.namespaced and not namespace:
        raise unknown_path()
    if target.subresource and not _served(target):
        raise _unserved(target)
    return target


def _served(target: Target) -> bool:
    match target.subresource:
        case "status":
            return target.kind.status
        case "scale":
            return target.kind.scale is not None
        case "log" | "eviction" | "binding":
            return target.kind.resource == "pods"
        case "token":
            return target.kind.resource == "serviceaccounts"
        case "finalize":
            return target.kind.resource == "namespaces"
        case _:
            return False


def _unserved(target: Target) -> ApiError:
    del target
    return unknown_path()
