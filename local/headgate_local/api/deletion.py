"""Deleting: preconditions, grace for pods, finalizers and the two propagation policies that need them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from headgate_local import errors
from headgate_local.api.clock import parse_rfc3339, rfc3339
from headgate_local.api.request import Request
from headgate_local.api.routing import Target
from headgate_local.store import Obj, Store

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
DEFAULT_GRACE = 30


@dataclass(frozen=True)
class DeleteOptions:
    uid: str = ""
    version: str = ""
    propagation: str = ""
    grace: int | None = None
    dry_run: bool = False

    @staticmethod
    def of(request: Request, body: dict[str, Any]) -> DeleteOptions:
        query, conditions = request.query, body.get("preconditions") or {}
        grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        policy = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
        orphan = body.get("orphanDependents")
        if policy not in ("", "Background", "Foreground", "Orphan"):
            wrong = errors.not_supported("propagationPolicy", policy, ["Foreground", "Background", "Orphan", "nil"])
            raise errors.invalid_object("DeleteOptions", "meta.k8s.io", "", [wrong])
        if orphan is not None and not policy:
            policy = "Orphan" if orphan else "Background"
        dry_run = body.get("dryRun") or ([query["dryRun"]] if query.get("dryRun") else [])
        return DeleteOptions(
            conditions.get("uid") or "",
            conditions.get("resourceVersion") or "",
            policy,
            int(grace) if grace is not None else None,
            "All" in dry_run,
        )


class Deleter:
    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def delete(self, target: Target, options: DeleteOptions) -> tuple[Obj, bool]:
        """The object, and whether it is gone; otherwise it waits for its finalizers or its grace period."""
        kind = target.kind
        obj = self._store.get(kind, target.namespace, target.name)
        if obj is None:
            raise errors.not_found(kind.plural, kind.group, target.name)
        self._check(target, obj, options)
        finalizers = self._finalizers(obj, options)
        grace = self._grace(target, obj, options)
        held = target.kind.resource == "namespaces" and bool(obj.get("spec", {}).get("finalizers"))
        if not finalizers and grace == 0 and not held:
            return (obj if options.dry_run else self._store.remove(kind, target.namespace, target.name)), True
        marked = self._marked(obj, finalizers, grace)
        if held:
            marked["status"] = {**marked.get("status", {}), "phase": "Terminating"}
        if options.dry_run or marked == obj:
            return marked, False
        return self._store.put(kind, marked), False

    def _check(self, target: Target, obj: Obj, options: DeleteOptions) -> None:
        kind, meta = target.kind, obj["metadata"]
        for name, wanted, held in (
            ("UID", options.uid, meta["uid"]),
            ("ResourceVersion", options.version, meta["resourceVersion"]),
        ):
            if wanted and wanted != held:
                why = f"the {name} in the precondition ({wanted}) does not match the {name} in record ({held})."
                why += f" The object might have been {'deleted and then recreated' if name == 'UID' else 'modified'}"
                raise errors.conflict(kind.plural, kind.group, target.name, why)

    def _finalizers(self, obj: Obj, options: DeleteOptions) -> list[str]:
        kept = [one for one in obj["metadata"].get("finalizers", []) if one not in (FOREGROUND, ORPHAN)]
        held = [one for one in obj["metadata"].get("finalizers", []) if one in (FOREGROUND, ORPHAN)]
        match options.propagation:
            case "Foreground":
                return [*kept, FOREGROUND]
            case "Orphan":
                return [*kept, ORPHAN]
            case "Background":
                return kept
            case _:
                return [*kept, *held]

    def _grace(self, target: Target, obj: Obj, options: DeleteOptions) -> int:
        """Seconds a pod gets to end. One that never ran, or has ended, goes at once."""
        if target.kind.resource != "pods":
            return 0
        meta = obj["metadata"]
        if not obj.get("spec", {}).get("nodeName") or obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        own = obj["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE)
        wanted = options.grace if options.grace is not None else own
        held = meta.get("deletionGracePeriodSeconds")
        if held is None:
            return max(int(wanted), 0)
        # A further delete may only shorten what was granted.
        return min(int(held), int(wanted)) if options.grace is not None else int(held)

    def _marked(self, obj: Obj, finalizers: list[str], grace: int) -> Obj:
        meta = {**obj["metadata"]}
        if finalizers:
            meta["finalizers"] = finalizers
        else:
            meta.pop("finalizers", None)
        held = meta.get("deletionGracePeriodSeconds")
        if held is None:
            meta["deletionTimestamp"] = rfc3339(self._now() + timedelta(seconds=grace))
            meta["deletionGracePeriodSeconds"] = grace
            if "generation" in meta:
                meta["generation"] += 1
        elif grace < held:
            began = parse_rfc3339(meta["deletionTimestamp"]) - timedelta(seconds=held)
            meta["deletionTimestamp"] = rfc3339(began + timedelta(seconds=grace))
            meta["deletionGracePeriodSeconds"] = grace
        return {**obj, "metadata": meta}
