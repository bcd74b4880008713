"""The absolute guard: a version that serves alone."""

from __future__ import annotations

import json
import random

import pytest

from headgate_operator.api.codec import from_json, to_json
from headgate_operator.api.evidence import GuardState
from headgate_operator.core.evidence import guard
from headgate_operator.core.evidence.guard import GuardPolicy
from headgate_operator.core.evidence.interval import Arm

POLICY = GuardPolicy()


def after(*arms: Arm | None) -> str | None:
    state = guard.begin(POLICY)
    for arm in arms:
        state = from_json(GuardState, json.loads(json.dumps(to_json(guard.update(POLICY, state, arm)))))
    return guard.alarm(POLICY, state)


def test_an_error_rate_below_the_limit_alarms_nobody() -> None:
    assert after(*[Arm(requests=1000, errors=30)] * 60) is None


def test_no_data_and_no_traffic_alarm_nobody() -> None:
    assert after(*[None, Arm(requests=0), Arm(requests=3, errors=9)] * 60) is None


def test_an_error_rate_far_above_the_limit_is_found_in_three_intervals() -> None:
    assert after(*[Arm(requests=100, errors=40)] * 2) is None
    assert after(*[Arm(requests=100, errors=40)] * 3) == (
        "errors 40.0 % of 300 requests: above the limit of 5.0 % (evidence 5,262, bound 1,200)"
    )


def test_one_bad_interval_is_not_enough() -> None:
    good = [Arm(requests=100)] * 10
    assert after(*good, Arm(requests=100, errors=100), *good) is None


def test_errors_that_begin_after_an_hour_are_found_as_well() -> None:
    hour = [Arm(requests=1000, errors=5)] * 360
    assert after(*hour, *[Arm(requests=1000, errors=300)] * 2) is None
    assert after(*hour, *[Arm(requests=1000, errors=300)] * 3) is not None


def test_a_rate_at_the_limit_alarms_as_rarely_as_was_promised() -> None:
    rng = random.Random(8)
    alarms = 0
    for _ in range(300):
        state = guard.begin(POLICY)
        for _ in range(POLICY.checks):
            state = guard.update(POLICY, state, Arm(requests=40, errors=sum(rng.random() < 0.05 for _ in range(40))))
            if guard.alarm(POLICY, state):
                alarms += 1
                break
    assert alarms <= 300 * 0.05


@pytest.mark.parametrize("damage", ["nan", "1", "x y", "-1 2"])
def test_a_damaged_state_begins_anew(damage: str) -> None:
    assert guard.alarm(POLICY, GuardState(format=1, harm=damage, totals=damage)) is None
