"""What the kubelet remembers of a pod it runs: attempts, exits, back-off. In memory, dead with the plane."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headgate_local.kubelet.backoff import Backoff
from headgate_local.kubelet.probes import Health
from headgate_local.kubelet.runtime import PodRef


@dataclass(frozen=True)
class Ended:
    container_id: str
    code: int
    signal: int
    reason: str
    message: str
    started: datetime
    finished: datetime


@dataclass
class ContainerRecord:
    name: str
    backoff: Backoff
    pull_backoff: Backoff
    attempt: int = 0
    container_id: str | None = None
    started: datetime | None = None
    health: Health | None = None
    ended: Ended | None = None
    before: Ended | None = None
    waiting: tuple[str, str] = ("ContainerCreating", "")
    pull_failed: datetime | None = None
    term_sent: datetime | None = None
    killed: bool = False
    told: set[str] = field(default_factory=set)

    @property
    def is_running(self) -> bool:
        return self.container_id is not None and self.ended is None

    @property
    def is_ready(self) -> bool:
        return self.is_running and self.health is not None and self.health.ready

    @property
    def has_started(self) -> bool:
        return self.is_running and self.health is not None and self.health.started

    def may_restart(self, policy: str) -> bool:
        if self.ended is None:
            return True
        return policy == "Always" or (policy == "OnFailure" and self.ended.code != 0)


@dataclass
class PodRecord:
    ref: PodRef
    containers: dict[str, ContainerRecord]
    began: datetime
    folders: dict[str, str] = field(default_factory=dict)
    fingerprint: str | None = None
    uses: frozenset[tuple[str, str]] = frozenset()
    terminating: datetime | None = None
    last_object: dict[str, Any] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        return any(container.is_running for container in self.containers.values())
