"""What becomes of the pods' counters: each request counts once, in the interval it was answered in, or not at all."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from feed_lab import ARMS, BEGAN, IRIS, Lab, Policy, Process, Server, State, counts, pod_of, without_uptime
from headgate_operator.core.evidence.interval import Arm, Interval
from headgate_operator.feeds import processes
from headgate_operator.ports import Key


@pytest.fixture
def lab() -> Lab:
    return Lab()


# --- what an interval holds -------------------------------------------------------------------------------------------


def test_the_first_look_is_a_baseline() -> None:
    lab = Lab(look=False)
    assert lab.look() == State()
    assert lab.told == ["anew"]


def test_an_interval_holds_what_was_answered_since_the_tick_before(lab: Lab) -> None:
    lab.stable.answers(90)
    lab.stable.answers(2, code=500)
    lab.candidate.answers(9)
    lab.candidate.answers(1, code=422)
    assert lab.tick() == Interval(
        at=10.0,
        stable=Arm(requests=92, errors=2, latency=(92, 0, 0)),
        candidate=Arm(requests=10, client_errors=1, latency=(10, 0, 0)),
    )
    lab.candidate.answers(5, bucket=2)
    assert lab.tick().candidate == Arm(requests=5, latency=(0, 0, 5))


def test_an_interval_holds_what_was_predicted_since_the_tick_before_by_all_pods(lab: Lab) -> None:
    other = lab.starts("stable")
    lab.long_warm(other)
    lab.stable.process.predictions.update({"setosa": 100, 257: 7})
    assert lab.tick().stable == Arm(requests=0, latency=(0, 0, 0), predictions=((257, 7), ("setosa", 100)))
    lab.stable.process.predictions.update({"setosa": 2, "virginica": 1})
    other.process.predictions.update({"setosa": 3})
    stable = lab.tick().stable
    assert stable is not None
    assert stable.predictions == (("setosa", 5), ("virginica", 1))
    stable = lab.tick().stable
    assert stable is not None
    assert stable.predictions == ()


@pytest.mark.parametrize("went", [{"setosa": 1}, {"virginica": 9}])
def test_predictions_that_go_backwards_are_an_old_answer(lab: Lab, went: dict[str | int, int]) -> None:
    lab.stable.process.predictions.update({"setosa": 2})
    lab.tick()
    lab.stable.process.predictions = Counter(went)
    assert lab.tick().stable is None


@pytest.mark.parametrize(
    ("code", "errors", "client_errors"),
    [
        (200, 0, 0),
        (301, 0, 0),
        (400, 0, 1),
        (404, 0, 0),
        (422, 0, 1),
        (429, 1, 0),
        (499, 0, 0),
        (500, 1, 0),
        (504, 1, 0),
    ],
)
def test_every_status_code_counts_as_what_it_is(lab: Lab, code: int, errors: int, client_errors: int) -> None:
    lab.candidate.answers(1, code=code)
    assert counts(lab.tick().candidate) == (1, errors, client_errors)


def test_only_predictions_count(lab: Lab) -> None:
    lab.candidate.answers(50, group="other", code=503)
    lab.candidate.answers(3, group="invocations")
    lab.candidate.answers(2, group="v2_infer", code=500)
    assert counts(lab.tick().candidate) == (5, 2, 0)


def test_the_pods_of_an_arm_are_summed(lab: Lab) -> None:
    other = lab.starts("stable")
    lab.long_warm(other)
    lab.tick()
    lab.stable.answers(10, code=500)
    other.answers(20)
    assert counts(lab.tick().stable) == (30, 10, 0)


def test_no_requests_are_zero_and_no_answer_is_nothing(lab: Lab) -> None:
    lab.candidate.silent = True
    interval = lab.tick()
    assert counts(interval.stable) == (0, 0, 0)
    assert interval.candidate is None
    assert lab.told == ["anew", "one_arm"]


def test_an_interval_in_which_nobody_answers_is_still_a_check(lab: Lab) -> None:
    lab.stable.silent = lab.candidate.silent = True
    assert lab.tick() == Interval(at=10.0, stable=None, candidate=None)
    assert lab.told == ["anew", "no_data"]


def test_a_role_that_nobody_plays_has_no_data() -> None:
    lab = Lab(look=False)
    for _ in range(2):
        pods = [lab.stable.told(lab)]
        state = lab.feed.take(IRIS, 1, lab.policy, None, {"stable": ARMS["stable"]}, pods, lab.now)
        lab.passes(10)
    assert state.fed == (Interval(at=10.0, stable=Arm(requests=0, latency=(0, 0, 0)), candidate=None),)


# --- whose counts -----------------------------------------------------------------------------------------------------


def test_a_pod_that_says_it_is_another_revision_counts_for_nobody(lab: Lab) -> None:
    lab.candidate.answers(10, code=500)
    lab.passes(10)
    strange = replace(lab.candidate.process.traffic(lab.steady), revision=ARMS["stable"])
    state = lab.look([lab.stable.told(lab), pod_of(lab.candidate.name, ARMS["candidate"], strange)])
    assert counts(state.fed[-1].stable) == (0, 0, 0)
    assert state.fed[-1].candidate is None


def test_a_pod_of_a_third_revision_counts_for_nobody(lab: Lab) -> None:
    other = Server("other", Process("cccc", 0.0), BEGAN)
    other.answers(7)
    lab.servers.append(other)
    assert counts(lab.tick().stable) == counts(lab.tick().candidate) == (0, 0, 0)


def test_a_pod_counts_once_a_tick(lab: Lab) -> None:
    lab.candidate.answers(10)
    lab.passes(10)
    told = lab.candidate.told(lab)
    assert counts(lab.look([told, told]).fed[-1].candidate) == (10, 0, 0)


def test_a_process_that_two_pods_tell_of_counts_once(lab: Lab) -> None:
    """An address that has a new owner while the list still names the old one."""
    lab.candidate.answers(10)
    lab.passes(10)
    told = lab.candidate.told(lab)
    assert counts(lab.look([told, replace(told, name="x", uid="uid-x")]).fed[-1].candidate) == (10, 0, 0)


# --- processes that come and go ---------------------------------------------------------------------------------------


def test_a_new_pod_counts_from_its_first_request(lab: Lab) -> None:
    lab.passes(4)
    new = lab.starts("candidate")
    new.answers(8, code=500)
    assert counts(lab.tick(6).candidate) == (8, 8, 0)


def test_a_restarted_container_counts_from_its_first_request(lab: Lab) -> None:
    lab.candidate.answers(100)
    lab.passes(5)
    lab.candidate.restarts(lab)
    lab.candidate.answers(3, code=500)
    assert counts(lab.tick(5).candidate) == (3, 3, 0)  # what it answered before it went is gone with it


def test_a_process_that_is_older_than_the_interval_begins_with_a_baseline(lab: Lab) -> None:
    late = lab.starts("candidate")
    lab.long_warm(late)
    lab.candidate.silent = True
    assert lab.tick().candidate is None
    late.answers(5)
    assert counts(lab.tick().candidate) == (5, 0, 0)


def test_a_process_that_does_not_tell_its_age_begins_with_a_baseline(lab: Lab) -> None:
    lab.passes(10)
    new = lab.starts("candidate")
    new.answers(5)
    state = lab.look([lab.stable.told(lab), without_uptime(new.told(lab))])
    assert state.fed[-1].candidate is None


def test_a_pod_that_is_gone_takes_nothing_away(lab: Lab) -> None:
    other = lab.starts("stable")
    other.answers(50)
    lab.tick()
    lab.servers.remove(other)
    lab.stable.answers(10)
    assert counts(lab.tick().stable) == (10, 0, 0)


def test_after_a_missed_tick_a_pod_begins_anew(lab: Lab) -> None:
    """What it answered meanwhile would be compared with another time of the other arm."""
    lab.stable.silent = True
    lab.stable.answers(100)
    lab.tick()
    lab.stable.silent = False
    lab.stable.answers(100)
    assert lab.tick().stable is None
    lab.stable.answers(7)
    assert counts(lab.tick().stable) == (7, 0, 0)


def test_an_old_answer_counts_for_nothing(lab: Lab) -> None:
    lab.candidate.answers(5)
    old = lab.candidate.told(lab)
    lab.candidate.answers(5)
    assert counts(lab.tick().candidate) == (10, 0, 0)
    assert lab.tick(pods=[lab.stable.told(lab), old]).candidate is None
    assert lab.tick().candidate is None  # it has missed a tick
    lab.candidate.answers(4)
    assert counts(lab.tick().candidate) == (4, 0, 0)


def test_a_process_that_comes_back_after_another_at_its_address_counts_only_what_is_new(lab: Lab) -> None:
    first = lab.candidate.process
    lab.passes(5)
    lab.candidate.restarts(lab)
    lab.candidate.answers(2)
    assert counts(lab.tick(5).candidate) == (2, 0, 0)
    lab.candidate.process = first
    first.answers(1)
    assert lab.tick().candidate is None
    first.answers(1)
    assert counts(lab.tick().candidate) == (1, 0, 0)


def test_when_processes_had_to_be_forgotten_no_process_counts_as_new(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MOST", 2)
    lab.passes(5)
    lab.starts("stable").answers(3)
    assert counts(lab.tick(5).stable) == (3, 0, 0)
    lab.passes(5)
    lab.servers = [lab.starts("candidate")]
    lab.servers[0].answers(4)
    assert lab.tick(5).candidate is None


# --- the time of ticks ------------------------------------------------------------------------------------------------


def test_between_ticks_nothing_is_looked_at(lab: Lab) -> None:
    lab.candidate.answers(3)
    assert lab.fed_nothing(9.9)
    assert not lab.feed.due(IRIS, lab.now)
    assert counts(lab.tick(0.1).candidate) == (3, 0, 0)


def test_a_tick_is_due_every_interval(lab: Lab) -> None:
    assert lab.feed.next(IRIS) == BEGAN + timedelta(seconds=10)
    lab.tick(10)
    assert lab.feed.next(IRIS) == BEGAN + timedelta(seconds=20)


@pytest.mark.parametrize(("late", "following"), [(1.0, 20), (5.0, 20), (5.1, 30), (14.9, 30), (19.9, 40)])
def test_after_a_late_tick_the_next_is_on_time_and_never_closer_than_half_an_interval(
    lab: Lab, late: float, following: int
) -> None:
    lab.tick(10 + late)
    assert lab.feed.next(IRIS) == BEGAN + timedelta(seconds=following)


def test_a_late_tick_is_one_longer_interval(lab: Lab) -> None:
    lab.candidate.answers(30)
    interval = lab.tick(30)
    assert (interval.at, counts(interval.candidate)) == (30.0, (30, 0, 0))


def test_a_tick_that_is_too_late_is_no_data(lab: Lab) -> None:
    lab.candidate.answers(30)
    assert lab.fed_nothing(30.1)
    lab.candidate.answers(4)
    interval = lab.tick()
    assert (interval.at, counts(interval.candidate)) == (pytest.approx(40.1), (4, 0, 0))
    assert lab.told == ["anew", "anew", "both"]


def test_a_clock_that_is_set_back_begins_anew(lab: Lab) -> None:
    lab.tick()
    lab.candidate.answers(9)
    assert lab.fed_nothing(-3600)
    lab.candidate.answers(2)
    interval = lab.tick()
    assert (interval.at, counts(interval.candidate)) == (20.0, (2, 0, 0))


def test_the_interval_is_the_policys() -> None:
    lab = Lab(policy=Policy(interval=2.0))
    lab.tick(2)
    assert lab.feed.next(IRIS) == BEGAN + timedelta(seconds=4)


# --- beginnings and ends ----------------------------------------------------------------------------------------------


def test_a_new_process_of_the_operator_goes_on_from_the_checkpoint_with_a_baseline(lab: Lab) -> None:
    lab.candidate.answers(10)
    lab.tick()
    after = Lab(look=False)
    after.servers, after.state, after.now, after.steady = lab.servers, lab.state, lab.now, lab.steady
    lab.candidate.answers(100)
    assert after.fed_nothing(60)
    lab.candidate.answers(3)
    interval = after.tick()
    assert (interval.at, counts(interval.candidate)) == (20.0, (3, 0, 0))


def test_another_rollout_begins_with_nothing(lab: Lab) -> None:
    lab.candidate.answers(10)
    lab.tick()
    lab.rollout, lab.state = 2, None
    lab.passes(10)
    assert lab.look() == State()


def test_what_is_forgotten_leaves_nothing(lab: Lab) -> None:
    lab.feed.forget(IRIS)
    lab.feed.forget(Key("ml", "never seen"))
    assert lab.feed.next(IRIS) is None
    assert lab.feed.due(IRIS, lab.now)
    assert not lab.feed._following


# --- warming up -------------------------------------------------------------------------------------------------------


def warmth(arm: Arm | None) -> tuple[float, float, tuple[float, ...]]:
    assert arm is not None
    return arm.requests, arm.cold_requests, arm.latency


def test_a_pod_is_cold_for_half_a_minute_after_it_became_ready(lab: Lab) -> None:
    new = lab.starts("candidate")
    new.answers(100)
    lab.servers.remove(lab.candidate)
    assert warmth(lab.tick().candidate) == (100, 100, (0, 0, 0))
    for cold in (10, 10, 0):
        new.answers(10, code=500)
        interval = lab.tick()
        assert interval.candidate is not None
        assert (interval.candidate.cold_requests, interval.candidate.cold_errors) == (cold, cold)
    assert warmth(interval.candidate) == (10, 0, (10, 0, 0))


def test_a_pod_is_cold_for_its_first_twenty_requests(lab: Lab) -> None:
    new = lab.starts("stable")
    lab.servers.remove(lab.stable)
    lab.tick(30)
    for cold in (12, 12, 0):
        new.answers(12)
        assert warmth(lab.tick().stable)[:2] == (12, cold)


def test_a_pod_that_is_not_ready_is_cold(lab: Lab) -> None:
    lab.candidate.ready, lab.candidate.ready_since = False, None
    lab.candidate.answers(10, code=503)
    assert warmth(lab.tick().candidate) == (10, 10, (0, 0, 0))


def test_warm_pods_of_an_arm_tell_its_latency_beside_cold_ones(lab: Lab) -> None:
    new = lab.starts("stable")
    new.answers(50, bucket=2)
    lab.stable.answers(10, bucket=1)
    assert warmth(lab.tick().stable) == (60, 50, (0, 10, 0))


# --- the ladder -------------------------------------------------------------------------------------------------------


def test_latencies_on_different_ladders_are_not_compared(lab: Lab) -> None:
    lab.candidate.process = Process(ARMS["candidate"], lab.steady, ladder=(0.1, 0.3))
    lab.candidate.answers(30)
    lab.stable.answers(40)
    interval = lab.tick()
    assert warmth(interval.candidate) == (30, 30, ())
    assert warmth(interval.stable) == (40, 0, ())


def test_latencies_on_a_ladder_that_the_engine_does_not_know_are_not_told(lab: Lab) -> None:
    lab.policy = Policy(bounds=(0.1, 0.25))
    lab.stable.answers(40)
    assert warmth(lab.tick().stable) == (40, 0, ())


def test_a_process_that_changes_its_ladder_is_not_heard(lab: Lab) -> None:
    lab.candidate.process.ladder = (0.1, 0.3)
    lab.candidate.answers(30)
    assert lab.tick().candidate is None


# --- the ledger -------------------------------------------------------------------------------------------------------


def test_every_tick_is_one_line_of_the_log_that_can_be_replayed(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    new = lab.starts("candidate")
    new.answers(4, code=500)
    lab.stable.answers(90, bucket=1)
    lab.stable.answers(1, code=400)
    lab.tick()
    lab.fed_nothing(3)
    lab.stable.silent = True
    lab.tick(7)
    first, second = (vars(record) for record in caplog.records)
    assert {name: first[name] for name in ("message", "deployment", "rollout", "t", "seconds", "stable", "canary")} == {
        "message": "evidence",
        "deployment": "ml/iris",
        "rollout": 1,
        "t": 10,
        "seconds": 10.0,
        "stable": {"requests": 91, "errors": 0, "client_errors": 1, "latency": [1, 90, 0]},
        "canary": {
            "requests": 4,
            "errors": 4,
            "cold_requests": 4,
            "cold_errors": 4,
            "cold_client_errors": 0,
            "latency": [0, 0, 0],
        },
    }
    assert (second["t"], second["stable"], second["canary"]["requests"]) == (20, None, 0)


def test_a_baseline_is_told_with_its_reason_and_the_terms(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lab = Lab()
    lab.fed_nothing(100)
    first, second = (vars(record) for record in caplog.records)
    assert {first["message"], second["message"]} == {"evidence begins anew"}
    assert (first["why"], second["why"]) == ("first look", "no look for 100 s")
    assert (first["arms"], first["interval_s"], first["t"]) == (ARMS, 10.0, 0.0)
