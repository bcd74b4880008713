"""The gate on latency: slower by more than is tolerated, whatever the shape of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from evidence_lab import LATENCY_ONLY, Told, decision, latencies, of_latency, play
from headgate_operator.core.evidence.histogram import Histogram
from headgate_operator.core.evidence.interval import Arm, Interval
from headgate_operator.core.evidence.latency import Ladder, Latency
from headgate_operator.core.evidence.policy import LADDER, EvidencePolicy


def run(policy: EvidencePolicy = LATENCY_ONLY, *, checks: int = 40, seed: int = 1, **how: float) -> list[Told]:
    rng = random.Random(seed)
    return play(policy, [of_latency(rng, 10.0 * index, 100, 900, **how) for index in range(1, checks)])


def test_an_equal_version_is_promoted() -> None:
    assert decision(run()) == "promote"


def test_ten_percent_slower_is_tolerated() -> None:
    assert decision(run(slower=1.1)) == "promote"


def test_twice_as_slow_is_rolled_back() -> None:
    told = run(slower=2.0)
    assert decision(told) == "rollback"
    first = next(one.judgement for one in told if one.verdict == "rollback")
    assert first.gate == "latency"
    assert first.reason.startswith("latency of version 4 against version 3: median <= 126 ms against <= 64.6 ms")


def test_a_tail_four_times_as_long_is_rolled_back() -> None:
    """Only three requests in a hundred are slowed down."""

    def tail(rng: random.Random, at: float) -> Interval:
        candidate = Arm(
            requests=400,
            latency=tuple(
                fast + slow
                for fast, slow in zip(latencies(rng, 388), latencies(rng, 12, median=1.2, p99=2.0), strict=True)
            ),
        )
        return Interval(at=at, candidate=candidate, stable=Arm(requests=3600, latency=latencies(rng, 3600)))

    rng = random.Random(4)
    assert decision(play(LATENCY_ONLY, [tail(rng, 10.0 * index) for index in range(1, 30)])) == "rollback"


def test_what_is_tolerated_is_the_users_choice() -> None:
    twice = replace(LATENCY_ONLY, max_latency_ratio=2.0)
    assert decision(run(twice, slower=1.9)) != "rollback"
    assert decision(run(twice, slower=4.0)) == "rollback"
    assert decision(run(twice, slower=1.3)) == "promote"


def test_a_slowness_that_both_share_moves_nothing() -> None:
    rng = random.Random(2)

    def both(at: float, slower: float) -> Interval:
        arms = (Arm(requests=n, latency=latencies(rng, n, slower=slower)) for n in (100, 900))
        return Interval(at=at, candidate=next(arms), stable=next(arms))

    told = play(LATENCY_ONLY, [both(10.0 * i, 5.0 if 10 <= i < 16 else 1.0) for i in range(1, 40)])
    assert "rollback" not in {str(one.verdict) for one in told}


def test_nothing_is_tested_before_stables_past_shows_where_the_edges_are() -> None:
    (told,) = run(checks=2)
    assert told.judgement.log_e == pytest.approx({"latency.harm": 0, "latency.safety": 0})


def test_histograms_of_another_ladder_are_no_data() -> None:
    torn = Interval(at=10, candidate=Arm(requests=5, latency=(1, 4)), stable=Arm(requests=5, latency=(5, 0)))
    told = play(LATENCY_ONLY, [replace(torn, at=10.0 * index) for index in range(1, 30)])
    assert decision(told) == "wait"
    assert told[-1].judgement.reason.startswith("no latencies of both versions yet")


def test_edges_are_the_first_bounds_with_that_share_below() -> None:
    histogram = Histogram((1, 4, 4, 1, 0))
    assert [histogram.edge(share) for share in (0.1, 0.5, 0.9, 0.91, 0.99)] == [0, 1, 2, 3, 3]
    assert Histogram((0, 0, 0, 0, 5)).edge(0.5) is None
    assert histogram.slower(1) == 5


def test_an_edge_needs_answers_beyond_it() -> None:
    seen = tuple(float(10 if 20 <= index < 30 else 0) for index in range(len(LADDER) + 1))
    assert [Latency(stable=Histogram(seen)).edge(index) for index in range(3)] == [24, 28, None]


def test_the_candidate_is_counted_as_many_buckets_higher_as_it_is_granted() -> None:
    assert [Ladder(LADDER, 1.25**k).tolerated(20) for k in (0, 1, 2)] == [20, 21, 22]
    assert [Ladder(LADDER, 1.25**k).safe(20) for k in (0, 1, 2)] == [20, 20, 21]
    assert Ladder(LADDER, 1.25).tolerated(len(LADDER) - 1) is None
    assert Ladder((0.005, 0.01, 0.025, 0.05, 0.1), 1.25).tolerated(1) == 2
