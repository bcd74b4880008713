"""One interval from the increments of its processes, and its line in the log: the ledger of record.

The words of the line are those of `headgate replay`, so that a verdict of a live cluster can be replayed from the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from headgate_operator.core.evidence.interval import Arm, Bin, Interval, Predicted
from headgate_operator.feeds.processes import Increment
from headgate_operator.feeds.tally import Tally

STABLE, CANDIDATE = "stable", "candidate"


def interval_of(increments: Iterable[Increment], at: float, ladder: tuple[float, ...]) -> Interval:
    """Latencies are told only where all processes count them in the buckets that the engine compares."""
    found = list(increments)
    if {increment.counts.bounds for increment in found} != {ladder}:
        ladder = ()
    arms = {role: _arm([one for one in found if one.role == role], ladder) for role in (STABLE, CANDIDATE)}
    return Interval(at=at, stable=arms[STABLE], candidate=arms[CANDIDATE])


def _arm(increments: list[Increment], ladder: tuple[float, ...]) -> Arm | None:
    if not increments:
        return None
    counts = [increment.counts for increment in increments]
    cold = [increment.counts for increment in increments if increment.cold]
    warm = [increment.counts.latency for increment in increments if not increment.cold]
    nothing = (0,) * (len(ladder) + 1) if ladder else ()
    return Arm(
        requests=sum(one.requests for one in counts),
        errors=sum(one.errors for one in counts),
        client_errors=sum(one.client_errors for one in counts),
        cold_requests=sum(one.requests for one in cold),
        cold_errors=sum(one.errors for one in cold),
        cold_client_errors=sum(one.client_errors for one in cold),
        latency=tuple(map(sum, zip(nothing, *warm, strict=True))) if ladder else (),
        predictions=_predictions(counts),
    )


def _predictions(counts: list[Tally]) -> Predicted:
    """In an order of their own, so that equal intervals are equal."""
    found: Counter[Bin] = Counter()
    for one in counts:
        found.update(one.predictions)
    return tuple(
        sorted(
            ((name, count) for name, count in found.items() if count),
            key=lambda item: (str(item[0]), isinstance(item[0], str)),
        )
    )


def line(interval: Interval) -> dict[str, Any]:
    return {"t": _short(interval.at), "stable": _told(interval.stable), "canary": _told(interval.candidate)}


def _told(arm: Arm | None) -> Mapping[str, Any] | None:
    if arm is None:
        return None
    told: dict[str, Any] = {"requests": _short(arm.requests), "errors": _short(arm.errors)}
    told |= {"client_errors": _short(arm.client_errors)} if arm.client_errors else {}
    if arm.cold_requests:
        told |= {
            "cold_requests": _short(arm.cold_requests),
            "cold_errors": _short(arm.cold_errors),
            "cold_client_errors": _short(arm.cold_client_errors),
        }
    told |= {"latency": [_short(count) for count in arm.latency]} if arm.latency else {}
    return told | ({"predictions": [[name, _short(n)] for name, n in arm.predictions]} if arm.predictions else {})


def _short(number: float) -> float:
    """Whole numbers without `.0`; fractions as they are, since a replay has to come to the same verdict."""
    return int(number) if float(number).is_integer() else number
