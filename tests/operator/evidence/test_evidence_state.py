"""Evidence in status: small, exact, and never in the way."""

from __future__ import annotations

import json
import random
from dataclasses import fields, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_lab import EVERYTHING, judged, latencies, play
from headgate_operator.api.codec import from_json, to_json
from headgate_operator.api.evidence import EvidenceState
from headgate_operator.core.evidence import engine
from headgate_operator.core.evidence.interval import Arm, Interval
from headgate_operator.core.evidence.shift import Shift

POLICY = replace(EVERYTHING, max_rate=0.05)


def history(seed: int, checks: int = 30, size: int = 1) -> list[Interval]:
    rng = random.Random(seed)

    def arm(requests: int, rate: float) -> Arm | None:
        errors = sum(rng.random() < rate for _ in range(requests))
        refused = sum(rng.random() < 0.02 for _ in range(requests - errors))
        counts = tuple(size * count for count in latencies(rng, requests - errors - refused))
        whole = Arm(
            requests=size * requests,
            errors=size * errors,
            client_errors=size * refused,
            latency=counts,
            predictions=((f"a class of {'very ' * 5}long name", size * requests / 2), (257, size * requests / 3)),
        )
        return None if rng.random() < 0.05 else whole

    rate = rng.choice([0.01, 0.08])
    return [Interval(at=10.0 * i, candidate=arm(40, rate), stable=arm(360, 0.01)) for i in range(1, checks)]


def stored(state: EvidenceState) -> EvidenceState:
    return from_json(EvidenceState, json.loads(json.dumps(to_json(state))))


@pytest.mark.parametrize("seed", range(6))
def test_an_operator_that_takes_over_says_what_the_other_would_have_said(seed: int) -> None:
    intervals = history(seed)
    told = play(POLICY, intervals)
    taken_over = engine.begin(POLICY)
    for one, expected in zip(intervals, told, strict=True):
        taken_over = stored(engine.update(POLICY, taken_over, one))
        assert taken_over == expected.state
        assert judged(POLICY, taken_over, one.at) == expected.judgement


def test_the_state_stays_small() -> None:
    intervals = history(1, checks=40, size=1_234_567)
    last = play(POLICY, [replace(one, at=86_400.0 * 30 + one.at) for one in intervals])[-1].state
    assert len(json.dumps(to_json(last))) < 4096


def test_long_names_of_classes_in_any_script_fit_the_fields() -> None:
    """The server declares 20 names of 40 characters at most; the definition holds 2,048 and 8,192 of them."""
    seen = tuple((f"{'ж' * 38}{n:02}", 4.0) for n in range(20))
    learning = Shift().after(1.0, (), seen).state
    learned = Shift().after(1.0, (), seen).after(1.0, (), seen).state
    assert 0 < len(learning.first) < 8192
    assert 0 < len(learned.bins) < 500


def test_the_state_holds_no_floats() -> None:
    def scalars(value: object) -> list[object]:
        if isinstance(value, dict):
            return [scalar for item in value.values() for scalar in scalars(item)]
        if isinstance(value, list):
            return [scalar for item in value for scalar in scalars(item)]
        return [value]

    told = to_json(play(POLICY, history(2))[-1].state)
    assert {type(scalar) for scalar in scalars(told)} == {int, str}


def test_the_state_counts_checks_seconds_and_requests() -> None:
    states = [one.state for one in play(POLICY, history(3))]
    assert [state.checks for state in states] == list(range(1, 30))
    assert states[-1].seconds == 290
    assert all(one.candidate_requests <= two.candidate_requests for one, two in pairwise(states))
    assert len(states[-1].rows) == 6


def test_fractions_of_requests_add_up() -> None:
    arm = Arm(requests=0.4)
    intervals = [Interval(at=10.0 * index, candidate=arm, stable=arm) for index in range(1, 26)]
    assert play(POLICY, intervals)[-1].state.candidate_requests == 10


def test_no_state_is_a_beginning() -> None:
    assert engine.read(POLICY, EvidenceState()) == engine.read(POLICY, stored(engine.begin(POLICY)))


def test_a_state_of_another_format_begins_anew() -> None:
    state = stored(play(POLICY, history(0))[-1].state)
    assert engine.read(POLICY, replace(state, format=99)) == engine.read(POLICY, EvidenceState())


TEXTS = [
    field.name for field in fields(EvidenceState) if field.name in {"errors", "client_errors", "latency", "predictions"}
]
DAMAGE = st.sampled_from(
    [
        "",
        "nan",
        "1 2 3",
        "-5 1",
        "1e999",
        "0 0 0 0 0 0 0",
        "-1 -1 -1 -1",
        "7:",
        "x:1",
        "99:1",
        "3:-1",
        "[]",
        "[1]",
        '["a"]',
        '["a","a"]',
        '[["a",1]]',
        "[" * 2000,
    ]
)


@given(data=st.data())
def test_a_damaged_state_never_wedges(data: st.DataObject) -> None:
    state = stored(play(POLICY, history(0, checks=4))[-1].state)
    gate = data.draw(st.sampled_from(TEXTS))
    part = getattr(state, gate)
    name = data.draw(st.sampled_from([field.name for field in fields(part)]))
    damage = data.draw(DAMAGE)
    broken = (damage,) * 3 if isinstance(getattr(part, name), tuple) else damage
    state = replace(state, **{gate: replace(part, **{name: broken})})
    for one in history(5, checks=4):
        state = stored(engine.update(POLICY, state, one))
        judged(POLICY, state, one.at)


@given(rows=st.lists(st.text(max_size=20), max_size=6))
def test_damaged_rows_never_wedge(rows: list[str]) -> None:
    state = replace(stored(play(POLICY, history(0, checks=4))[-1].state), rows=tuple(rows))
    engine.observed_share(state)
    judged(POLICY, engine.update(POLICY, state, history(5, checks=2)[0]), 10)


def test_gates_may_be_switched_on_and_off_on_the_way() -> None:
    intervals = history(1)
    state = play(POLICY, intervals[:10])[-1].state
    narrow = replace(POLICY, max_latency_ratio=None, client_errors=False)
    state = play(narrow, intervals[10:15], state)[-1].state
    last = play(POLICY, intervals[15:], state)[-1]
    assert last.state.checks == len(intervals)
    assert {key.partition(".")[0] for key in last.judgement.log_e} == {
        "errorRate",
        "clientErrors",
        "latency",
        "predictionShift",
    }
