"""Taking away what nobody owns any more: dependents, orphans, and the contents of a namespace.

Both controllers are level-triggered: a pass looks at everything there is and does what is due, so a missed wake-up
costs time, never correctness. They use the same door as any client.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headgate_local.api.deletion import FOREGROUND, ORPHAN
from headgate_local.client import ApiError, LocalClient
from headgate_local.kinds import Kind
from headgate_local.store import Change, Obj

GONE = (404, 409)


@dataclass(frozen=True)
class Held:
    kind: Kind
    obj: Obj

    @property
    def uid(self) -> str:
        return str(self.obj["metadata"]["uid"])

    @property
    def owners(self) -> list[Obj]:
        return list(self.obj["metadata"].get("ownerReferences", ()))

    @property
    def finalizers(self) -> list[str]:
        return list(self.obj["metadata"].get("finalizers", ()))

    @property
    def ending(self) -> bool:
        return "deletionTimestamp" in self.obj["metadata"]


class GarbageCollector:
    def __init__(self, client: LocalClient) -> None:
        self._client = client

    def wants(self, change: Change) -> bool:
        """Whether a change can make something collectable."""
        meta = change.object["metadata"]
        return change.type == "DELETED" or "ownerReferences" in meta or "deletionTimestamp" in meta

    def collect(self) -> None:
        """One full pass. What it deletes may free more; the store's changes call it again."""
        held = {one.uid: one for one in _everything(self._client)}
        for one in tuple(held.values()):
            if one.owners:
                self._settle(one, held)
        for one in held.values():
            if one.ending and ORPHAN in one.finalizers:
                self._orphan(one, held)
            if one.ending and FOREGROUND in one.finalizers and not _blockers(one, held):
                self._release(one, FOREGROUND)

    def _settle(self, one: Held, held: dict[str, Held]) -> None:
        """Deletes a dependent without a living owner; drops references to owners that are gone."""
        living = [ref for ref in one.owners if _lives(ref, one, held)]
        waiting = [ref for ref in living if FOREGROUND in held[ref["uid"]].finalizers and held[ref["uid"]].ending]
        if len(living) > len(waiting):
            if len(living) - len(waiting) < len(one.owners):
                self._keep_owners(one, [ref for ref in living if ref not in waiting])
        elif not one.ending:
            if any(ORPHAN in held[ref["uid"]].finalizers for ref in living):
                return
            # A dependent of a foreground deletion goes in the foreground itself if it blocks others.
            dependents = any(ref["uid"] == one.uid for other in held.values() for ref in other.owners)
            self._delete(one, "Foreground" if waiting and dependents else "Background")

    def _orphan(self, one: Held, held: dict[str, Held]) -> None:
        for other in held.values():
            if any(ref["uid"] == one.uid for ref in other.owners):
                self._keep_owners(other, [ref for ref in other.owners if ref["uid"] != one.uid])
        self._release(one, ORPHAN)

    def _keep_owners(self, one: Held, owners: list[Obj]) -> None:
        meta = {
            "uid": one.uid,
            "resourceVersion": one.obj["metadata"]["resourceVersion"],
            "ownerReferences": owners or None,
        }
        self._patch(one, {"metadata": meta})

    def _release(self, one: Held, finalizer: str) -> None:
        left = [name for name in one.finalizers if name != finalizer]
        version = one.obj["metadata"]["resourceVersion"]
        self._patch(one, {"metadata": {"resourceVersion": version, "finalizers": left}})

    def _patch(self, one: Held, patch: Obj) -> None:
        meta = one.obj["metadata"]
        try:
            self._client.patch_merge(one.kind, meta.get("namespace"), meta["name"], patch)
        except ApiError as error:
            # It changed or went meanwhile; that change brings the next pass.
            if error.status not in GONE:
                raise

    def _delete(self, one: Held, propagation: str) -> None:
        meta = one.obj["metadata"]
        try:
            self._client.delete(one.kind, meta.get("namespace"), meta["name"], uid=one.uid, propagation=propagation)
        except ApiError as error:
            if error.status not in GONE:
                raise


def _everything(client: LocalClient) -> Iterator[Held]:
    seen: set[str] = set()
    for kind in client.api.kinds:
        if kind.resource not in seen:
            seen.add(kind.resource)
            yield from (Held(kind, obj) for obj in client.api.store.all(kind))


def _lives(ref: Obj, dependent: Held, held: dict[str, Held]) -> bool:
    owner = held.get(ref["uid"])
    if owner is None:
        return False
    # An owner in another namespace is no owner: the real collector treats the reference as dangling.
    inside = owner.obj["metadata"].get("namespace", "")
    return not inside or inside == dependent.obj["metadata"].get("namespace", "")


def _blockers(owner: Held, held: dict[str, Held]) -> bool:
    return any(ref["uid"] == owner.uid and ref.get("blockOwnerDeletion") for one in held.values() for ref in one.owners)


class NamespaceController:
    """Empties a namespace that is being deleted, then lets it go."""

    def __init__(self, client: LocalClient) -> None:
        self._client = client

    def wants(self, change: Change) -> bool:
        return change.kind == "Namespace" or change.type == "DELETED"

    def collect(self) -> None:
        for namespace in self._client.list("Namespace"):
            if "deletionTimestamp" in namespace["metadata"]:
                self.sync("", namespace["metadata"]["name"])

    def sync(self, namespace: str, name: str) -> None:
        del namespace
        api = self._client.api
        found = self._client.get("Namespace", None, name)
        if found is None or "deletionTimestamp" not in found["metadata"]:
            return
        left = [one for one in _everything(self._client) if one.obj["metadata"].get("namespace") == name]
        for one in left:
            if not one.ending:
                meta = one.obj["metadata"]
                self._client.delete(one.kind, name, meta["name"], uid=one.uid)
        if not any(api.store.all(kind, name) for kind in api.kinds if kind.namespaced):
            self._client.finalize_namespace(name)
