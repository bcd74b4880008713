"""Crash and pull back-off: at once the first time, then doubling; forgotten after twice the longest wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST = 300.0


@dataclass(frozen=True)
class Backoff:
    """State for one container; immutable, so that a status can be computed from it at any time."""

    base: float = 10.0
    longest: float = LONGEST
    wait: float = 0.0
    changed: datetime | None = None

    def remaining(self, ended: datetime, now: datetime) -> float:
        """Seconds before another start is allowed, counted from the end of the last run."""
        if not self.wait or self._is_stale(ended):
            return 0.0
        return max(0.0, (ended + timedelta(seconds=self.wait) - now).total_seconds())

    def after_start(self, ended: datetime, now: datetime) -> Backoff:
        """The back-off that applies to the next crash."""
        wait = self.base if not self.wait or self._is_stale(ended) else min(self.wait * 2, self.longest)
        return Backoff(self.base, self.longest, wait, now)

    def _is_stale(self, ended: datetime) -> bool:
        # A container that ran for ten minutes (with the default longest wait) starts with a clean sheet.
        return self.changed is not None and (ended - self.changed).total_seconds() > 2 * self.longest
