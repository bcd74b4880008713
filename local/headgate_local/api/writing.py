"""Create and update: one road that every write takes, whatever verb it came by.

decode -> unknown fields -> defaults -> system metadata -> ownership of fields -> validation -> store. A dry run takes
the same road and stops before the store.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from headgate_local import errors
from headgate_local.access.users import User
from headgate_local.api import decoding, fields, metadata
from headgate_local.api.apply import ownership
from headgate_local.api.apply.ownership import ManagerId, Managers
from headgate_local.api.apply.paths import PathSet
from headgate_local.api.clock import rfc3339
from headgate_local.api.options import Options
from headgate_local.api.routing import Target
from headgate_local.api.rules import Rules
from headgate_local.kinds import Kind, Kinds
from headgate_local.store import Obj, Store, clone

# Built-in kinds whose generation counts changes of spec; every custom kind does.
GENERATED = {
    "deployments.apps", "replicasets.apps", "poddisruptionbudgets.policy", "pods", "endpointslices.discovery.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
}  # fmt: skip
# Built-in kinds that refuse an update without resourceVersion, as custom kinds do.
CONDITIONAL = {"leases.coordination.k8s.io", "customresourcedefinitions.apiextensions.k8s.io",
               "poddisruptionbudgets.policy"}  # fmt: skip


@dataclass
class Written:
    obj: Obj
    created: bool = False
    warnings: list[str] = field(default_factory=list)


Now = Callable[[], datetime]


class Writer:
    def __init__(
        self,
        store: Store,
        kinds: Kinds,
        rules: Callable[[Kind], Rules],
        *,
        now: Now,
        uid: Callable[[], str],
        complete: Callable[[Kind, Obj], None],
        guard: Callable[[User | None, Kind, Obj, Obj | None], None],
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._rules = rules
        self._now = now
        self._uid = uid
        # Gives a new object what is allocated for it; nobody owns such fields, and a dry run allocates nothing.
        self._complete = complete
        # Refuses what this user may not write, though they may write to this kind.
        self._guard = guard
        self._rng = random.Random(uid())  # noqa: S311 - names, not secrets; seeded so that runs repeat

    # --- create -----------------------------------------------------------------------------------------------------

    def create(self, target: Target, obj: Obj, options: Options, *, applier: Managers | None = None) -> Written:
        kind = target.kind
        obj, warnings = decoding.decoded(kind, obj, options)
        meta = obj["metadata"]
        if meta.get("resourceVersion"):
            raise errors.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        self._place(target, obj)
        self._name(kind, meta)
        rules = self._rules(kind)
        for name in (*metadata.SYSTEM_FIELDS, "resourceVersion"):
            meta.pop(name, None)
        if kind.status:
            obj.pop("status", None)
        meta["uid"] = self._uid()
        meta["creationTimestamp"] = rfc3339(self._now())
        if kind.custom or kind.resource in GENERATED:
            meta["generation"] = 1
        rules.default(obj)
        rules.prepare(obj, None)
        obj = self._owned_on_create(kind, obj, options, applier)
        self._admit_create(target, obj, rules)
        self._guard(options.user, kind, obj, None)
        if options.dry_run:
            return Written(obj, True, warnings)
        self._complete(kind, obj)
        return Written(self._store.put(kind, obj), True, warnings)

    def _admit_create(self, target: Target, obj: Obj, rules: Rules) -> None:
        kind, meta = target.kind, obj["metadata"]
        self._check_namespace(kind, meta)
        found = metadata.validate(kind, obj) + rules.validate(obj, None)
        if found:
            raise errors.invalid_object(kind.kind, kind.group, meta.get("name", ""), found)
        if self._store.get(kind, meta.get("namespace", ""), meta["name"]):
            raise errors.already_exists(kind.plural, kind.group, meta["name"])

    def _check_namespace(self, kind: Kind, meta: Obj) -> None:
        if not kind.namespaced:
            return
        found = self._store.get(self._kinds.named("Namespace"), "", meta["namespace"])
        if found is None:
            raise errors.not_found("namespaces", "", meta["namespace"])
        if "deletionTimestamp" in found["metadata"]:
            why = f"unable to create new content in namespace {meta['namespace']} because it is being terminated"
            raise errors.forbidden_write(kind.plural, kind.group, meta["name"], why)

    def _place(self, target: Target, obj: Obj) -> None:
        meta = obj["metadata"]
        if not target.kind.namespaced:
            meta.pop("namespace", None)
            return
        given = meta.get("namespace")
        if given and given != target.namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        meta["namespace"] = target.namespace

    def _name(self, kind: Kind, meta: Obj) -> None:
        if meta.get("name") or not meta.get("generateName"):
            return
        for _ in range(8):
            meta["name"] = metadata.generated(meta["generateName"], self._rng)
            if not self._store.get(kind, meta.get("namespace", ""), meta["name"]):
                return

    def _owned_on_create(self, kind: Kind, obj: Obj, options: Options, applier: Managers | None) -> Obj:
        if applier is not None:
            return ownership.write(obj, applier)
        obj["metadata"].pop("managedFields", None)
        who = ManagerId(options.manager, "Update", kind.api_version)
        empty: Obj = {"metadata": {}}
        managers = ownership.updated(kind.schema, empty, obj, {}, who, rfc3339(self._now()), reset_fields(kind, ""))
        return ownership.write(obj, managers)

    # --- update -----------------------------------------------------------------------------------------------------

    def update(self, target: Target, obj: Obj, options: Options, *, applier: Managers | None = None) -> Written:
        kind = target.kind
        forgotten = not target.subresource and _forgets_managers(obj)
        obj, warnings = decoding.decoded(kind, obj, options)
        meta = obj["metadata"]
        decoding.check_name(target, meta)
        old = self.live(target)
        self._place(target.named(target.name), obj)
        self._check_identity(target, meta, old, patched=bool(options.patch) or applier is not None)
        sent = ownership.read(obj)
        obj = self._scoped(target, obj, old)
        metadata.keep_system_fields(obj, old)
        rules = self._rules(kind)
        rules.default(obj)
        rules.prepare(obj, old)
        self._bump_generation(kind, obj, old)
        obj = ownership.write(obj, {}) if forgotten else self._owned_on_update(target, obj, old, options, applier, sent)
        found = metadata.validate(kind, obj) + metadata.change_errors(obj, old) + rules.validate(obj, old)
        if found:
            raise errors.invalid_object(kind.kind, kind.group, target.name, found)
        self._guard(options.user, kind, obj, old)
        obj["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if _changes_nothing(obj, old):
            return Written(old, False, warnings)
        if options.dry_run:
            return Written(obj, False, warnings)
        return Written(self._stored(target, obj, old), False, warnings)

    def _stored(self, target: Target, obj: Obj, old: Obj) -> Obj:
        """Stores the new state, unless it was only waiting for its last finalizer."""
        meta = obj["metadata"]
        waiting = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds", 0)
        if "deletionTimestamp" in meta and _finalizers(old) and not waiting and not namespace_holds(target.kind, obj):
            return self._store.remove(target.kind, target.namespace, target.name, obj)
        return self._store.put(target.kind, obj)

    def live(self, target: Target) -> Obj:
        found = self._store.get(target.kind, target.namespace, target.name)
        if found is None:
            raise errors.not_found(target.kind.plural, target.kind.group, target.name)
        return found

    def _check_identity(self, target: Target, meta: Obj, old: Obj, *, patched: bool) -> None:
        kind, held = target.kind, old["metadata"]
        other_uid = bool(meta.get("uid")) and meta["uid"] != held["uid"]
        if other_uid and not patched:
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {held['uid']}"
            raise errors.conflict(kind.plural, kind.group, target.name, why)
        version = meta.get("resourceVersion")
        if not version and (kind.custom or kind.resource in CONDITIONAL):
            wrong = errors.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.invalid_object(kind.kind, kind.group, target.name, [wrong])
        if version and version != held["resourceVersion"]:
            raise errors.conflict(kind.plural, kind.group, target.name)
        if other_uid:
            wrong = errors.invalid("metadata.uid", meta["uid"], "field is immutable")
            raise errors.invalid_object(kind.kind, kind.group, target.name, [wrong])

    def _scoped(self, target: Target, obj: Obj, old: Obj) -> Obj:
        """A status write changes nothing but status; any other write leaves status alone."""
        if not target.kind.status:
            return obj
        base, other = (old, obj) if target.subresource == "status" else (obj, old)
        scoped: Obj = clone({key: value for key, value in base.items() if key != "status"})
        if "status" in other:
            scoped["status"] = clone(other["status"])
        return scoped

    def _bump_generation(self, kind: Kind, obj: Obj, old: Obj) -> None:
        if "generation" not in old["metadata"]:
            return
        if _intent(kind, obj) != _intent(kind, old):
            obj["metadata"]["generation"] = old["metadata"]["generation"] + 1

    def _owned_on_update(
        self, target: Target, obj: Obj, old: Obj, options: Options, applier: Managers | None, sent: Managers
    ) -> Obj:
        if applier is not None:
            return ownership.write(obj, applier)
        kind = target.kind
        who = ManagerId(options.manager, "Update", kind.api_version, target.subresource)
        held = sent if sent and not target.subresource else ownership.read(old)
        if not held:
            return ownership.write(obj, {})
        reset = reset_fields(kind, target.subresource)
        return ownership.write(obj, ownership.updated(kind.schema, old, obj, held, who, rfc3339(self._now()), reset))

    # --- apply ------------------------------------------------------------------------------------------------------

    def apply(self, target: Target, config: Obj, options: Options) -> Written:
        kind = target.kind
        config = decoding.applied(target, config)
        old = self._store.get(kind, target.namespace, target.name)
        meta = config["metadata"]
        if old is None and target.subresource:
            raise errors.not_found(kind.plural, kind.group, target.name)
        if old is None and meta.get("uid"):
            why = f"uid mismatch: the provided object specified uid {meta['uid']}, and no existing object was found"
            raise errors.conflict(kind.plural, kind.group, target.name, why)
        if old is None:
            # Surprising, but so it is: only a uid keeps an apply from creating what is gone.
            meta.pop("resourceVersion", None)
        who = ManagerId(options.manager, "Apply", kind.api_version, target.subresource)
        reset = reset_fields(kind, target.subresource)
        merged, managers = ownership.applied(
            kind.schema, old or {}, config, ownership.read(old or {}), who, rfc3339(self._now()),
            force=options.force, reset=reset,
        )  # fmt: skip
        merged, _ = fields.known(kind.schema, merged)
        if old is None:
            return self.create(target, merged, options, applier=managers)
        if merged == ownership.bare(old) and _same_fields(managers, ownership.read(old)):
            return Written(old)
        merged["metadata"].setdefault("resourceVersion", old["metadata"]["resourceVersion"])
        return self.update(target, merged, options, applier=managers)

    def finalize(self, target: Target, obj: Obj) -> Obj:
        """Sets the finalizers in a namespace's spec; one that is ending and has none left goes."""
        live = clone(self.live(target))
        live["spec"] = {**live.get("spec", {}), "finalizers": (obj.get("spec") or {}).get("finalizers") or []}
        if live["spec"]["finalizers"] or "deletionTimestamp" not in live["metadata"]:
            return self._store.put(target.kind, live)
        if _finalizers(live):
            return self._store.put(target.kind, live)
        return self._store.remove(target.kind, "", target.name)


def _forgets_managers(obj: Obj) -> bool:
    """A list of managers that is there and empty, or has one empty entry: who owned what is to be forgotten."""
    meta = obj.get("metadata")
    return isinstance(meta, dict) and meta.get("managedFields") in ([], [{}])


def namespace_holds(kind: Kind, obj: Obj) -> bool:
    """A namespace also waits for the finalizers in its spec."""
    return kind.resource == "namespaces" and bool(obj.get("spec", {}).get("finalizers"))


def _changes_nothing(obj: Obj, old: Obj) -> bool:
    """A write whose only effect would be newer times in managedFields is none."""
    return obj == old or (
        ownership.bare(obj) == ownership.bare(old) and _same_fields(ownership.read(obj), ownership.read(old))
    )


def _finalizers(obj: Obj) -> bool:
    return bool(obj["metadata"].get("finalizers"))


def _intent(kind: Kind, obj: Obj) -> Mapping[str, object]:
    if kind.custom:
        return {key: value for key, value in obj.items() if key not in ("metadata", "status", "apiVersion", "kind")}
    return {"spec": obj.get("spec"), "endpoints": obj.get("endpoints"), "ports": obj.get("ports")}


def _same_fields(left: Managers, right: Managers) -> bool:
    return {who: owned.fields for who, owned in left.items()} == {who: owned.fields for who, owned in right.items()}


def reset_fields(kind: Kind, subresource: str) -> PathSet:
    """The fields which a write through this door cannot set, and therefore never owns."""
    if not kind.status:
        return frozenset()
    if subresource != "status":
        return frozenset([("f:status",)])
    top = {("f:spec",), *((f"f:{name}",) for name in kind.schema.properties if name not in ("status", "metadata"))}
    return frozenset(top | {("f:metadata",)})
