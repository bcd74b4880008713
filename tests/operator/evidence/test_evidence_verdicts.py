"""What evidence decides, and what it must not be moved by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evidence_lab import ERRORS_ONLY, EVERYTHING, Counted, decision, interval, play, play_errors, verdicts
from headgate_operator.core.evidence import engine
from headgate_operator.core.evidence.interval import Arm, Interval

HOUR = 360


def test_no_traffic_is_neither_good_nor_bad() -> None:
    told = play_errors([(0, 0, 0, 0)] * HOUR)
    assert set(verdicts(told)) == {"wait"}
    assert told[-1].judgement.log_e["errorRate.safety"] == 0
    assert told[-1].judgement.missing == "no requests to version 4 in the last 60 s"


def test_a_candidate_without_requests_waits_for_them_however_good_stable_is() -> None:
    told = play_errors([(0, 0, 900, 9)] * HOUR)
    assert set(verdicts(told)) == {"wait"}
    assert told[-1].judgement.missing == "no requests to version 4 in the last 60 s"


def test_a_candidate_that_has_all_the_traffic_has_nothing_to_be_compared_with() -> None:
    told = play_errors([(900, 300, 0, 0)] * 30)
    assert set(verdicts(told)) == {"wait"}
    assert told[-1].judgement.missing == (
        "no requests to version 3 in the last 60 s: nothing to compare version 4 with"
    )


@pytest.mark.parametrize("missing", ["candidate", "stable"])
def test_an_arm_that_was_not_seen_has_no_data(missing: str) -> None:
    arms = {"candidate": Arm(requests=100, errors=60), "stable": Arm(requests=900, errors=9)}
    arms |= {missing: None}  # type: ignore[dict-item]
    told = play(ERRORS_ONLY, [Interval(at=10.0 * index, **arms) for index in range(1, 30)])
    assert set(verdicts(told)) == {"wait"}
    assert told[-1].judgement.log_e == pytest.approx({"errorRate.harm": 0, "errorRate.safety": 0})


@pytest.mark.parametrize(
    "torn",
    [
        Arm(requests=10, errors=11),
        Arm(requests=10, errors=6, client_errors=5),
        Arm(requests=10, errors=-1),
        Arm(requests=-1),
        Arm(requests=10, errors=5, cold_requests=4, cold_errors=5),
        Arm(requests=float("nan")),
        Arm(requests=float("inf")),
        Arm(requests=10, latency=(1.0, -1.0)),
        Arm(requests=10, latency=(1.0, float("nan"))),
    ],
)
def test_counts_that_contradict_each_other_are_no_data(torn: Arm) -> None:
    good = Arm(requests=900, errors=9)
    told = play(ERRORS_ONLY, [interval(10.0 * index, torn, good) for index in range(1, 30)])
    assert told[-1].state.candidate_requests == 0
    assert told[-1].judgement.log_e["errorRate.harm"] == pytest.approx(0)
    assert set(verdicts(told)) == {"wait"}


def test_a_few_clean_requests_are_not_a_proof() -> None:
    assert set(verdicts(play_errors([(1, 0, 9, 0)] * 30))) == {"wait"}


def test_an_outage_that_both_share_rolls_nothing_back() -> None:
    calm: list[Counted] = [(100, 1, 900, 9)] * 6
    outage: list[Counted] = [(100, 20, 900, 180)] * 6
    assert "rollback" not in verdicts(play_errors(calm + outage + calm))


def test_weight_that_climbs_while_the_base_rate_climbs_rolls_nothing_back() -> None:
    """Simpson: summed up, 2.1 % of the candidate's and 1.6 % of stable's requests failed."""
    counted: list[Counted] = []
    for index in range(40):
        weight, rate = 0.05 + 0.45 * index / 39, 0.005 + 0.025 * index / 39
        n_c, n_s = round(2000 * weight), round(2000 * (1 - weight))
        counted.append((n_c, round(n_c * rate), n_s, round(n_s * rate)))
    n_c, k_c, n_s, k_s = (sum(one) for one in zip(*counted, strict=True))
    assert k_c / n_c > 1.29 * k_s / n_s
    told = play_errors(counted)
    assert "rollback" not in verdicts(told)


def test_one_burst_rolls_nothing_back_however_large() -> None:
    calm: list[Counted] = [(100, 1, 900, 9)] * 10
    assert "rollback" not in verdicts(play_errors([*calm, (100, 100, 900, 9), *calm]))


def test_three_bad_intervals_roll_back() -> None:
    told = play_errors([(100, 1, 900, 9)] * 3 + [(100, 60, 900, 9)] * 4)
    assert decision(told) == "rollback"


def test_errors_that_begin_late_are_found() -> None:
    told = play_errors([(100, 1, 900, 9)] * 60 + [(100, 12, 900, 9)] * 12)
    assert "rollback" in verdicts(told)[60:]


def test_a_difference_too_small_to_matter_rolls_nothing_back() -> None:
    """0.18 percentage points, proven beyond doubt."""
    told = play_errors([(50_000, 590, 450_000, 4500)] * 60)
    assert told[-1].judgement.log_e["errorRate.harm"] > 20
    assert "rollback" not in verdicts(told)
    assert "by less than the minimum effect" in told[-1].judgement.reason


def test_a_difference_is_also_measured_against_what_is_usual() -> None:
    told = play_errors([(10_000, 1180, 90_000, 9000)] * 60)
    assert told[-1].judgement.log_e["errorRate.harm"] > 20
    assert "rollback" not in verdicts(told)


CEILING = replace(ERRORS_ONLY, max_rate=0.05)


def test_above_the_ceiling_a_smaller_difference_is_enough() -> None:
    counted: list[Counted] = [(10_000, 590, 90_000, 4590)] * 30  # 5.9 % against 5.1 %: 1.16 times
    assert decision(play_errors(counted, replace(ERRORS_ONLY, max_increase=0.002))) != "rollback"
    assert decision(play_errors(counted, CEILING)) == "rollback"


def test_an_equal_candidate_may_be_above_the_ceiling_with_stable() -> None:
    told = play_errors([(100, 8, 900, 72)] * HOUR, CEILING)
    assert decision(told) == "promote"
    assert told[-1].judgement.log_e["errorRate.ceiling"] < 0


def test_an_outage_far_above_the_ceiling_proves_nothing_against_the_candidate() -> None:
    told = play_errors([(1000, 300, 9000, 2700)] * 60, CEILING)
    assert "rollback" not in verdicts(told)


def test_below_the_ceiling_a_small_difference_is_none() -> None:
    """4.4 % against 4.0 %: proven, 1.1 times, and the ceiling is not reached."""
    assert "rollback" not in verdicts(play_errors([(10_000, 440, 90_000, 3600)] * 60, CEILING))


def test_what_is_above_the_ceiling_and_worse_is_not_promoted() -> None:
    """The margin is half of stable's rate; 5.6 % against 4.9 % lies within it."""
    counted: list[Counted] = [(500, 28, 4500, 220)] * 60
    assert "promote" in verdicts(play_errors(counted))
    told = play_errors(counted, CEILING)
    assert "promote" not in verdicts(told)


def test_errors_of_warming_pods_count_against_the_candidate_but_not_for_it() -> None:
    cold = Arm(requests=100, errors=0, cold_requests=100)
    warm = Arm(requests=100, errors=0)
    stable = Arm(requests=900, errors=9)
    promoted = [play(ERRORS_ONLY, [interval(10.0 * i, arm, stable) for i in range(1, 40)]) for arm in (cold, warm)]
    assert [decision(told) for told in promoted] == ["wait", "promote"]
    failing = Arm(requests=100, errors=30, cold_requests=100, cold_errors=30)
    assert decision(play(ERRORS_ONLY, [interval(10.0 * i, failing, stable) for i in range(1, 10)])) == "rollback"


def test_inputs_that_only_the_candidate_refuses_roll_it_back() -> None:
    policy = replace(EVERYTHING, max_latency_ratio=None)
    candidate, stable = Arm(requests=100, client_errors=15), Arm(requests=900, client_errors=27)
    told = play(policy, [interval(10.0 * index, candidate, stable) for index in range(1, 10)])
    assert decision(told) == "rollback"
    last = told[-1].judgement
    assert last.gate == "clientErrors"
    assert last.reason.startswith("refused inputs (400, 422) 15.0 % of 900 requests to version 4, 3.0 % of 8,100")


def test_all_gates_must_pass_before_anything_is_promoted() -> None:
    """Latency is a gate, and no latencies were counted."""
    arm = Arm(requests=1000, errors=10)
    told = play(EVERYTHING, [interval(10.0 * index, arm, arm) for index in range(1, HOUR)])
    assert set(verdicts(told)) == {"wait"}
    assert told[-1].judgement.gate == "latency"
    without = replace(EVERYTHING, max_latency_ratio=None)
    assert decision(play(without, [interval(10.0 * index, arm, arm) for index in range(1, HOUR)])) == "promote"


def test_the_tolerated_probability_is_shared_among_the_gates() -> None:
    assert EVERYTHING.rollback_bound == pytest.approx(replace(ERRORS_ONLY, false_rollback=0.05 / 3).rollback_bound)
    assert EVERYTHING.promote_bound == ERRORS_ONLY.promote_bound


def test_a_step_is_not_left_before_its_time_nor_before_its_requests() -> None:
    state = play_errors([(1000, 10, 9000, 90)] * 30)[-1].state
    early = engine.judge(ERRORS_ONLY, state, seconds_in_step=20, requests_in_step=500)
    few = engine.judge(ERRORS_ONLY, state, seconds_in_step=90, requests_in_step=20)
    then = engine.judge(ERRORS_ONLY, state, seconds_in_step=90, requests_in_step=50)
    assert (early.verdict, early.missing) == ("wait", "40 s more in this step")
    assert few.verdict == "wait"
    assert few.missing == "30 more requests to the candidate in this step (about 1 s at the present rate)"
    assert (then.verdict, then.missing) == ("promote", None)


def test_a_rollback_waits_for_no_minimum() -> None:
    state = play_errors([(10, 9, 900, 9)] * 5)[-1].state
    assert engine.judge(ERRORS_ONLY, state, seconds_in_step=0, requests_in_step=0).verdict == "rollback"


def test_waiting_says_about_how_long() -> None:
    told = play_errors([(100, 1, 900, 9)] * 3)
    assert told[-1].judgement.missing == "about 1,200 more requests to version 4 (about 2 min at the present rate)"
    assert told[-1].judgement.reason == (
        "errors 1.0 % of 300 requests to version 4, 1.0 % of 2,700 to version 3: not yet proven that errors are at "
        "most 1 percentage point above those of version 3 (evidence 1.8, bound 20)"
    )


def test_doubt_says_how_long_until_a_rollback() -> None:
    told = play_errors([(100, 4, 900, 9)] * 3)
    assert told[-1].judgement.reason == (
        "errors 4.0 % of 300 requests to version 4, 1.0 % of 2,700 to version 3: version 4 looks worse than version 3 "
        "(evidence 25, bound 40)"
    )
    assert (told[-1].judgement.missing or "").endswith("to roll it back if it goes on like this")


def test_before_the_first_interval_it_waits_for_that() -> None:
    judgement = engine.judge(EVERYTHING, engine.begin(EVERYTHING), seconds_in_step=3, requests_in_step=0)
    assert (judgement.verdict, judgement.missing) == ("wait", "the first 10 s of traffic")


def test_the_observed_share_is_that_of_the_last_minute() -> None:
    told = play_errors([(0, 0, 100, 0)] * 3 + [(25, 0, 75, 0)] * 6)
    shares = [engine.observed_share(one.state) for one in told]
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(0.25)
    assert engine.observed_share(engine.begin(ERRORS_ONLY)) is None
    assert engine.observed_share(play_errors([(0, 0, 0, 0)])[-1].state) is None


def test_a_gap_in_time_ends_the_last_minute() -> None:
    before = [interval(10.0 * index, Arm(requests=50), Arm(requests=50)) for index in range(1, 7)]
    told = play(ERRORS_ONLY, [*before, interval(3600, Arm(requests=0), Arm(requests=10))])
    assert engine.observed_share(told[-1].state) == 0
