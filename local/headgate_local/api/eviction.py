"""Evictions: a delete that asks the pod's disruption budget first.

What a budget allows is counted down here, at once and in its status, because the controller that counts anew comes
later: two evictions in a row must not both be let through on one permission.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from headgate_local import errors
from headgate_local.api import bodies, selectors
from headgate_local.api.clock import rfc3339
from headgate_local.api.deletion import DeleteOptions, Deleter
from headgate_local.api.options import Options
from headgate_local.api.request import Request, Response
from headgate_local.api.routing import Target
from headgate_local.api.writing import Writer
from headgate_local.errors import ApiError
from headgate_local.kinds import Kind, Kinds
from headgate_local.store import Obj, Store, clone

VERSIONS = ("policy/v1", "policy/v1beta1")
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
ALLOWED = "DisruptionAllowed"
SERVER = Options("kube-apiserver")


@dataclass(frozen=True)
class Evictor:
    store: Store
    kinds: Kinds
    writer: Writer
    deleter: Deleter
    now: Callable[[], datetime]

    def answer(self, target: Target, request: Request) -> Response:
        eviction = _read(request)
        if (eviction.get("metadata") or {}).get("name", "") != target.name:
            raise errors.bad_request("name in URL does not match name in Eviction object")
        options = _options(eviction, request)
        pod = self.writer.live(target)
        if not _harmless(pod):
            self._ask_budget(pod, options)
        self._delete(target, pod, options)
        return Response(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})

    def _ask_budget(self, pod: Obj, options: DeleteOptions) -> None:
        budgets = [one for one in self.store.all(self._kind, pod["metadata"]["namespace"]) if _covers(one, pod)]
        if len(budgets) > 1:
            raise ApiError(500, "", SEVERAL)
        for budget in budgets:
            if not _is_ready(pod) and _lets_unready_go(budget):
                continue
            _check(budget)
            if not options.dry_run:
                self._count_down(budget, pod)

    def _count_down(self, budget: Obj, pod: Obj) -> None:
        moment = rfc3339(self.now())
        changed = clone(budget)
        status = changed["status"]
        status["disruptionsAllowed"] -= 1
        if status["disruptionsAllowed"] == 0:
            status["conditions"] = told(status, allowed=False, moment=moment)
        status.setdefault("disruptedPods", {})[pod["metadata"]["name"]] = moment
        meta = budget["metadata"]
        self.writer.update(Target(self._kind, meta["namespace"], meta["name"], "status"), changed, SERVER)

    def _delete(self, target: Target, pod: Obj, options: DeleteOptions) -> None:
        meta, name = pod["metadata"], target.name
        for label, wanted, held, story in (
            ("UID", options.uid, meta["uid"], "deleted and then recreated"),
            ("ResourceVersion", options.version, meta["resourceVersion"], "modified"),
        ):
            if wanted and wanted != held:
                why = f"the {label} in the precondition ({wanted}) does not match the {label} in record ({held})."
                raise errors.conflict("Pod", "", name, f"{why} The object might have been {story}")
        plain = Target(target.kind, target.namespace, name)
        if not options.dry_run:
            self._tell_pod(replace(plain, subresource="status"), pod)
            options = replace(options, version="")
        self.deleter.delete(plain, options)

    def _tell_pod(self, target: Target, pod: Obj) -> None:
        why = {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
        condition = {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": rfc3339(self.now()), **why}
        told_pod = clone(pod)
        others = [c for c in told_pod["status"].get("conditions") or () if c["type"] != condition["type"]]
        told_pod["status"]["conditions"] = [*others, condition]
        self.writer.update(target, told_pod, SERVER)

    @property
    def _kind(self) -> Kind:
        return self.kinds.named("PodDisruptionBudget")


def told(status: Obj, *, allowed: bool, moment: str) -> list[Obj]:
    """The conditions with the one that says whether a disruption is allowed now."""
    reason = "SufficientPods" if allowed else "InsufficientPods"
    return with_condition(status, "True" if allowed else "False", reason, "", moment)


def with_condition(status: Obj, value: str, reason: str, message: str, moment: str) -> list[Obj]:
    conditions = status.get("conditions") or []
    current = next((one for one in conditions if one["type"] == ALLOWED), None)
    since = current["lastTransitionTime"] if current and current["status"] == value else moment
    made: Obj = {"type": ALLOWED, "status": value, "reason": reason, "message": message, "lastTransitionTime": since}
    if status.get("observedGeneration"):
        made["observedGeneration"] = status["observedGeneration"]
    return [*(one for one in conditions if one["type"] != ALLOWED), made]


def _read(request: Request) -> Obj:
    found = bodies.read_typed(request, "k8s.io.api.policy.v1.Eviction")
    version, kind = found.get("apiVersion", VERSIONS[0]), found.get("kind", "Eviction")
    if version not in VERSIONS or kind != "Eviction":
        given = version.rpartition("/")[2]
        why = f"converting ({given}.{kind}) to (policy.Eviction): unknown conversion"
        raise errors.bad_request(f'{kind} in version "{given}" cannot be handled as a Eviction: {why}')
    return found


def _options(eviction: Obj, request: Request) -> DeleteOptions:
    given = eviction.get("deleteOptions") or {}
    asked = [request.query["dryRun"]] if request.query.get("dryRun") else []
    said = given.get("dryRun") or []
    if asked and said and asked != said:
        about = f"[{' '.join(asked)}] and [{' '.join(said)}]"
        raise ApiError(500, "", f"Non-matching dry-run options in request and content: {about}")
    return DeleteOptions.of(request, given)


def _harmless(pod: Obj) -> bool:
    """A pod that serves nobody, or is going anyway, disturbs no budget."""
    phase = pod.get("status", {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or "deletionTimestamp" in pod["metadata"]


def _covers(budget: Obj, pod: Obj) -> bool:
    return selectors.of_spec(budget["spec"].get("selector")).matches(pod["metadata"].get("labels") or {})


def _is_ready(pod: Obj) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _lets_unready_go(budget: Obj) -> bool:
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget["status"]
    return bool(status["currentHealthy"] >= status["desiredHealthy"] > 0)


def _check(budget: Obj) -> None:
    name, status = budget["metadata"]["name"], budget["status"]
    if status.get("observedGeneration", 0) < budget["metadata"]["generation"]:
        raise _too_many(f"The disruption budget {name} is still being processed by the server.", wait=10)
    if status["disruptionsAllowed"] > 0:
        return
    condition: Obj = next((one for one in status.get("conditions") or () if one["type"] == ALLOWED), {})
    desired, current = status["desiredHealthy"], status["currentHealthy"]
    if condition.get("reason") == "SyncFailed":
        text = f"does not allow evicting pods currently because it failed sync: {condition.get('message', '')}"
    elif current <= desired:
        text = f"needs {desired} healthy pods and has {current} currently"
    else:
        text = "does not allow evicting pods currently"
    raise _too_many(f"The disruption budget {name} {text}")


def _too_many(cause: str, wait: int = 0) -> ApiError:
    details: dict[str, Any] = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    if wait:
        details["retryAfterSeconds"] = wait
    return ApiError(429, "TooManyRequests", REFUSED, details)
