"""Which pod a scale-down takes: the order that keeps what serves longest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from headgate_local.controllers.objects import timestamp
from headgate_local.controllers.pods import DELETION_COST, deletion_order

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_pod(name: str, *, phase: str = "Running", ready_for: float | None = 1000, age: float = 5000, **more: Any) -> Any:
    conditions = []
    if ready_for is not None:
        since = timestamp(NOW - timedelta(seconds=ready_for))
        conditions.append({"type": "Ready", "status": "True", "lastTransitionTime": since})
    statuses = [{"restartCount": more.get("restarts", 0)}]
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": timestamp(NOW - timedelta(seconds=age)),
            "annotations": {DELETION_COST: str(more["cost"])} if "cost" in more else {},
        },
        "spec": {"nodeName": more.get("node", "local")},
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": statuses},
    }


def names(*pods: Any) -> list[str]:
    return [pod["metadata"]["name"] for pod in deletion_order(list(pods), NOW)]


def test_unassigned_then_pending_then_unready_go_before_a_ready_pod() -> None:
    ready = a_pod("ready")
    unready = a_pod("unready", ready_for=None)
    pending = a_pod("pending", phase="Pending", ready_for=None)
    unassigned = a_pod("unassigned", phase="Pending", ready_for=None, node="")
    assert names(ready, unready, pending, unassigned) == ["unassigned", "pending", "unready", "ready"]


def test_lower_deletion_cost_goes_first_but_not_before_unready() -> None:
    assert names(a_pod("dear", cost=5), a_pod("cheap", cost=-1), a_pod("sick", ready_for=None, cost=9)) == [
        "sick",
        "cheap",
        "dear",
    ]


def test_younger_readiness_then_more_restarts_then_younger_pod_go_first() -> None:
    assert names(a_pod("long", ready_for=4000), a_pod("short", ready_for=10)) == ["short", "long"]
    assert names(a_pod("calm"), a_pod("restless", restarts=3)) == ["restless", "calm"]
    assert names(a_pod("old", age=90000), a_pod("young", age=1100)) == ["young", "old"]
