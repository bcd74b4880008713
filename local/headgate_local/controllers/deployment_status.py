"""A Deployment's status from its ReplicaSets: counts and the three conditions, pure.

`kubectl rollout status` and the operator both trust these, so reasons, messages and the rules for times are upstream's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from headgate_local.controllers.objects import (
    Obj,
    condition_of,
    find_condition,
    name_of,
    parse_timestamp,
    replicas_of,
    spec_of,
    status_of,
    timestamp,
)

# Upstream's value for "never": the largest 32-bit integer.
_FOREVER = 2**31 - 1


def progress_deadline(deployment: Obj) -> int | None:
    seconds = int(spec_of(deployment).get("progressDeadlineSeconds") or 600)
    return None if seconds == _FOREVER else seconds


def condition(kind: str, status: str, reason: str, message: str, now: datetime) -> Obj:
    moment = timestamp(now)
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": moment,
        "lastTransitionTime": moment,
    }


def set_condition(conditions: Sequence[Obj], new: Obj) -> list[Obj]:
    """The same status and reason changes nothing; the same status keeps its transition time."""
    current = find_condition(conditions, new["type"])
    if current and current["status"] == new["status"] and current.get("reason") == new["reason"]:
        return list(conditions)
    if current and current["status"] == new["status"]:
        new = {**new, "lastTransitionTime": current.get("lastTransitionTime", new["lastTransitionTime"])}
    return [*(c for c in conditions if c["type"] != new["type"]), new]


def without_condition(conditions: Sequence[Obj], kind: str) -> list[Obj]:
    return [c for c in conditions if c["type"] != kind]


def counted_status(deployment: Obj, new: Obj | None, old: Sequence[Obj], least_available: int, now: datetime) -> Obj:
    """Counts, observedGeneration and Available; the other conditions are carried over."""
    everything = [*old, *([new] if new else [])]
    available = _sum(everything, "availableReplicas")
    wanted = sum(replicas_of(rs) for rs in everything)
    status: Obj = {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": _sum(everything, "replicas"),
        "updatedReplicas": _sum([new] if new else [], "replicas"),
        "readyReplicas": _sum(everything, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted - available),
        "terminatingReplicas": _sum(everything, "terminatingReplicas"),
        "collisionCount": status_of(deployment).get("collisionCount"),
    }
    status = {key: value for key, value in status.items() if value or key == "terminatingReplicas"}
    if available >= least_available:
        verdict = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        verdict = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    conditions = status_of(deployment).get("conditions") or []
    status["conditions"] = set_condition(conditions, condition("Available", *verdict, now))
    return status


def rollout_status(deployment: Obj, new: Obj | None, old: Sequence[Obj], least_available: int, now: datetime) -> Obj:
    """`counted_status` with Progressing and ReplicaFailure."""
    status = counted_status(deployment, new, old, least_available, now)
    if progress_deadline(deployment) is None:
        status["conditions"] = without_condition(status["conditions"], "Progressing")
    else:
        status["conditions"] = _with_progress(deployment, status, new, now)
    failure = _replica_failure(new, old)
    if failure:
        status["conditions"] = set_condition(status["conditions"], {**failure, "lastUpdateTime": timestamp(now)})
    else:
        status["conditions"] = without_condition(status["conditions"], "ReplicaFailure")
    return status


def is_complete(deployment: Obj, status: Obj) -> bool:
    wanted = replicas_of(deployment)
    counts = (status.get(field, 0) for field in ("updatedReplicas", "replicas", "availableReplicas"))
    generation = deployment["metadata"].get("generation", 1)
    return all(count == wanted for count in counts) and status.get("observedGeneration", 0) >= generation


def seconds_to_deadline(deployment: Obj, status: Obj, now: datetime) -> float | None:
    """When to look again for a stuck rollout; None when nothing is under way."""
    deadline, current = progress_deadline(deployment), find_condition(status.get("conditions") or [], "Progressing")
    if deadline is None or current is None or current.get("reason") == "ProgressDeadlineExceeded":
        return None
    if is_complete(deployment, status):
        return None
    due = parse_timestamp(current["lastUpdateTime"]) + timedelta(seconds=deadline)
    return max(0.0, (due - now).total_seconds()) + 1.0


def _with_progress(deployment: Obj, status: Obj, new: Obj | None, now: datetime) -> list[Obj]:
    conditions: list[Obj] = status["conditions"]
    current = condition_of(deployment, "Progressing")
    finished = current is not None and current.get("reason") == "NewReplicaSetAvailable"
    if finished and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return conditions
    subject = f'ReplicaSet "{name_of(new)}"' if new else f'Deployment "{name_of(deployment)}"'
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        return set_condition(conditions, condition("Progressing", "True", "NewReplicaSetAvailable", message, now))
    if _is_progressing(deployment, status):
        fresh = condition("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
        if current and current["status"] == "True":
            fresh["lastTransitionTime"] = current["lastTransitionTime"]
        # Replaced, not merged: lastUpdateTime must move with every step, the deadline counts from it.
        return [*without_condition(conditions, "Progressing"), fresh]
    if _is_timed_out(deployment, current, now):
        message = f"{subject} has timed out progressing."
        return set_condition(conditions, condition("Progressing", "False", "ProgressDeadlineExceeded", message, now))
    return conditions


def _is_progressing(deployment: Obj, status: Obj) -> bool:
    before = status_of(deployment)
    old_before = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    old_now = status.get("replicas", 0) - status.get("updatedReplicas", 0)
    grown = any(status.get(f, 0) > before.get(f, 0) for f in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grown or bool(old_now < old_before)


def _is_timed_out(deployment: Obj, current: Obj | None, now: datetime) -> bool:
    deadline = progress_deadline(deployment)
    if deadline is None or current is None or current.get("reason") == "NewReplicaSetAvailable":
        return False
    if current.get("reason") == "ProgressDeadlineExceeded":
        return True
    return parse_timestamp(current["lastUpdateTime"]) + timedelta(seconds=deadline) < now


def _replica_failure(new: Obj | None, old: Sequence[Obj]) -> Obj | None:
    for rs in [*([new] if new else []), *old]:
        failure = condition_of(rs, "ReplicaFailure")
        if failure:
            return failure
    return None


def _sum(replica_sets: Sequence[Obj], field: str) -> int:
    return sum(int(status_of(rs).get(field, 0)) for rs in replica_sets)
