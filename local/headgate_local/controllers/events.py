"""Kubernetes Events for people who run `kubectl describe`: one object per cause, counted, forgotten after an hour.

Best effort by nature: an Event that cannot be written must never stop the work it speaks about.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from headgate_local.client import LocalClient
from headgate_local.controllers.objects import Obj, name_of, namespace_of, timestamp, uid_of
from headgate_local.errors import ApiError

_KEPT = timedelta(hours=1)


class Events(Protocol):
    def normal(self, about: Obj, reason: str, message: str) -> None: ...

    def warning(self, about: Obj, reason: str, message: str) -> None: ...


class NoEvents:
    """For virtual time, where nobody reads them and every write counts."""

    def normal(self, about: Obj, reason: str, message: str) -> None:
        pass

    def warning(self, about: Obj, reason: str, message: str) -> None:
        pass


class EventRecorder:
    def __init__(self, client: LocalClient, now: Callable[[], datetime], component: str) -> None:
        self._client, self._now, self._component = client, now, component
        self._written: deque[tuple[datetime, str, str]] = deque()

    def normal(self, about: Obj, reason: str, message: str) -> None:
        self._record("Normal", about, reason, message)

    def warning(self, about: Obj, reason: str, message: str) -> None:
        self._record("Warning", about, reason, message)

    def _record(self, kind: str, about: Obj, reason: str, message: str) -> None:
        self._forget_old()
        namespace = namespace_of(about) or "default"
        digest = hashlib.sha256(f"{self._component}/{uid_of(about)}/{kind}/{reason}/{message}".encode()).hexdigest()
        name = f"{name_of(about)}.{digest[:16]}"
        moment = timestamp(self._now())
        with suppress(ApiError):
            seen = self._client.get("Event", namespace, name)
            if seen is not None:
                changes = {"count": int(seen.get("count", 1)) + 1, "lastTimestamp": moment}
                self._client.patch_merge("Event", namespace, name, changes)
                return
            self._client.create(
                {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": {"name": name, "namespace": namespace},
                    "type": kind,
                    "reason": reason,
                    "message": message,
                    "involvedObject": {
                        "apiVersion": about["apiVersion"],
                        "kind": about["kind"],
                        "namespace": namespace_of(about),
                        "name": name_of(about),
                        "uid": uid_of(about),
                    },
                    "source": {"component": self._component},
                    "reportingComponent": self._component,
                    "firstTimestamp": moment,
                    "lastTimestamp": moment,
                    "count": 1,
                }
            )
            self._written.append((self._now(), namespace, name))

    def _forget_old(self) -> None:
        while self._written and self._now() - self._written[0][0] > _KEPT:
            _, namespace, name = self._written.popleft()
            with suppress(ApiError):
                self._client.delete("Event", namespace, name)
