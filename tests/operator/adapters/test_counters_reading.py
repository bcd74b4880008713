"""What /counters says is believed only where all of it is a server's own report, and is never too large to keep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_operator.core.observed import Answered, Counters, Traffic
from headgate_operator.counters import LARGEST, read

BOUNDS = [0.1, 0.2]
ROW = ["predict", 200, 6, [1, 2, 3]]
BODY: dict[str, Any] = {
    "start_id": "7f3a",
    "uptime_seconds": 12.5,
    "model": "iris",
    "version": "3",
    "revision": "0123456789",
    "ready": True,
    "draining": False,
    "in_flight": 2,
    "open_connections": 5,
    "last_request_age_seconds": 0.25,
    "bucket_upper_bounds_seconds": BOUNDS,
    "requests": [ROW, ["other", 404, 1, [1, 0, 0]]],
    "errors": [["not_found", 1]],
    "predictions": [[257, 2], ["setosa", 4]],
}


def traffic(**changed: Any) -> Traffic | None:
    told = read(BODY | changed)
    assert told is not None, "not even draining"
    return told.traffic


def test_all_of_a_servers_report_is_read() -> None:
    assert read(BODY) == Counters(
        in_flight=2,
        open_connections=5,
        last_request_age_seconds=0.25,
        traffic=Traffic(
            start_id="7f3a",
            revision="0123456789",
            version="3",
            bounds=(0.1, 0.2),
            rows=(Answered("predict", 200, 6, (1, 2, 3)), Answered("other", 404, 1, (1, 0, 0))),
            uptime_seconds=12.5,
            predictions=((257, 2), ("setosa", 4)),
        ),
    )


def test_a_server_that_is_too_old_to_tell_of_predictions_is_read_all_the_same() -> None:
    told = read({name: value for name, value in BODY.items() if name != "predictions"})
    assert told is not None
    assert told.traffic is not None
    assert told.traffic.predictions == ()


def test_a_server_that_has_answered_nothing_has_said_so() -> None:
    told = traffic(requests=[], last_request_age_seconds=None)
    assert told is not None
    assert told.rows == ()


def test_a_server_that_does_not_say_its_age_is_heard() -> None:
    told = traffic(uptime_seconds=None)
    assert told is not None
    assert told.uptime_seconds is None


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        "text",
        7,
        {"in_flight": 0},
        BODY | {"in_flight": "2"},
        BODY | {"in_flight": True},
        BODY | {"in_flight": -1},
        BODY | {"open_connections": 1.5},
        BODY | {"open_connections": 10**400},
        BODY | {"last_request_age_seconds": float("nan")},
        BODY | {"last_request_age_seconds": float("inf")},
        BODY | {"last_request_age_seconds": -1},
        BODY | {"last_request_age_seconds": 10**400},
    ],
)
def test_what_is_no_report_is_no_answer(body: Any) -> None:
    assert read(body) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"start_id": ""},
        {"start_id": 7},
        {"start_id": "x" * 129},
        {"revision": None},
        {"revision": ""},
        {"version": ["3"]},
        {"uptime_seconds": "12"},
        {"uptime_seconds": -1.0},
        {"uptime_seconds": float("inf")},
        {"bucket_upper_bounds_seconds": None},
        {"bucket_upper_bounds_seconds": []},
        {"bucket_upper_bounds_seconds": [0.2, 0.1]},
        {"bucket_upper_bounds_seconds": [0.1, 0.1]},
        {"bucket_upper_bounds_seconds": [0.0, 0.1]},
        {"bucket_upper_bounds_seconds": [0.1, float("inf")]},
        {"bucket_upper_bounds_seconds": [0.1, "0.2"]},
        {"bucket_upper_bounds_seconds": [0.1, 0.2, 0.3]},  # another number of buckets than the rows have
        {"bucket_upper_bounds_seconds": [n + 1.0 for n in range(129)]},
        {"requests": None},
        {"requests": {"predict": 1}},
        {"requests": [ROW, ROW]},
        {"requests": [["predict", code, 0, [0, 0, 0]] for code in range(200, 457)]},
        {"requests": [[*ROW, 1]]},
        {"requests": [ROW[:3]]},
        {"requests": ["row"]},
        {"requests": [["", 200, 0, [0, 0, 0]]]},
        {"requests": [["predict", "200", 0, [0, 0, 0]]]},
        {"requests": [["predict", 99, 0, [0, 0, 0]]]},
        {"requests": [["predict", 1000, 0, [0, 0, 0]]]},
        {"requests": [["predict", 200, -1, [0, 0, 0]]]},
        {"requests": [["predict", 200, 1.0, [0, 0, 0]]]},
        {"requests": [["predict", 200, True, [0, 0, 0]]]},
        {"requests": [["predict", 200, LARGEST + 1, [0, 0, 0]]]},
        {"requests": [["predict", 200, 1, [0, 0]]]},
        {"requests": [["predict", 200, 1, [0, 0, 0, 0]]]},
        {"requests": [["predict", 200, 1, [0, 0, -1]]]},
        {"requests": [["predict", 200, 1, [0, 0, None]]]},
        {"predictions": None},
        {"predictions": {"setosa": 4}},
        {"predictions": [["setosa", 4], ["setosa", 1]]},
        {"predictions": [["setosa", 4, 1]]},
        {"predictions": [["setosa"]]},
        {"predictions": ["ab"]},
        {"predictions": [["setosa", -1]]},
        {"predictions": [["setosa", 1.0]]},
        {"predictions": [["", 1]]},
        {"predictions": [["x" * 41, 1]]},
        {"predictions": [[769, 1]]},
        {"predictions": [[-769, 1]]},
        {"predictions": [[1.0, 1]]},
        {"predictions": [[True, 1]]},
        {"predictions": [[f"class {n}", 1] for n in range(81)]},
    ],
)
def test_counts_that_are_not_exactly_so_are_no_data_and_draining_goes_on(changed: dict[str, Any]) -> None:
    assert traffic(**changed) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_no_json_is_an_accident(body: Any) -> None:
    assert read(body) is None


@given(st.dictionaries(st.sampled_from(sorted(BODY)), JSON))
def test_no_field_is_an_accident(changed: dict[str, Any]) -> None:
    told = read(BODY | changed)
    if told is not None and told.traffic is not None:
        width = len(told.traffic.bounds) + 1
        assert all(row.count >= 0 and len(row.buckets) == width for row in told.traffic.rows)


def test_a_number_of_too_many_digits_is_no_answer() -> None:
    assert read(json.loads(json.dumps(BODY | {"in_flight": 10**300}))) is None
