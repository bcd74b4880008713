"""Rollouts of the real core, as the API server shows them to whoever looks."""

from __future__ import annotations

from typing import Any

from core_lab import Lab
from headgate_operator.api.codec import to_json


def object_of(lab: Lab) -> dict[str, Any]:
    meta = {"name": "iris", "namespace": "ml", "generation": 1, "creationTimestamp": "2026-03-01T00:00:00Z"}
    return {"metadata": meta, "spec": {"model": {"name": "m"}}, "status": to_json(lab.status)}
