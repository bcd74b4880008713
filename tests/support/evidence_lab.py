"""Rollouts as their evidence sees them: intervals of counts, played one after the other."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log

from headgate_operator.api.evidence import EvidenceState
from headgate_operator.core.evidence import engine
from headgate_operator.core.evidence.interval import Arm, Interval
from headgate_operator.core.evidence.judgement import Judgement, Verdict
from headgate_operator.core.evidence.policy import LADDER, EvidencePolicy

ERRORS_ONLY = EvidencePolicy(client_errors=False, max_latency_ratio=None, false_rollback=0.025)
LATENCY_ONLY = EvidencePolicy(error_rate=False, client_errors=False)
EVERYTHING = EvidencePolicy()

Counted = tuple[float, float, float, float]
"""Requests and errors of the candidate, requests and errors of stable."""


@dataclass(frozen=True)
class Told:
    state: EvidenceState
    judgement: Judgement

    @property
    def verdict(self) -> Verdict:
        return self.judgement.verdict


def interval(at: float, candidate: Arm | None, stable: Arm | None) -> Interval:
    return Interval(at=at, candidate=candidate, stable=stable)


def of_errors(at: float, counted: Counted) -> Interval:
    n_c, k_c, n_s, k_s = counted
    return interval(at, Arm(requests=n_c, errors=k_c), Arm(requests=n_s, errors=k_s))


def play(policy: EvidencePolicy, intervals: Iterable[Interval], state: EvidenceState | None = None) -> list[Told]:
    """What is said after each interval, of one step that began with the candidate's first request."""
    state = engine.begin(policy) if state is None else state
    told = []
    for one in intervals:
        state = engine.update(policy, state, one)
        told.append(Told(state, judged(policy, state, one.at)))
    return told


def judged(policy: EvidencePolicy, state: EvidenceState, seconds: float) -> Judgement:
    return engine.judge(
        policy,
        state,
        seconds_in_step=seconds,
        requests_in_step=state.candidate_requests,
        candidate="version 4",
        stable="version 3",
    )


def play_errors(counted: Sequence[Counted], policy: EvidencePolicy = ERRORS_ONLY) -> list[Told]:
    return play(policy, [of_errors(10.0 * (index + 1), one) for index, one in enumerate(counted)])


def verdicts(told: Sequence[Told]) -> list[str]:
    return [str(one.verdict) for one in told]


def decision(told: Sequence[Told]) -> str:
    """The first verdict that is not to wait."""
    return next((verdict for verdict in verdicts(told) if verdict != "wait"), "wait")


def latencies(
    rng: random.Random, requests: int, *, median: float = 0.06, p99: float = 0.242, slower: float = 1.0
) -> tuple[float, ...]:
    """So many lognormal answers in the server's buckets."""
    sigma = log(p99 / median) / 2.3263478740408408
    buckets = [0.0] * (len(LADDER) + 1)
    for _ in range(requests):
        buckets[bisect_left(LADDER, slower * rng.lognormvariate(log(median), sigma))] += 1
    return tuple(buckets)


def of_latency(rng: random.Random, at: float, candidate: int, stable: int, **how: float) -> Interval:
    return interval(
        at,
        Arm(requests=candidate, latency=latencies(rng, candidate, **how)),
        Arm(requests=stable, latency=latencies(rng, stable)),
    )
