"""Create and update: one road that every write takes, whatever verb it came by.

decode -> unknown fields -> defaults -> system metadata -> ownership of fields -> validation -> store. A dry run takes the
same road and stops before the store.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from headgate_local import errors
from headgate_local.api import fields, metadata
from headgate_local.api.apply import ownership
from headgate_local.api.apply.ownership import ManagerId, Managers
from headgate_local.api.apply.paths import PathSet
from headgate_local.api.clock import rfc3339
from headgate_local.api.request import Request
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


@dataclass(frozen=True)
class Options:
    """How a write is to be done, from its query and headers."""

    manager: str
    dry_run: bool = False
    validation: str = "Warn"
    force: bool = False

    @staticmethod
    def of(request: Request) -> Options:
        query = request.query
        dry_run = query.get("dryRun", "")
        if dry_run not in ("", "All"):
            raise _bad_option("dryRun", dry_run, "All")
        validation = query.get("fieldValidation") or "Warn"
        if validation not in ("Strict", "Warn", "Ignore"):
            raise errors.bad_request(f'fieldValidation: Unsupported value: "{validation}"')
        manager = query.get("fieldManager") or request.user_agent.partition("/")[0] or "unknown"
        return Options(manager, dry_run == "All", validation, request.flag("force"))


def _bad_option(name: str, value: str, supported: str) -> errors.ApiError:
    wrong = errors.not_supported(name, [value], [supported])
    return errors.invalid_object("CreateOptions", "meta.k8s.io", "", [wrong])


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
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._rules = rules
        self._now = now
        self._uid = uid
        # Gives a new object what is allocated for it; nobody owns such fields, and a dry run allocates nothing.
        self._complete = complete
        self._rng = random.Random(uid())  # noqa: S311 - names, not secrets; seeded so that runs repeat

    # --- create -----------------------------------------------------------------------------------------------------

    def create(self, target: Target, obj: Obj, options: Options, *, applier: Managers | None = None) -> Written:
        kind = target.kind
        obj, warnings = self._decoded(kind, obj, options)
        meta = obj["metadata"]
        if meta.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
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
        old = self.live(target)
        obj, warnings = self._decoded(kind, obj, options)
        meta = obj["metadata"]
        self._place(target.named(target.name), obj)
        if meta.get("name") != target.name:
            shown = meta.get("name", "")
            raise errors.bad_request(
                f"the name of the object ({shown}) does not match the name on the URL ({target.name})"
            )
        self._check_identity(target, meta, old)
        sent = ownership.read(obj)
        obj = self._scoped(target, obj, old)
        metadata.keep_system_fields(obj, old)
        rules = self._rules(kind)
        rules.default(obj)
        rules.prepare(obj, old)
        self._bump_generation(kind, obj, old)
        obj = self._owned_on_update(target, obj, old, options, applier, sent)
        found = metadata.validate(kind, obj) + metadata.change_errors(obj, old) + rules.validate(obj, old)
        if found:
            raise errors.invalid_object(kind.kind, kind.group, target.name, found)
        obj["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if obj == old:
            return Written(old, False, warnings)
        if options.dry_run:
            return Written(obj, False, warnings)
        if "deletionTimestamp" in obj["metadata"] and not obj["metadata"].get("finalizers") and _finalizers(old):
            if obj["metadata"].get("deletionGracePeriodSeconds", 0) == 0:
                self._store.put(kind, obj)
                return Written(self._store.remove(kind, target.namespace, target.name), False, warnings)
        return Written(self._store.put(kind, obj), False, warnings)

    def live(self, target: Target) -> Obj:
        found = self._store.get(target.kind, target.namespace, target.name)
        if found is None:
            raise errors.not_found(target.kind.plural, target.kind.group, target.name)
        return found

    def _check_identity(self, target: Target, meta: Obj, old: Obj) -> None:
        kind, held = target.kind, old["metadata"]
        if meta.get("uid") and meta["uid"] != held["uid"]:
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {held['uid']}"
            raise errors.conflict(kind.plural, kind.group, target.name, why)
        version = meta.get("resourceVersion")
        if not version:
            if kind.custom or kind.resource in CONDITIONAL:
                wrong = errors.invalid("metadata.resourceVersion", 0, "must be specified for an update")
                raise errors.invalid_object(kind.kind, kind.group, target.name, [wrong])
        elif version != held["resourceVersion"]:
            raise errors.conflict(kind.plural, kind.group, target.name)

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
        config = self._checked_config(target, config)
        old = self._store.get(kind, target.namespace, target.name)
        meta = config["metadata"]
        if old is None and target.subresource:
            raise errors.not_found(kind.plural, kind.group, target.name)
        if old is None and meta.get("uid"):
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: "
            raise errors.conflict(kind.plural, kind.group, target.name, why)
        if old is None and meta.get("resourceVersion"):
            raise errors.conflict(kind.plural, kind.group, target.name)
        who = ManagerId(options.manager, "Apply", kind.api_version, target.subresource)
        reset = reset_fields(kind, target.subresource)
        merged, managers = ownership.applied(
            kind.schema, old or {}, config, ownership.read(old or {}), who, rfc3339(self._now()),
            force=options.force, reset=reset,
        )  # fmt: skip
        if old is None:
            return self.create(target, merged, options, applier=managers)
        if merged == ownership.bare(old) and _same_fields(managers, ownership.read(old)):
            return Written(old)
        merged["metadata"].setdefault("resourceVersion", old["metadata"]["resourceVersion"])
        return self.update(target, merged, options, applier=managers)

    def _checked_config(self, target: Target, config: Obj) -> Obj:
        kind = target.kind
        if config.get("apiVersion") != kind.api_version:
            given = config.get("apiVersion", "")
            raise errors.bad_request(
                f"Incorrect version specified in apply patch. Specified patch version: {given}, expected: {kind.api_version}"
            )
        config = clone(config)
        meta = config.setdefault("metadata", {})
        if meta.get("managedFields") is not None:
            raise errors.bad_request("metadata.managedFields must be nil")
        if meta.setdefault("name", target.name) != target.name:
            raise errors.bad_request(
                f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})"
            )
        if kind.namespaced:
            meta.setdefault("namespace", target.namespace)
        config, unknown = fields.known(kind.schema, config)
        if unknown:
            about = f"({target.namespace}/{target.name}; {kind.api_version}, Kind={kind.kind})"
            wrong = "\n".join(f".{one}: field not declared in schema" for one in unknown)
            listed = wrong if len(unknown) == 1 else f"errors:\n{wrong}"
            raise errors.ApiError(500, "", f"failed to create typed patch object {about}: {listed}")
        return config

    def finalize(self, target: Target, obj: Obj) -> Obj:
        """Sets the finalizers in a namespace's spec; one that is ending and has none left goes."""
        live = clone(self.live(target))
        live["spec"] = {**live.get("spec", {}), "finalizers": (obj.get("spec") or {}).get("finalizers") or []}
        if live["spec"]["finalizers"] or "deletionTimestamp" not in live["metadata"]:
            return self._store.put(target.kind, live)
        if _finalizers(live):
            return self._store.put(target.kind, live)
        return self._store.remove(target.kind, "", target.name)

    # --- decoding ---------------------------------------------------------------------------------------------------

    def _decoded(self, kind: Kind, obj: Obj, options: Options) -> tuple[Obj, list[str]]:
        if obj.get("kind") not in (None, kind.kind) or obj.get("apiVersion") not in (None, kind.api_version):
            raise errors.bad_request(
                f"the API version in the data ({obj.get('apiVersion')}) does not match the expected API version"
                f" ({kind.api_version})"
                if obj.get("kind") == kind.kind
                else f'{obj.get("kind")} in version "{obj.get("apiVersion")}" cannot be handled as a {kind.kind}'
            )
        obj = {"apiVersion": kind.api_version, "kind": kind.kind, **clone(obj)}
        if not isinstance(obj.setdefault("metadata", {}), dict):
            raise errors.bad_request("metadata must be an object")
        obj, unknown = fields.known(kind.schema, obj)
        if unknown and options.validation == "Strict":
            listed = ", ".join(f'unknown field "{one}"' for one in unknown)
            raise errors.bad_request(
                f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: strict decoding error: {listed}'
            )
        warnings = [f'unknown field "{one}"' for one in unknown] if options.validation == "Warn" else []
        return obj, warnings


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
