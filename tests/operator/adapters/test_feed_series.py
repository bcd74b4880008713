"""Prometheus' series as the counts of one process each, or of nobody."""

from __future__ import annotations

from typing import Any

import pytest

from headgate_operator.core.evidence.policy import LADDER
from headgate_operator.core.observed import Answered, Pod, PodAddress, Traffic
from headgate_operator.feeds.series import Sample, query, traffic_by_pod

NOW = 1000.0
TARGET = {"instance": "10.0.0.1:8081", "job": "pods"}
WHO = {"model": "iris", "version": "4", "revision": "bbbb"}
POD = Pod(name="p", uid="uid-p", revision="bbbb", address=PodAddress("10.0.0.1", 8080, 8081), ready=True)


def serves(target: dict[str, str] = TARGET, **labels: str) -> Sample:
    return Sample({**target, **WHO, **labels, "__name__": "headgate_requests_in_flight"}, 0.0, NOW)


def began(value: float = 900.0, target: dict[str, str] = TARGET) -> Sample:
    return Sample({**target, "__name__": "process_start_time_seconds"}, value, NOW)


def count(value: float, code: str = "200", target: dict[str, str] = TARGET) -> Sample:
    return Sample({**target, "revision": "bbbb", "code": code}, value, NOW)


def bucket(le: str, value: float, code: str = "200", target: dict[str, str] = TARGET) -> Sample:
    return Sample({**target, "revision": "bbbb", "code": code, "le": le}, value, NOW)


def histogram(*cumulative: float, code: str = "200", target: dict[str, str] = TARGET) -> list[Sample]:
    return [bucket(le, value, code, target) for le, value in zip(("0.1", "0.2", "+Inf"), cumulative, strict=True)]


def one(*samples: Sample, pod: Pod = POD) -> Traffic | None:
    return traffic_by_pod(samples, "ml", [pod]).get(pod.uid)


WHOLE = [serves(), began(), count(6), *histogram(1, 3, 6), count(2, "500"), *histogram(0, 0, 2, code="500")]


def test_a_targets_series_are_one_process() -> None:
    assert one(*WHOLE) == Traffic(
        start_id="uid-p 900.0",
        revision="bbbb",
        version="4",
        bounds=(0.1, 0.2),
        rows=(Answered("all", 200, 6, (1, 2, 3)), Answered("all", 500, 2, (0, 0, 2))),
        uptime_seconds=100.0,
    )


def test_a_server_without_a_request_yet_is_heard() -> None:
    told = one(serves(), began())
    assert told is not None
    assert (told.rows, told.bounds) == ((), LADDER)


def test_a_restarted_container_is_another_process() -> None:
    first, second = one(*WHOLE), one(*[began(950.5) if sample == began() else sample for sample in WHOLE])
    assert first is not None
    assert second is not None
    assert first.start_id != second.start_id
    assert second.uptime_seconds == 49.5


def test_a_clock_of_a_node_that_is_ahead_makes_no_negative_age() -> None:
    told = one(serves(), began(1003.0))
    assert told is not None
    assert told.uptime_seconds == 0.0


@pytest.mark.parametrize(
    ("target", "known"),
    [
        ({"instance": "10.0.0.1:8081"}, True),
        ({"instance": "10.0.0.1:8080", "job": "x"}, True),
        ({"instance": "p", "pod": "p", "namespace": "ml"}, True),
        ({"instance": "p", "pod": "p", "namespace": "other"}, False),
        ({"instance": "p", "pod": "p"}, False),
        ({"instance": "10.0.0.2:8081"}, False),
        ({"instance": "10.0.0.1:9999"}, False),
    ],
)
def test_a_pod_is_found_by_its_address_or_by_the_labels_of_its_target(target: dict[str, str], known: bool) -> None:
    assert (one(serves(target), began(target=target)) is not None) is known


def test_a_pod_with_an_address_of_the_sixth_version_is_found() -> None:
    target = {"instance": "[fd00::1]:8081"}
    pod = Pod(name="p", uid="u", revision="bbbb", address=PodAddress("fd00::1", 8080, 8081), ready=True)
    assert one(serves(target), began(target=target), pod=pod) is not None


def test_a_process_that_is_scraped_twice_counts_once_and_always_by_the_same_target() -> None:
    other = {"instance": "10.0.0.1:8080", "job": "pods"}
    twice = [*WHOLE, serves(other), began(target=other), count(5, target=other), *histogram(1, 2, 5, target=other)]
    told = one(*twice)
    assert told is not None
    assert told == one(*reversed(twice))
    assert [row.count for row in told.rows] == [5]


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [serves()],
        [began()],
        [serves(), began(float("nan"))],
        [serves(), serves(version="3"), began()],
        [serves(), began(), count(6)],
        [serves(), began(), *histogram(1, 3, 6)],
        [serves(), began(), count(6.5), *histogram(1, 3, 6)],
        [serves(), began(), count(-1), *histogram(1, 3, 6)],
        [serves(), began(), count(float("nan")), *histogram(1, 3, 6)],
        [serves(), began(), count(1e300), *histogram(1, 3, 6)],
        [serves(), began(), count(6), *histogram(1, 3, 2)],
        [serves(), began(), count(6), *histogram(1, 3, float("inf"))],
        [serves(), began(), count(6), bucket("0.1", 6)],
        [serves(), began(), count(6), bucket("+Inf", 6)],
        [serves(), began(), count(6), bucket("x", 0), *histogram(1, 3, 6)],
        [serves(), began(), count(6, "OK"), *histogram(1, 3, 6, code="OK")],
        [*WHOLE, count(1, "400"), bucket("0.5", 1, "400"), bucket("+Inf", 1, "400")],
    ],
)
def test_what_cannot_be_is_nobodys(samples: list[Any]) -> None:
    assert one(*samples) is None


def test_one_strange_target_is_no_trouble_of_the_others() -> None:
    other = {"instance": "10.0.0.2:8081"}
    pod = Pod(name="q", uid="uid-q", revision="bbbb", address=PodAddress("10.0.0.2", 8080, 8081), ready=True)
    samples = [serves(), began(), count(6.5), serves(other), began(target=other)]
    assert set(traffic_by_pod(samples, "ml", [POD, pod])) == {"uid-q"}


def test_what_is_no_plain_name_gets_into_no_query() -> None:
    assert '"aaaa|bbbb"' in query(["bbbb", "aaaa"])
    assert "evil" not in query(['evil"} or up{x="'])
