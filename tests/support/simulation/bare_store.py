"""The least of an API server that the operator's `Kube` cannot tell from one: versions, conflicts, preconditions.

No schema, no managed fields, no admission: an apply merges. What those are about is tested on the embedded plane.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headgate_operator.kube import KINDS, Reply

Obj = dict[str, Any]
Place = tuple[str, str, str]  # kind, namespace, name
_KIND_OF = {kind.plural: name for name, kind in KINDS.items()}
_WHOLE = {"selector", "matchLabels"}


@dataclass(frozen=True, slots=True)
class Change:
    kind: str
    old: Obj | None
    new: Obj | None

    @property
    def name(self) -> str:
        found = self.new or self.old
        return str(found["metadata"]["name"]) if found else ""


class BareStore:
    def __init__(self) -> None:
        self._objects: dict[Place, Obj] = {}
        self._numbers = itertools.count(1)
        self._listeners: list[Callable[[Change], None]] = []

    def on_change(self, listener: Callable[[Change], None]) -> None:
        self._listeners.append(listener)

    # --- from inside ----------------------------------------------------------------------------------------------

    def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        return self._objects.get((kind, namespace, name))

    def list(self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> list[Obj]:
        wanted = (labels or {}).items()
        return [
            obj
            for (its_kind, its_namespace, _), obj in self._objects.items()
            if its_kind == kind
            and namespace in {None, its_namespace}
            and wanted <= obj["metadata"].get("labels", {}).items()
        ]

    def put(self, obj: Obj) -> Obj:
        """As it is; the generation grows with the spec."""
        kind, meta = str(obj["kind"]), obj["metadata"]
        place = (kind, meta["namespace"], meta["name"])
        old = self._objects.get(place)
        number = next(self._numbers)
        generation = old["metadata"]["generation"] if old else 1
        if old is not None and old.get("spec") != obj.get("spec"):
            generation += 1
        stamp = {"resourceVersion": str(number), "generation": generation}
        uid = old["metadata"]["uid"] if old else f"uid-{number}"
        new = self._objects[place] = {**obj, "metadata": {**meta, "uid": uid, **stamp}}
        self._tell(Change(kind, old, new))
        return new

    def merge(self, kind: str, namespace: str, name: str, changes: Obj) -> Obj | None:
        """A merge patch, as users make them; None where there is no such object (any more)."""
        old = self.get(kind, namespace, name)
        return None if old is None else self.put(_merged(old, changes, whole=frozenset()))

    def remove(self, kind: str, namespace: str, name: str) -> None:
        old = self._objects.pop((kind, namespace, name), None)
        if old is not None:
            self._tell(Change(kind, old, None))

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)

    # --- as HTTP --------------------------------------------------------------------------------------------------

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Obj | None) -> Reply:
        kind, namespace, name, sub = _parse(path)
        if method == "GET" and not name:
            pairs = [pair.split("=", 1) for pair in query.get("labelSelector", "").split(",") if pair]
            items = self.list(kind, namespace, dict(pairs))
            return Reply(200, {"items": items, "metadata": {}})
        assert namespace is not None
        old = self.get(kind, namespace, name)
        if method == "GET":
            return Reply(200, old) if old is not None else _missing(kind, name)
        assert body is not None
        match method:
            case "POST":
                return self._create(kind, namespace, body)
            case "PUT" if old is None:
                return _missing(kind, name)
            case "PUT":
                return self._replace(old, body, sub)
            case "PATCH":
                return self._apply(old, body, force=query.get("force") == "true")
            case "DELETE":
                return self._delete(kind, name, old, body)
        raise AssertionError(method)

    def _create(self, kind: str, namespace: str, body: Obj) -> Reply:
        if self.get(kind, namespace, body["metadata"]["name"]) is not None:
            return refused(409, "AlreadyExists")
        return Reply(201, self.put(body))

    def _replace(self, old: Obj, body: Obj, sub: str) -> Reply:
        if body["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
            return refused(409, "Conflict")
        return Reply(200, self.put({**old, "status": body["status"]} if sub == "status" else body))

    def _apply(self, old: Obj | None, body: Obj, *, force: bool) -> Reply:
        asked = {key: body["metadata"].get(key) for key in ("uid", "resourceVersion")}
        if old is None:
            return refused(409, "Conflict") if any(asked.values()) else Reply(201, self.put(body))
        if any(value not in {None, old["metadata"][key]} for key, value in asked.items()):
            return refused(409, "Conflict")
        merged = _merged(old, body, whole=_WHOLE)
        if merged == old:
            return Reply(200, old)
        return Reply(200, self.put(merged)) if force else refused(409, "Conflict")

    def _delete(self, kind: str, name: str, old: Obj | None, body: Obj) -> Reply:
        if old is None:
            return _missing(kind, name)
        expected = body.get("preconditions", {})
        if any(old["metadata"][key] != value for key, value in expected.items()):
            return refused(409, "Conflict")
        self.remove(kind, old["metadata"]["namespace"], name)
        return Reply(200, {"kind": "Status"})


def refused(status: int, reason: str, **details: Any) -> Reply:
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": reason}
    return Reply(status, {**body, "details": details} if details else body)


def _missing(kind: str, name: str) -> Reply:
    return refused(404, "NotFound", name=name, kind=KINDS[kind].plural)


def _parse(path: str) -> tuple[str, str | None, str, str]:
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = None
    if rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    plural, name, sub = (*rest, "", "")[:3]
    return _KIND_OF[plural], namespace, name, sub


def _merged(old: Any, new: Any, *, whole: frozenset[str] | set[str]) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    result = dict(old)
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        elif key in whole and "matchLabels" not in value:
            result[key] = value
        else:
            result[key] = _merged(old.get(key), value, whole=whole)
    return result
