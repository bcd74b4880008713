"""What one process has answered since it began, in the words of the gates; and the difference of two of those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headgate_operator.core.evidence.interval import Bin
from headgate_operator.core.observed import Traffic

NOT_PREDICTIONS = frozenset({"other"})
"""Pages, metadata and health checks of balancers: as many as somebody likes, and they prove nothing about a model."""
TOO_MANY_REQUESTS = 429
CLIENT_ERRORS = frozenset({400, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    requests: float = 0
    errors: float = 0
    client_errors: float = 0
    bounds: tuple[float, ...] = ()
    latency: tuple[float, ...] = ()
    predictions: Mapping[Bin, float] = field(default_factory=dict)

    def since(self, before: Tally) -> Tally | None:
        """None where it lies before `before`, or on another ladder: then it is no later answer of the same process."""
        if self.bounds != before.bounds or len(self.latency) != len(before.latency):
            return None
        grown = Tally(
            requests=self.requests - before.requests,
            errors=self.errors - before.errors,
            client_errors=self.client_errors - before.client_errors,
            bounds=self.bounds,
            latency=tuple(now - then for now, then in zip(self.latency, before.latency, strict=True)),
            predictions=_grown(self.predictions, before.predictions),
        )
        return grown if grown.possible else None

    @property
    def possible(self) -> bool:
        parts = (self.errors, self.client_errors, *self.latency, *self.predictions.values())
        return min(parts) >= 0 and self.errors + self.client_errors <= self.requests

    @property
    def nothing(self) -> Tally:
        """The same process before its first request."""
        return Tally(bounds=self.bounds, latency=(0,) * len(self.latency))


def _grown(now: Mapping[Bin, float], before: Mapping[Bin, float]) -> dict[Bin, float]:
    return {found: now.get(found, 0) - before.get(found, 0) for found in {**before, **now}}


def tally(traffic: Traffic) -> Tally:
    rows = [row for row in traffic.rows if row.group not in NOT_PREDICTIONS]
    return Tally(
        requests=sum(row.count for row in rows),
        errors=sum(row.count for row in rows if is_error(row.code)),
        client_errors=sum(row.count for row in rows if row.code in CLIENT_ERRORS),
        bounds=traffic.bounds,
        latency=tuple(map(sum, zip(*(row.buckets for row in rows), strict=True))) or (0,) * (len(traffic.bounds) + 1),
        predictions=dict(traffic.predictions),
    )


def is_error(code: int) -> bool:
    """Answered by the server, and not as the client could expect: timeouts are 504, requests that were shed 429."""
    return code >= 500 or code == TOO_MANY_REQUESTS
