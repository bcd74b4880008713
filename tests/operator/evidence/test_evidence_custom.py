"""A query of the user's own: judged by its limits alone, and only on what was really seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_operator.api.metrics import CustomMetric, MetricFailure
from headgate_operator.core.evidence.custom import (
    Course,
    Finding,
    NoValue,
    Reading,
    Standing,
    Value,
    followed,
    found,
    reading_of,
    with_metrics,
)
from headgate_operator.core.evidence.judgement import Judgement, Verdict

BEGAN = datetime(2026, 11, 21, tzinfo=UTC)
INTERVAL = 10.0
REVENUE = CustomMetric(name="revenue", query="q", min=0.98)


def seconds(number: float) -> datetime:
    return BEGAN + timedelta(seconds=number)


def course(metric: CustomMetric, *looks: tuple[float, Reading | float]) -> Course:
    done = Course()
    for at, told in looks:
        reading = Value(told) if isinstance(told, (int, float)) else told
        done = followed(metric, done, reading, seconds(at), INTERVAL)
    return done


def standing(metric: CustomMetric, *looks: tuple[float, Reading | float], now: float | None = None) -> Standing:
    at = now if now is not None else looks[-1][0] if looks else 0.0
    return found(metric, course(metric, *looks), seconds(at), INTERVAL).standing


# --- one look ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "reading"),
    [
        ([1.5], Value(1.5)),
        ([0.0], Value(0.0)),
        ([], NoValue("the query finds no series")),
        ([1.0, 2.0], NoValue("the query finds 2 series, and one is wanted: sum them up")),
        ([nan], NoValue("the value is no number (a division by zero?)")),
        ([inf], NoValue("the value is no number (a division by zero?)")),
        ([-inf], NoValue("the value is no number (a division by zero?)")),
    ],
)
def test_only_one_finite_number_is_a_value(numbers: list[float], reading: Reading) -> None:
    assert reading_of(numbers) == reading


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "number", "expected"),
    [
        (0.98, None, 0.98, Standing.GOOD),
        (0.98, None, 0.979, Standing.BAD),
        (None, 5.0, 5.0, Standing.GOOD),
        (None, 5.0, 5.01, Standing.BAD),
        (1.0, 2.0, 0.5, Standing.BAD),
        (1.0, 2.0, 1.5, Standing.GOOD),
        (1.0, 2.0, 2.5, Standing.BAD),
    ],
)
def test_limits_are_allowed_themselves(
    low: float | None, high: float | None, number: float, expected: Standing
) -> None:
    assert standing(CustomMetric(name="m", query="q", min=low, max=high), (0, number)) is expected


# --- lasting ----------------------------------------------------------------------------------------------------------

SLOWLY = CustomMetric(name="revenue", query="q", min=0.98, lasting=timedelta(seconds=30))


def test_a_bad_value_counts_once_it_has_been_bad_for_long_enough() -> None:
    looks = [(at, 0.5) for at in (0, 10, 20, 30)]
    assert standing(SLOWLY, *looks[:3]) is Standing.SUSPECT
    assert standing(SLOWLY, *looks) is Standing.BAD


def test_one_good_value_begins_the_time_anew() -> None:
    assert standing(SLOWLY, (0, 0.5), (10, 0.5), (20, 1.0), (30, 0.5), (40, 0.5)) is Standing.SUSPECT
    assert standing(SLOWLY, (0, 0.5), (10, 1.0)) is Standing.GOOD


def test_a_short_time_without_a_value_does_not_begin_it_anew() -> None:
    assert standing(SLOWLY, (0, 0.5), (10, NoValue("")), (20, NoValue("")), (30, 0.5)) is Standing.BAD


def test_time_in_which_nobody_looked_is_not_held_against_a_version() -> None:
    assert standing(SLOWLY, (0, 0.5), (31, 0.5)) is Standing.SUSPECT
    assert standing(SLOWLY, (0, 0.5), (10, 0.5), now=35) is Standing.SUSPECT


def test_a_clock_that_is_set_back_begins_it_anew() -> None:
    assert standing(SLOWLY, (100, 0.5), (0, 0.5), (10, 0.5)) is Standing.SUSPECT


# --- what is not known ------------------------------------------------------------------------------------------------


def test_without_a_value_nothing_is_known() -> None:
    assert standing(REVENUE) is Standing.UNKNOWN
    assert standing(REVENUE, (0, 1.0), (10, NoValue("no answer in time"))) is Standing.UNKNOWN
    assert standing(REVENUE, (0, 0.5), (10, NoValue("no answer in time"))) is Standing.UNKNOWN


def test_an_old_value_is_not_known_to_hold_still() -> None:
    assert standing(REVENUE, (0, 1.0), now=30) is Standing.GOOD
    assert standing(REVENUE, (0, 1.0), now=31) is Standing.UNKNOWN
    assert standing(REVENUE, (0, 1.0), now=-1) is Standing.UNKNOWN


# --- verdicts ---------------------------------------------------------------------------------------------------------


def finding(where: Standing, *, on_failure: MetricFailure = MetricFailure.ROLLBACK, dry_run: bool = False) -> Finding:
    return Finding(
        CustomMetric(name="revenue", query="q", on_failure=on_failure, dry_run=dry_run), where, "because", "it"
    )


def judgement(verdict: Verdict) -> Judgement:
    missing = "more requests" if verdict is Verdict.WAIT else None
    return Judgement(verdict, "errorRate", "counts", missing, {"a": 1.0}, {"a": 2.0})


@pytest.mark.parametrize(
    ("where", "on_failure", "verdict"),
    [
        (Standing.GOOD, MetricFailure.ROLLBACK, Verdict.PROMOTE),
        (Standing.SUSPECT, MetricFailure.ROLLBACK, Verdict.WAIT),
        (Standing.UNKNOWN, MetricFailure.ROLLBACK, Verdict.WAIT),
        (Standing.BAD, MetricFailure.ROLLBACK, Verdict.ROLLBACK),
        (Standing.BAD, MetricFailure.HOLD, Verdict.WAIT),
    ],
)
def test_only_a_bad_metric_that_shall_rolls_back(where: Standing, on_failure: MetricFailure, verdict: Verdict) -> None:
    assert finding(where, on_failure=on_failure).verdict is verdict


@pytest.mark.parametrize("where", Standing)
def test_a_dry_run_decides_nothing(where: Standing) -> None:
    assert finding(where, dry_run=True).verdict is Verdict.PROMOTE


def test_a_promotion_waits_for_every_metric() -> None:
    held = with_metrics(judgement(Verdict.PROMOTE), [finding(Standing.GOOD), finding(Standing.UNKNOWN)])
    assert (held.verdict, held.gate, held.missing) == (Verdict.WAIT, "metrics/revenue", "it")
    assert with_metrics(judgement(Verdict.PROMOTE), [finding(Standing.GOOD)]) == judgement(Verdict.PROMOTE)
    assert with_metrics(judgement(Verdict.PROMOTE), []) == judgement(Verdict.PROMOTE)


def test_a_metric_rolls_back_whatever_the_counts_say_and_whatever_other_metrics_wait_for() -> None:
    for verdict in (Verdict.WAIT, Verdict.PROMOTE):
        told = with_metrics(judgement(verdict), [finding(Standing.UNKNOWN), finding(Standing.BAD)])
        assert (told.verdict, told.gate, told.reason, told.missing) == (
            Verdict.ROLLBACK,
            "metrics/revenue",
            "because",
            None,
        )


def test_what_the_counts_say_is_told_first() -> None:
    assert with_metrics(judgement(Verdict.ROLLBACK), [finding(Standing.BAD)]) == judgement(Verdict.ROLLBACK)
    assert with_metrics(judgement(Verdict.WAIT), [finding(Standing.UNKNOWN)]) == judgement(Verdict.WAIT)


def test_the_words_name_the_value_and_its_limits() -> None:
    metric = CustomMetric(name="revenue", query="q", min=0.98, max=2)
    assert found(metric, course(metric, (0, 0.51234)), BEGAN, INTERVAL).message == (
        "revenue is 0.5123, and at least 0.98 and at most 2 is wanted"
    )
    assert found(metric, course(metric, (0, 0.51234)), BEGAN, INTERVAL).waits == (
        "metric revenue must be at least 0.98 and at most 2"
    )
    late = found(SLOWLY, course(SLOWLY, (0, 0.5)), BEGAN, INTERVAL)
    assert late.message == "revenue is 0.5, and at least 0.98 is wanted; it may be so for 30 s"


@given(st.lists(st.tuples(st.floats(0, 60), st.none() | st.floats(0, 2)), max_size=30), st.floats(0, 120))
def test_a_version_is_bad_only_after_as_much_time_between_bad_looks(
    story: list[tuple[float, float | None]], lasting: float
) -> None:
    metric = CustomMetric(name="m", query="q", min=1.0, lasting=timedelta(seconds=lasting))
    now, done, bad = 0.0, Course(), 0.0
    last: float | None = None
    for passed, number in story:
        now += passed
        done = followed(metric, done, NoValue("") if number is None else Value(number), seconds(now), INTERVAL)
        if number is not None and number < 1.0:
            bad, last = (bad + now - last if last is not None else 0.0), now
        elif number is not None:
            bad, last = 0.0, None
        if found(metric, done, seconds(now), INTERVAL).standing is Standing.BAD:
            assert bad >= lasting - 1e-3
