"""The arithmetic, against values that were worked out apart from this code."""

from __future__ import annotations

from math import log

import pytest

from evidence_lab import ERRORS_ONLY, Counted, play_errors, verdicts
from headgate_operator.core.evidence import engine, planning
from headgate_operator.core.evidence.counts import Counts
from headgate_operator.core.evidence.dispersion import Dispersion
from headgate_operator.core.evidence.evalue import log_e_values
from headgate_operator.core.evidence.one_arm import ABOVE, BELOW, log_evidence
from headgate_operator.core.evidence.policy import effective_latency_ratio


@pytest.mark.parametrize(
    ("u", "counts", "d", "expected"),
    [
        (2, (100, 4, 900, 9), 0, 1.719417),
        (2, (100, 1, 900, 9), 0, -0.360024),
        (0.5, (1000, 10, 9000, 90), 0.01, 2.983511),
        (0.5, (1000, 20, 9000, 90), 0.01, -3.947961),
        pytest.param(9, (1000, 30, 1000, 10), 0, -9.732692, id="D above 0.95 lowers u"),
    ],
)
def test_the_evidence_of_one_interval(u: float, counts: Counted, d: float, expected: float) -> None:
    (found,) = log_e_values((u,), Counts(*counts), 0.01, 1.0, d) or ()
    assert found == pytest.approx(expected, abs=5e-7)


def test_an_interval_with_one_arm_only_says_nothing() -> None:
    assert log_e_values((3,), Counts(50, 5, 0, 0), 0.01) is None
    assert log_e_values((3,), Counts(0, 0, 50, 5), 0.01) is None


def test_a_worse_version_is_rolled_back_in_the_fourth_interval() -> None:
    told = play_errors([(100, 4, 900, 9)] * 4)
    assert [one.judgement.log_e["errorRate.harm"] for one in told] == pytest.approx(
        [0.6759, 1.8738, 3.2192, 4.6126], abs=5e-5
    )
    assert [one.judgement.log_e["errorRate.safety"] for one in told] == pytest.approx(
        [-1.0987, -1.6317, -2.0248, -2.3579], abs=5e-5
    )
    assert verdicts(told) == ["wait", "wait", "wait", "rollback"]


def test_an_equal_version_is_promoted_in_the_fourteenth_interval() -> None:
    told = play_errors([(100, 1, 900, 9)] * 14)
    harm = [one.judgement.log_e["errorRate.harm"] for one in told]
    safety = [one.judgement.log_e["errorRate.safety"] for one in told]
    assert (harm[0], harm[1], harm[13]) == pytest.approx((-0.2965, -0.5678, -1.6596), abs=5e-5)
    assert (safety[0], safety[12], safety[13]) == pytest.approx((0.1792, 2.9536, 3.2141), abs=5e-5)
    assert verdicts(told) == ["wait"] * 13 + ["promote"]


def test_what_jumps_from_interval_to_interval_counts_less() -> None:
    counted = [
        (100, 1, 900, 9),
        (100, 3, 900, 20),
        (100, 2, 900, 2),
        (100, 4, 900, 15),
        (100, 6, 900, 5),
        (100, 5, 900, 9),
    ]
    told = play_errors(counted)
    assert [one.judgement.log_e["errorRate.harm"] for one in told] == pytest.approx(
        [-0.2965, -0.5052, -0.1289, 0.0152, 0.9029, 1.6104], abs=5e-5
    )
    assert [one.judgement.log_e["errorRate.safety"] for one in told] == pytest.approx(
        [0.1792, -0.2417, -0.4898, -0.7016, -1.1261, -1.3708], abs=5e-5
    )
    assert [engine.read(ERRORS_ONLY, one.state).errors.dispersion.stable for one in told] == pytest.approx(
        [1, 1.7089, 3.3685, 3.9295, 4.0123, 3.6913], abs=5e-5
    )
    assert set(verdicts(told)) == {"wait"}


def test_the_bounds_are_those_of_the_tolerated_probabilities() -> None:
    (told,) = play_errors([(100, 1, 900, 9)])
    assert told.judgement.bounds == pytest.approx({"errorRate.harm": 3.6889, "errorRate.safety": 2.9957}, abs=5e-5)


def test_the_candidate_has_at_least_its_part_of_stables_jumps() -> None:
    doubled = Dispersion(squares=5, pairs=0)
    assert doubled.divided(Counts(300, 3, 900, 9)) == pytest.approx((150, 1.5, 450, 4.5))
    wild = Dispersion(squares=45, pairs=0)  # 10 times; clusters keep 3, bursts grow with the requests
    assert wild.divided(Counts(10, 3, 900, 9)) == pytest.approx((10 / 3, 1, 90, 0.9))
    assert wild.divided(Counts(900, 10, 900, 9)) == pytest.approx((90, 1, 90, 0.9))
    assert wild.divided(Counts(9, 3, 0, 0)) == pytest.approx((3, 1, 0, 0))


@pytest.mark.parametrize(("pairs", "expected"), [(208, 2.9822), (209, 2.9988), (212, 3.0486)])
def test_pairs_without_a_disagreement_pass_at_two_percent(pairs: int, expected: float) -> None:
    assert log_evidence(BELOW, pairs, 0, 0.02) == pytest.approx(expected, abs=5e-5)


def test_disagreements_far_above_the_limit_alarm() -> None:
    assert log_evidence(ABOVE, 100, 2, 0.02) < 0
    assert log_evidence(ABOVE, 100, 20, 0.02) > log(1000)


@pytest.mark.parametrize(
    ("base", "margin", "median"), [(0.01, 0.01, 1212), (0.01, 0.02, 404), (0.05, 0.01, 4958), (0.001, 0.005, 1219)]
)
def test_plans_of_a_promotion_are_near_to_what_simulation_gave(base: float, margin: float, median: int) -> None:
    assert planning.to_promote(log(20), base, base + margin) == pytest.approx(median, rel=0.25)


@pytest.mark.parametrize(("more", "median"), [(0.01, 1614), (0.02, 560), (0.05, 130), (0.1, 55)])
def test_plans_of_a_rollback_are_near_to_what_simulation_gave(more: float, median: int) -> None:
    assert planning.to_roll_back(log(40), 0.01 + more, 0.01) == pytest.approx(median, rel=0.35)


@pytest.mark.parametrize(("asked", "effective"), [(1, 1), (1.01, 1.25), (1.25, 1.25), (1.26, 1.5625), (2, 2.44140625)])
def test_a_tolerated_ratio_is_rounded_up_to_the_buckets(asked: float, effective: float) -> None:
    assert effective_latency_ratio(asked) == pytest.approx(effective)
