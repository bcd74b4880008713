"""One Event under two group versions: stored as core/v1, shown as events.k8s.io/v1 where that was asked for."""

from __future__ import annotations

from headgate_local.store import Obj

GROUP = "events.k8s.io"
# Field of events.k8s.io/v1, and where core/v1 keeps it.
RENAMED = (
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedCount", "count"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
)


def from_core(event: Obj) -> Obj:
    return _renamed(event, {core: new for new, core in RENAMED}, f"{GROUP}/v1")


def to_core(event: Obj) -> Obj:
    return _renamed(event, dict(RENAMED), "v1")


def _renamed(event: Obj, names: dict[str, str], version: str) -> Obj:
    return {**{names.get(key, key): value for key, value in event.items()}, "apiVersion": version, "kind": "Event"}
