"""Whatever is counted: the evidence stays a number, and moves in the direction it should."""

from __future__ import annotations

from math import isfinite

from hypothesis import given, settings
from hypothesis import strategies as st

from evidence_lab import ERRORS_ONLY, Counted, interval, play, play_errors
from headgate_operator.core.evidence.interval import Arm, Interval
from headgate_operator.core.evidence.policy import LADDER, EvidencePolicy

sizes = st.one_of(st.integers(0, 50), st.integers(0, 10**9), st.floats(0, 1e6))
shares = st.one_of(st.sampled_from([0.0, 0.01, 0.5, 1.0]), st.floats(0, 1))


@st.composite
def arms(draw: st.DrawFn) -> Arm | None:
    requests = draw(sizes)
    errors = requests * draw(shares)
    client_errors = (requests - errors) * draw(shares)
    cold = draw(shares)
    spread = draw(st.lists(st.integers(0, 1000), max_size=8))
    at = draw(st.integers(0, len(LADDER) - 8))
    latency = [0] * at + spread
    whole = Arm(
        requests=requests,
        errors=errors,
        client_errors=client_errors,
        cold_requests=requests * cold,
        cold_errors=errors * cold,
        cold_client_errors=client_errors * cold,
        latency=tuple(latency + [0] * (len(LADDER) + 1 - len(latency))),
    )
    return draw(st.sampled_from([whole, whole, whole, None]))


@given(
    pairs=st.lists(st.tuples(arms(), arms()), min_size=1, max_size=25),
    ratio=st.sampled_from([None, 1.0, 1.25, 3.0]),
    ceiling=st.sampled_from([None, 0.05, 1.0]),
    increase=st.sampled_from([0.0, 0.001, 0.01, 0.5, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_the_evidence_is_always_a_number(
    pairs: list[tuple[Arm | None, Arm | None]], ratio: float | None, ceiling: float | None, increase: float
) -> None:
    policy = EvidencePolicy(max_latency_ratio=ratio, max_rate=ceiling, max_increase=increase)
    for told in play(policy, [interval(10.0 * (i + 1), c, s) for i, (c, s) in enumerate(pairs)]):
        assert all(isfinite(value) for value in told.judgement.log_e.values())
        assert told.judgement.reason
        assert (told.judgement.missing is None) == (told.verdict != "wait")


@st.composite
def counted(draw: st.DrawFn) -> Counted:
    n_c, n_s = draw(st.integers(1, 500)), draw(st.integers(1, 5000))
    return n_c, draw(st.integers(0, n_c)), n_s, draw(st.integers(0, n_s))


@given(before=st.lists(counted(), max_size=8), last=counted(), more=st.integers(1, 50))
@settings(deadline=None)
def test_more_errors_of_the_candidate_are_more_against_it_and_less_for_it(
    before: list[Counted], last: Counted, more: int
) -> None:
    n_c, k_c, n_s, k_s = last
    worse = (n_c, min(k_c + more, n_c), n_s, k_s)
    one, other = (play_errors([*before, end])[-1].judgement.log_e for end in (last, worse))
    assert other["errorRate.harm"] >= one["errorRate.harm"] - 1e-9
    assert other["errorRate.safety"] <= one["errorRate.safety"] + 1e-9


EMPTY: list[Counted] = [(0, 0, 0, 0), (0, 0, 700, 70), (50, 20, 0, 0)]


@given(
    before=st.lists(counted(), min_size=1, max_size=8), empty=st.lists(st.sampled_from(EMPTY), min_size=1, max_size=12)
)
@settings(deadline=None)
def test_an_interval_with_one_arm_neither_helps_nor_harms(before: list[Counted], empty: list[Counted]) -> None:
    told = play_errors([*before, *empty])
    one, other = told[len(before) - 1].judgement.log_e, told[-1].judgement.log_e
    assert abs(other["errorRate.harm"] - one["errorRate.harm"]) < 1e-9
    assert abs(other["errorRate.safety"] - one["errorRate.safety"]) < 1e-9


@given(pairs=st.lists(st.tuples(arms(), arms()), min_size=1, max_size=10))
@settings(deadline=None)
def test_the_same_intervals_always_say_the_same(pairs: list[tuple[Arm | None, Arm | None]]) -> None:
    intervals = [Interval(at=10.0 * (i + 1), candidate=c, stable=s) for i, (c, s) in enumerate(pairs)]
    assert play(ERRORS_ONLY, intervals) == play(ERRORS_ONLY, intervals)
