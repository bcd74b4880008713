"""Rollouts of the real core, as the API server shows them to whoever looks."""

from __future__ import annotations

from typing import Any

from core_lab import Lab, serving
from headgate_operator.api.codec import to_json
from headgate_operator.api.spec import Step, Strategy

STEPS = (Step(weight=10), Step(weight=50))


def canary(requests: float = 100, *, version: dict[str, Any] | None = None, **rollout: Any) -> Lab:
    lab = serving(replicas=3, **{"strategy": Strategy.CANARY, "steps": STEPS, **rollout})
    lab.requests = requests
    lab.behaves("1", errors=0.01)
    lab.behaves("2", **(version or {"errors": 0.01}))
    lab.want("2")
    return lab.settle()


def object_of(lab: Lab) -> dict[str, Any]:
    meta = {"name": "iris", "namespace": "ml", "generation": 1, "creationTimestamp": "2026-03-01T00:00:00Z"}
    return {"metadata": meta, "spec": {"model": {"name": "m"}}, "status": to_json(lab.status)}
