"""What one interval of traffic showed of the two arms: increments of the pods' own counters, summed over the pods.

An interval is a stratum: the arms are compared within it and never across, so outages that both arms share, daily
patterns and changes of weight prove nothing against a candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

Bin = str | int
"""Of a prediction: a class, or a number's step on the server's ladder."""
Predicted = tuple[tuple[Bin, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Counts of one arm in one interval. Increments, never negative; fractions are allowed (extrapolated sources)."""

    requests: float
    errors: float = 0  # answered with 5xx (timeouts are 504) or 429
    client_errors: float = 0  # answered with 400 or 422
    # The part of the three above that pods answered while they warmed up: counts for harm, not for safety.
    cold_requests: float = 0
    cold_errors: float = 0
    cold_client_errors: float = 0
    # Answers by duration without those of warming pods: one count a bucket of the server's ladder, not cumulative, the
    # last above the last bound. Empty where the source has none.
    latency: tuple[float, ...] = ()
    predictions: Predicted = ()  # those of warming pods too: a cold model is slow, not of another opinion


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """`None` for an arm: nothing was scraped, which is neither good nor bad. Zero requests were seen, and are zero."""

    at: float  # its end, in seconds since the candidate got traffic
    stable: Arm | None
    candidate: Arm | None
