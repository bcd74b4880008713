"""Outcomes, told to people outside the cluster: to a Slack-compatible webhook and to one that takes plain JSON.

Off the way of the passes: they put a note into a bounded queue and go on. Each sink empties its own queue, so that one
that is down holds up only itself. Best effort, like Events: what counts is in status, and a note that is too old or
one too many is dropped and counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from headgate_operator.ports import Event, Events, Obj
from headgate_operator.posting import NotPostedError, Posted

log = logging.getLogger(__name__)

TOLD = frozenset(
    {"RolloutStarted", "Promoted", "RolledBack", "FirstRolloutFailed", "WaitingForApproval", "Inconclusive"}
)
MOST = 1000
SECONDS = 10.0
WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Before each further try."""
TRY_AGAIN = frozenset({408, 425, 429})
LONGEST_URL = 4096

Note = Mapping[str, Any]


class Posts(Protocol):
    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Posted: ...


@dataclass(frozen=True)
class Sink:
    """Where notes go. The file is read for each: a new address needs no restart, and stands in no argument list."""

    name: str
    url_file: Path
    written: Callable[[Note], Any]

    def url(self) -> str:
        text = self.url_file.read_text(encoding="utf-8").strip()
        if not text.startswith(("http://", "https://")) or len(text) > LONGEST_URL:
            raise ValueError("it holds no http:// or https:// address")
        return text


def plain(note: Note) -> Any:
    return dict(note)


def slack(note: Note) -> Any:
    """What Slack, Mattermost and Rocket.Chat understand alike."""
    text = f"{note['namespace']}/{note['name']} ({note['model']}): {note['message']}"
    return {"text": f"*{note['reason']}* {_escaped(text)}"}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Notifier:
    """`counted` is told sink and result: sent, failed, dropped."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        poster: Posts,
        *,
        now: Callable[[], datetime],
        unique: Callable[[], str],
        counted: Callable[[str, str], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._poster, self._now, self._unique, self._counted, self._pause = poster, now, unique, counted, pause
        self._queues: dict[Sink, deque[Note]] = {sink: deque() for sink in sinks}
        self._filled = {sink: asyncio.Event() for sink in sinks}

    def offer(self, about: Obj, events: Sequence[Event]) -> None:
        """Never waits and never fails: a pass must not know the difference."""
        for event in events:
            if event.reason in TOLD:
                self._put(self._note(about, event))

    def _put(self, note: Note) -> None:
        for sink, queue in self._queues.items():
            queue.append(note)
            if len(queue) > MOST:
                queue.popleft()
                self._counted(sink.name, "dropped")
            self._filled[sink].set()

    def _note(self, about: Obj, event: Event) -> Note:
        meta = about["metadata"]
        return {
            "id": self._unique(),
            "at": self._now().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "reason": event.reason,
            "type": "Warning" if event.warning else "Normal",
            "message": event.message,
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "model": (about["spec"].get("model") or {}).get("name", ""),  # a spec can be anything when it is invalid
        }

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for sink in self._queues:
                group.create_task(self._empty(sink), name=f"notify {sink.name}")
            await asyncio.Event().wait()

    async def _empty(self, sink: Sink) -> None:
        queue, filled = self._queues[sink], self._filled[sink]
        while True:
            await filled.wait()
            while queue:
                note = queue.popleft()
                try:
                    trouble = await self._send(sink, note)
                except Exception:  # one note that breaks a rule of ours must not silence all that follow
                    log.exception("a notification failed", extra={"sink": sink.name})
                    trouble = "defect"
                if trouble:
                    about = f"{note['namespace']}/{note['name']}"
                    log.warning("notification not sent", extra={"sink": sink.name, "key": about, "why": trouble})
                self._counted(sink.name, "failed" if trouble else "sent")
            filled.clear()

    async def _send(self, sink: Sink, note: Note) -> str:
        """Why it could not be sent; empty where it was."""
        body = json.dumps(sink.written(note)).encode()
        trouble = ""
        for wait in (0.0, *WAITS):
            if wait:
                await self._pause(wait)
            try:
                answer = await self._poster.post(sink.url(), body, {}, seconds=SECONDS)
            except NotPostedError as error:
                trouble = f"the receiver {error}"
            except (OSError, ValueError) as error:
                why = "cannot be read" if isinstance(error, OSError | UnicodeDecodeError) else str(error)
                trouble = f"{sink.url_file}: {why}"
            else:
                if answer.good:
                    return ""
                trouble = f"the receiver answers HTTP {answer.status}"
                if answer.status < 500 and answer.status not in TRY_AGAIN:
                    return trouble
        return trouble


class Announced:
    """See `ports.Events`: the cluster's Events, and the same outcomes to whoever shall be notified."""

    def __init__(self, inner: Events, notifier: Notifier) -> None:
        self._inner, self._notifier = inner, notifier

    async def emit(self, about: Obj, events: Sequence[Event]) -> None:
        self._notifier.offer(about, events)
        await self._inner.emit(about, events)
