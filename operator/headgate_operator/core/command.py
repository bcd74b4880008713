"""A person's command, as the annotation carries it, and whether it still means what the person saw.

A command is bound to the object's uid, the rollout and the stable revision it was given for, and to ten minutes: an
annotation that a backup, a copy or a slow pipeline brings back must do nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from headgate_operator.api.durations import parse_time
from headgate_operator.api.errors import SpecError
from headgate_operator.api.reader import Reader
from headgate_operator.api.status import Status

OLDEST = timedelta(minutes=10)
AHEAD = timedelta(minutes=1)  # a client's clock may run before ours by this much
LONGEST = 8 * 1024
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Ids that come back from the API server as they were sent: one that does not would be answered again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    id: str
    verb: str
    uid: str
    rollout: int
    stable: str
    issued_at: datetime
    by: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Malformed:
    """An annotation that names an id but is no command: it is answered too, so that its sender does not wait."""

    id: str
    verb: str
    message: str


def parse_command(text: str | None) -> Command | Malformed | None:
    if not text or len(text) > LONGEST:
        return None
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):  # an annotation must never stop the deployment that carries it
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("id"), str) or not ID.fullmatch(raw["id"]):
        return None
    reader = Reader(raw, "command")
    try:
        return Command(
            id=raw["id"],
            verb=reader.required_text("verb"),
            uid=reader.required_text("uid"),
            rollout=reader.integer("rollout", low=0, high=2**31) or 0,
            stable=reader.text("stable") or "",
            issued_at=_issued(reader),
            by=reader.text("by") or "",
            args=reader.json("args"),
        )
    except SpecError as error:
        verb = raw.get("verb")
        return Malformed(raw["id"], verb[:32] if isinstance(verb, str) else "", str(error)[:512])


def _issued(reader: Reader) -> datetime:
    try:
        return parse_time(reader.required_text("issuedAt"))
    except ValueError as error:
        raise reader.error("issuedAt", str(error)) from error


class RefusedCommandError(Exception):
    """The command makes no sense in the present state; the message tells the person why."""


def current_rollout(status: Status) -> int:
    """The rollout a command speaks of: the one under way, else the last one, else 0."""
    if status.rollout is not None:
        return status.rollout.id
    return max((entry.rollout for entry in status.history), default=0)


def outdated(command: Command, status: Status, uid: str, now: datetime) -> str | None:
    """Why the command no longer applies; None where it does."""
    stable = status.stable.revision if status.stable else ""
    if command.uid != uid:
        return "it was given for another object of this name"
    if not -AHEAD <= now - command.issued_at <= OLDEST:
        return "it is older than 10 minutes (or comes from a clock that is wrong); give it again"
    if command.rollout != current_rollout(status):
        return f"it was given for rollout {command.rollout}, the present one is {current_rollout(status)}; look again"
    if command.stable != stable:
        return f"it was given while {command.stable or 'nothing'} was stable, now {stable or 'nothing'} is; look again"
    return None
