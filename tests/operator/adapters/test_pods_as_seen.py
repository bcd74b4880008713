"""What a Pod object says of its readiness, as the evidence needs it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from headgate_operator.children import pod


def seen(*conditions: dict[str, Any]) -> datetime | None:
    return pod({"metadata": {"name": "p", "labels": {}}, "status": {"conditions": list(conditions)}}).ready_since


def test_a_ready_pod_tells_since_when() -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T12:00:07Z"}
    assert seen({"type": "PodScheduled", "status": "True"}, ready) == datetime(2026, 11, 21, 12, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "condition",
    [
        {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-21T12:00:07Z"},
        {"type": "Ready", "status": "True"},
        {"type": "Ready", "status": "True", "lastTransitionTime": None},
        {"type": "Ready", "status": "True", "lastTransitionTime": "yesterday"},
    ],
)
def test_any_other_pod_does_not(condition: dict[str, Any]) -> None:
    assert seen(condition) is None
    assert seen() is None
