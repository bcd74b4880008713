"""Random traffic, by the standard library alone and exactly distributed: the same seed, the same rollout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import exp, inf, log
from random import Random
from statistics import NormalDist

from headgate_operator.core.evidence.interval import Arm
from headgate_operator.core.evidence.policy import LADDER

MEDIAN, P99 = 0.060, 0.242
SIGMA = log(P99 / MEDIAN) / NormalDist().inv_cdf(0.99)
CLIENT_ERRORS = 0.02
FEW = 15


def poisson(rng: Random, mean: float) -> int:
    """Ahrens and Dieter: large means are split by a gamma variate."""
    found = 0
    while mean > FEW:
        part = int(mean * 7 / 8)
        reached = rng.gammavariate(part, 1)
        if reached > mean:
            return found + binomial(rng, part - 1, mean / reached)
        found += part
        mean -= reached
    left, drawn = exp(-mean), rng.random()
    chance, count = left, 0
    while drawn > chance and left > 0:
        count += 1
        left *= mean / count
        chance += left
    return found + count


def binomial(rng: Random, trials: int, p: float) -> int:
    """Devroye: large numbers of trials are split by a beta variate."""
    if p >= 1:
        return max(trials, 0)
    found = 0
    while trials > FEW and min(p, 1 - p) * trials > FEW:
        at = 1 + trials // 2
        split = rng.betavariate(at, trials + 1 - at)
        if split >= p:
            trials, p = at - 1, p / split
        else:
            found += at
            trials, p = trials - at, (p - split) / (1 - split)
    if trials <= 0 or p <= 0:
        return found
    if p > 0.5:
        return found + trials - binomial(rng, trials, 1 - p)
    left, drawn = (1 - p) ** trials, rng.random()
    chance, count = left, 0
    while drawn > chance and count < trials:
        count += 1
        left *= (trials - count + 1) / count * p / (1 - p)
        chance += left
    return found + count


@dataclass(frozen=True)
class Latencies:
    """Lognormal answers, all of them slower by `scale`, or three in a hundred of them by `tail`."""

    scale: float = 1.0
    tail: float = 1.0

    @property
    def shares(self) -> tuple[float, ...]:
        return _shares(self)


@cache
def _shares(latencies: Latencies) -> tuple[float, ...]:
    usual, slow = NormalDist(log(MEDIAN * latencies.scale), SIGMA), NormalDist(log(MEDIAN * latencies.tail), SIGMA)
    edges = [log(bound) for bound in LADDER] + [inf]
    part = 0.0 if latencies.tail == 1 else 0.03
    below = [(1 - part) * usual.cdf(edge) + part * slow.cdf(edge) for edge in edges]
    return tuple(after - before for before, after in zip([0.0, *below], below, strict=False))


def p99_of_tail(ratio: float) -> Latencies:
    """So slow a tail that the 99th percentile of all grows by `ratio`."""
    low, high = 1.0, 1000.0
    for _ in range(60):
        tail = (low * high) ** 0.5
        usual, slow = NormalDist(log(MEDIAN), SIGMA), NormalDist(log(MEDIAN * tail), SIGMA)
        at = log(P99 * ratio)
        low, high = (low, tail) if 0.97 * usual.cdf(at) + 0.03 * slow.cdf(at) < 0.99 else (tail, high)
    return Latencies(tail=low)


def arm(rng: Random, mean: float, errors: float, latencies: Latencies, *, retries: int = 1, cold: bool = False) -> Arm:
    """One arm in one interval. Each failure is counted `retries` times, as by clients that try again at once."""
    buckets = [poisson(rng, mean * share) if share > 1e-9 else 0 for share in latencies.shares]
    served = sum(buckets)
    failed = binomial(rng, served, errors)
    refused = binomial(rng, served - failed, CLIENT_ERRORS)
    again = failed * (retries - 1)
    return Arm(
        requests=served + again,
        errors=failed + again,
        client_errors=refused,
        cold_requests=served + again if cold else 0,
        cold_errors=failed + again if cold else 0,
        cold_client_errors=refused if cold else 0,
        latency=() if cold else tuple(buckets),
    )
