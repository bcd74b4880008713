"""Since when this process has been looking at a key without a break. Memory of the process, and never in status.

An operator that was away has not watched a deadline pass: its first look after a crash, an election or a jump of the
clock would otherwise count the whole absence as "still not ready" and reject a version that became ready meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from headgate_operator.ports import Key

BREAK = timedelta(seconds=60)
"""Whoever waits for something looks every few seconds; after this long without a look nobody has watched."""


@dataclass(frozen=True, slots=True)
class _Watch:
    since: datetime
    last: datetime


class Watching:
    def __init__(self) -> None:
        self._watches: dict[Key, _Watch] = {}

    def since(self, key: Key, now: datetime) -> datetime:
        """Called at every look. A clock that was set back begins a new watch too."""
        watch = self._watches.get(key)
        unbroken = watch is not None and timedelta(0) <= now - watch.last <= BREAK
        watch = replace(watch, last=now) if watch is not None and unbroken else _Watch(now, now)
        self._watches[key] = watch
        return watch.since

    def forget(self, key: Key) -> None:
        self._watches.pop(key, None)
