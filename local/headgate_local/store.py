"""Objects in memory, in one order.

One counter gives every change its resourceVersion, so a list and the watch that follows it agree, across kinds. A
bounded history lets a watch resume; older positions are refused with 410 as etcd compaction does. Nothing here knows
rules: what may be stored is the API server's business. Stored objects are never changed in place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from headgate_local.errors import expired
from headgate_local.kinds import Kind

Obj = dict[str, Any]
Key = tuple[str, str]  # namespace ("" for cluster-scoped objects), name


@dataclass(frozen=True)
class Change:
    """What happened to one object. `old` is None when it was added, `new` is its last state when it was deleted."""

    type: str  # ADDED, MODIFIED or DELETED
    kind: str
    old: Obj | None
    new: Obj | None
    resource: str = ""
    version: int = 0

    @property
    def object(self) -> Obj:
        found = self.new if self.new is not None else self.old
        assert found is not None  # noqa: S101 - a change without an object cannot be made by the store
        return found


Listener = Callable[[Change], None]


class Store:
    def __init__(self, *, history: int = 10_000, first_version: int = 1) -> None:
        self._objects: dict[str, dict[Key, Obj]] = {}
        self._version = first_version
        self._history: deque[Change] = deque()
        self._history_size = history
        self._compacted = first_version
        self._begun: dict[str, int] = {}
        self._listeners: list[Listener] = []

    @property
    def version(self) -> int:
        return self._version

    def next_version(self) -> str:
        return str(self._version + 1)

    def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        return self._objects.get(kind.resource, {}).get((namespace if kind.namespaced else "", name))

    def all(self, kind: Kind, namespace: str = "") -> list[Obj]:
        """All objects of a kind by namespace and name; an empty namespace means all of them."""
        found = self._objects.get(kind.resource, {})
        return [found[key] for key in sorted(found) if not namespace or key[0] == namespace]

    def put(self, kind: Kind, obj: Obj) -> Obj:
        """Stores the object under the next resourceVersion and tells everyone."""
        key = _key(kind, obj)
        held = self._objects.setdefault(kind.resource, {})
        old = held.get(key)
        stored = self._stamped(obj)
        held[key] = stored
        self._publish(Change("MODIFIED" if old else "ADDED", kind.kind, old, stored, kind.resource, self._version))
        return stored

    def remove(self, kind: Kind, namespace: str, name: str, last: Obj | None = None) -> Obj:
        """Takes the object out; its last state carries the version of its deletion, as watchers see it."""
        old = self._objects[kind.resource].pop((namespace if kind.namespaced else "", name))
        last = self._stamped(last or old)
        self._publish(Change("DELETED", kind.kind, old, last, kind.resource, self._version))
        return last

    def since(self, version: int, resource: str) -> list[Change]:
        """The changes after a position; 410 when they are no longer all known."""
        oldest = max(self._compacted, self._begun.get(resource, 0))
        if version < oldest:
            raise expired(f"too old resource version: {version} ({oldest})")
        return [c for c in self._history if c.version > version and c.resource == resource]

    def at(self, kind: Kind, version: int, namespace: str = "") -> list[Obj]:
        """All objects of a kind as they were at a position, by taking back what came after it; 410 as for a watch."""
        found = dict(self._objects.get(kind.resource, {}))
        for change in reversed(self.since(version, kind.resource)):
            key = _key(kind, change.object)
            if change.old is None:
                found.pop(key, None)
            else:
                found[key] = change.old
        return [found[key] for key in sorted(found) if not namespace or key[0] == namespace]

    def begin(self, resource: str) -> None:
        """Nothing of this resource is known from before now."""
        self._begun.setdefault(resource, self._version)

    def compact(self) -> None:
        """Forgets the history, so that every earlier watch position is refused."""
        self._history.clear()
        self._compacted = self._version

    def on_change(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _stamped(self, obj: Obj) -> Obj:
        self._version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}

    def _publish(self, change: Change) -> None:
        self._history.append(change)
        while len(self._history) > self._history_size:
            self._compacted = self._history.popleft().version
        for listener in tuple(self._listeners):
            listener(change)


def _key(kind: Kind, obj: Obj) -> Key:
    meta = obj["metadata"]
    return (meta.get("namespace", "") if kind.namespaced else "", meta["name"])


def clone(value: Any) -> Any:
    """A deep copy of JSON data; several times cheaper than copy.deepcopy, and every answer is one."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def owner_uids(obj: Obj) -> Iterable[str]:
    return (owner["uid"] for owner in obj["metadata"].get("ownerReferences", ()))
