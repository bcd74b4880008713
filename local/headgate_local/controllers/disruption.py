"""PodDisruptionBudget -> its status: how many pods are there, how many are healthy, how many may go now."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from headgate_local.api import selectors
from headgate_local.api.eviction import told, with_condition
from headgate_local.client import LocalClient
from headgate_local.controllers.events import Events, NoEvents
from headgate_local.controllers.objects import (
    Obj,
    controller_of,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    parse_timestamp,
    replicas_of,
    spec_of,
    status_of,
    timestamp,
    uid_of,
)
from headgate_local.controllers.pods import is_ready

# An evicted pod that is still not being deleted after this long counts as healthy again.
DELETION_TIMEOUT = timedelta(minutes=2)
UNMANAGED = (
    "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of the PDB cannot be"
    " calculated correctly, which may result in undefined behavior. To account for these pods please set"
    ' ".spec.minAvailable" field of the PDB to an integer value.'
)


class UncountableError(Exception):
    """The pods of a budget have an owner whose size is not known."""


class DisruptionController:
    def __init__(self, client: LocalClient, now: Callable[[], datetime], events: Events | None = None) -> None:
        self._client, self._now = client, now
        self._events: Events = events or NoEvents()

    def sync(self, namespace: str, name: str) -> float | None:
        budget = self._client.get("PodDisruptionBudget", namespace, name)
        if budget is None:
            return None
        pods = [pod for pod in self._client.list("Pod", namespace) if selects(budget, pod)]
        if not pods:
            self._events.normal(budget, "NoPods", "No matching pods found")
        try:
            expected, desired = self._expected(budget, pods)
        except UncountableError as error:
            # Rather no eviction than a wrong one.
            self._events.warning(budget, "CalculateExpectedPodCountFailed", str(error))
            status = {**status_of(budget), "disruptionsAllowed": 0}
            moment = timestamp(self._now())
            status["conditions"] = with_condition(status, "False", "SyncFailed", str(error), moment)
            self._write(budget, status)
            return None
        disrupted = self._disrupted(budget, pods)
        healthy = sum(is_ready(p) and not is_terminating(p) and name_of(p) not in disrupted for p in pods)
        allowed = max(0, healthy - desired) if expected > 0 else 0
        self._write(budget, self._status(budget, expected, desired, healthy, allowed, disrupted))
        ends = [parse_timestamp(moment) + DELETION_TIMEOUT for moment in disrupted.values()]
        return max(0.0, (min(ends) - self._now()).total_seconds()) if ends else None

    def _status(
        self, budget: Obj, expected: int, desired: int, healthy: int, allowed: int, disrupted: dict[str, str]
    ) -> Obj:
        status: Obj = {
            "observedGeneration": budget["metadata"]["generation"],
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "conditions": status_of(budget).get("conditions") or [],
        }
        if disrupted:
            status["disruptedPods"] = disrupted
        return {**status, "conditions": told(status, allowed=allowed > 0, moment=timestamp(self._now()))}

    def _write(self, budget: Obj, status: Obj) -> None:
        if status != status_of(budget):
            self._client.update_status({**budget, "status": status})

    def _expected(self, budget: Obj, pods: Sequence[Obj]) -> tuple[int, int]:
        """How many pods there should be, and how many of them must be healthy."""
        spec = spec_of(budget)
        if "maxUnavailable" in spec:
            expected = self._scale(budget, pods)
            return expected, max(0, expected - _scaled(spec["maxUnavailable"], expected))
        wanted = spec.get("minAvailable")
        if isinstance(wanted, str):
            expected = self._scale(budget, pods)
            return expected, _scaled(wanted, expected)
        return (len(pods), wanted) if wanted is not None else (0, 0)

    def _scale(self, budget: Obj, pods: Sequence[Obj]) -> int:
        """The wanted size of everything that owns one of the pods; pods of nobody do not count."""
        sizes: dict[str, int] = {}
        for pod in pods:
            owner = controller_of(pod)
            if owner is None:
                self._events.warning(budget, "UnmanagedPods", UNMANAGED)
            elif owner["uid"] not in sizes:
                found = self._owner(owner, pod)
                sizes[uid_of(found)] = replicas_of(found)
                sizes.setdefault(owner["uid"], 0)
        return sum(sizes.values())

    def _owner(self, reference: Obj, pod: Obj) -> Obj:
        """The Deployment above a ReplicaSet decides how many pods there should be, else the ReplicaSet."""
        found = self._get(reference, namespace_of(pod)) if reference["kind"] == "ReplicaSet" else None
        if found is None:
            raise UncountableError(f'found no controllers for pod "{name_of(pod)}"')
        above = controller_of(found)
        deployment = self._get(above, namespace_of(pod)) if above and above["kind"] == "Deployment" else None
        return deployment or found

    def _get(self, reference: Obj, namespace: str) -> Obj | None:
        found = self._client.get(reference["kind"], namespace, reference["name"])
        return found if found is not None and uid_of(found) == reference["uid"] else None

    def _disrupted(self, budget: Obj, pods: Sequence[Obj]) -> dict[str, str]:
        """The evicted pods whose end has not been seen yet."""
        marked: dict[str, str] = status_of(budget).get("disruptedPods") or {}
        oldest = self._now() - DELETION_TIMEOUT
        waiting = {name_of(pod) for pod in pods if not is_terminating(pod)}
        return {name: at for name, at in marked.items() if name in waiting and parse_timestamp(at) >= oldest}


def selects(budget: Obj, pod: Obj) -> bool:
    return selectors.of_spec(spec_of(budget).get("selector")).matches(labels_of(pod))


def _scaled(value: int | str, total: int) -> int:
    return value if isinstance(value, int) else math.ceil(int(value.rstrip("%")) * total / 100)
