"""A lab in the middle of a canary: version 2 shares the traffic with version 1."""

from __future__ import annotations

from typing import Any

from core_lab import WIDE, Lab, serving
from headgate_operator.api.spec import Step, Strategy
from headgate_operator.api.webhooks import WebhookSpec, When

STEPS = (Step(weight=10), Step(weight=50))
BOT = WebhookSpec(name="bot", url="https://bots.example.com/x", when=When.BEFORE_PROMOTION)


def canary(requests: float = 0, *, replicas: int = 3, version: dict[str, Any] | None = None, **rollout: Any) -> Lab:
    """At the first step, with `requests` a second; `version` says how version 2 behaves, if not like version 1."""
    lab = serving(replicas=replicas, **{"strategy": Strategy.CANARY, "steps": STEPS, **rollout})
    lab.requests = requests
    lab.behaves("1", errors=0.01)
    lab.behaves("2", **(version or {"errors": 0.01}))
    lab.want("2")
    lab.settle()
    assert lab.selected == WIDE
    return lab
