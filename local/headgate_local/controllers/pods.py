"""What a workload controller asks of a pod: is it active, ready, available, and which goes first.

The deletion order is the ReplicaSet controller's own, because a partial scale-down that takes a ready pod while an
unready one stands beside it would break the availability promise the operator builds on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from headgate_local.controllers.objects import (
    Obj,
    annotations_of,
    condition_of,
    is_terminating,
    parse_timestamp,
    spec_of,
    status_of,
    uid_of,
)

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}


def is_active(pod: Obj) -> bool:
    return status_of(pod).get("phase") not in ("Succeeded", "Failed") and not is_terminating(pod)


def is_ready(pod: Obj) -> bool:
    condition = condition_of(pod, "Ready")
    return condition is not None and condition.get("status") == "True"


def ready_since(pod: Obj) -> datetime | None:
    condition = condition_of(pod, "Ready")
    if condition is None or condition.get("status") != "True" or not condition.get("lastTransitionTime"):
        return None
    return parse_timestamp(condition["lastTransitionTime"])


def available_in(pod: Obj, min_ready_seconds: int, now: datetime) -> float | None:
    """Seconds until the pod counts as available: 0 when it does, None when it is not even ready."""
    since = ready_since(pod)
    if since is None:
        return None
    return max(0.0, (since + timedelta(seconds=min_ready_seconds) - now).total_seconds())


def deletion_order(pods: Sequence[Obj], now: datetime) -> list[Obj]:
    """Pods in the order in which a scale-down takes them."""
    return sorted(pods, key=lambda pod: _deletion_rank(pod, now))


def _deletion_rank(pod: Obj, now: datetime) -> tuple[float | str, ...]:
    # One node only, so the controller's "doubled up on a node" rank is equal for all and left out.
    ready = is_ready(pod)
    since = ready_since(pod)
    return (
        1 if spec_of(pod).get("nodeName") else 0,
        _PHASE_ORDER.get(status_of(pod).get("phase", "Pending"), 1),
        1 if ready else 0,
        _deletion_cost(pod),
        _age_bucket(since, now) if since else -1,
        -_most_restarts(pod),
        _age_bucket(parse_timestamp(pod["metadata"]["creationTimestamp"]), now),
        uid_of(pod),
    )


def _deletion_cost(pod: Obj) -> int:
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _most_restarts(pod: Obj) -> int:
    return max((int(s.get("restartCount", 0)) for s in status_of(pod).get("containerStatuses") or []), default=0)


def _age_bucket(since: datetime, now: datetime) -> int:
    """Ages are compared on a logarithmic scale, as upstream does, so that near-equal ages do not decide."""
    age = (now - since).total_seconds()
    return int(math.log2(age)) if age >= 1 else -1
