"""Kubernetes Events about ModelDeployments: what happened, once, when it happened.

Only transitions are told, so at rest there are none. Best effort: an Event that cannot be written is logged and lost,
because the truth is in status and nothing may wait for its announcement.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from headgate_operator.ports import Event, KubeError, Obj

log = logging.getLogger(__name__)

COMPONENT = "headgate-operator"
SECONDS = 3.0
LONGEST_MESSAGE = 1024  # the API server refuses more


class Creates(Protocol):
    async def create(self, obj: Obj) -> Obj: ...


class KubeEvents:
    """See `ports.Events`. `unique` gives what makes an Event's name its own; `told` counts decisions."""

    def __init__(
        self,
        kube: Creates,
        *,
        now: Callable[[], datetime],
        unique: Callable[[], str],
        instance: str,
        told: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self._kube, self._now, self._unique, self._instance, self._told = kube, now, unique, instance, told

    async def emit(self, about: Obj, events: Sequence[Event]) -> None:
        meta = about["metadata"]
        key = f"{meta['namespace']}/{meta['name']}"
        for event in events:
            self._told(event)
        try:
            async with asyncio.timeout(SECONDS):
                for event in events:
                    await self._kube.create(self._object(about, event))
        except (KubeError, TimeoutError) as error:
            log.warning("event not written", extra={"deployment": key, "why": str(error) or "timeout"})

    def _object(self, about: Obj, event: Event) -> Obj:
        meta = about["metadata"]
        at = self._now().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            # The suffix of a name may be 253 characters long in all; ours are at most 52 + 1 + what `unique` gives.
            "metadata": {"namespace": meta["namespace"], "name": f"{meta['name']}.{self._unique()}"},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
                "resourceVersion": meta.get("resourceVersion", ""),
            },
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason,
            "message": event.message[:LONGEST_MESSAGE],
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
