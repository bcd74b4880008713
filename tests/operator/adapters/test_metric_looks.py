"""Custom metrics are asked beside the passes: a Prometheus that hangs holds up nobody, and decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from headgate_operator.api.metrics import CustomMetric
from headgate_operator.core.evidence.custom import Finding, Standing
from headgate_operator.feeds.series import Sample
from headgate_operator.metric_looks import AT_ONCE, AT_ONCE_OF_A_KEY, MetricLooks
from headgate_operator.ports import Key
from headgate_operator.prometheus import Answer, Trouble

pytestmark = pytest.mark.looptime
IRIS, ROSE = Key("ml", "iris"), Key("ml", "rose")
BEGAN = datetime.fromisoformat("2026-11-21T12:00:00+00:00")
VALUES = {"candidate": "bbbb", "stable": "aaaa", "namespace": "ml", "name": "iris"}
REVENUE = CustomMetric(name="revenue", query="revenue{revision='${candidate}'}", min=1.0, lasting=timedelta(seconds=20))


class FakePrometheus:
    """Answers after `seconds`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str]] = []
        self.answer: Answer = (Sample({}, 2.0),)
        self.seconds = 1.0
        self.under_way = self.most = 0

    async def instant(self, uri: str | None, promql: str) -> Answer:
        self.asked.append((uri, promql))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        if isinstance(self.answer, Trouble) or self.answer:
            return self.answer
        raise RuntimeError("defect")


class Lab:
    def __init__(self) -> None:
        self.prometheus, self.told = FakePrometheus(), list[str]()
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.looks = MetricLooks(
            self.prometheus, now=lambda: BEGAN + timedelta(seconds=loop.time() - began), told=self.told.append
        )

    def look(self, *metrics: CustomMetric, key: Key = IRIS, candidate: str = "bbbb") -> tuple[Finding, ...]:
        return self.looks.look(key, "http://p", metrics or (REVENUE,), VALUES | {"candidate": candidate}, 10.0)

    async def standing_after(self, seconds: float, *metrics: CustomMetric) -> Standing:
        await asyncio.sleep(seconds)
        return self.look(*metrics)[0].standing


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    lab = Lab()
    yield lab
    await lab.looks.close()


async def test_a_pass_is_answered_at_once_and_the_next_one_knows(lab: Lab) -> None:
    assert lab.look()[0].standing is Standing.UNKNOWN
    assert await lab.standing_after(2) is Standing.GOOD
    assert lab.prometheus.asked == [("http://p", "revenue{revision='bbbb'}")]
    assert lab.told == ["value"]


async def test_it_is_asked_once_an_interval_however_many_passes_there_are(lab: Lab) -> None:
    for _ in range(31):
        lab.look()
        await asyncio.sleep(1)
    assert len(lab.prometheus.asked) == 4


async def test_a_bad_value_counts_after_its_time(lab: Lab) -> None:
    lab.prometheus.answer = (Sample({}, 0.5),)
    lab.look()
    seen = [await lab.standing_after(10) for _ in range(4)]
    assert seen == [Standing.SUSPECT, Standing.SUSPECT, Standing.BAD, Standing.BAD]


async def test_each_change_is_one_line_of_the_log(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lab.look()
    for _ in range(3):
        await lab.standing_after(10)
    lab.prometheus.answer = (Sample({}, 0.5),)
    for _ in range(3):
        await lab.standing_after(10)
    told = [(record.message, vars(record)["standing"], vars(record)["why"]) for record in caplog.records]
    assert told == [
        ("custom metric", "Unknown", "revenue: nobody has looked yet"),
        ("custom metric", "Good", "revenue is 2, and at least 1 is wanted"),
        ("custom metric", "Suspect", "revenue is 0.5, and at least 1 is wanted; it may be so for 20 s"),
        ("custom metric", "Bad", "revenue is 0.5, and at least 1 is wanted"),
    ]


async def test_a_prometheus_that_is_in_trouble_is_told_in_its_words(lab: Lab) -> None:
    lab.prometheus.answer = Trouble("http://p does not answer in time")
    lab.look()
    await asyncio.sleep(2)
    (finding,) = lab.look()
    assert (finding.standing, finding.message) == (Standing.UNKNOWN, "revenue: http://p does not answer in time")
    assert lab.told == ["trouble"]


async def test_no_series_is_no_value(lab: Lab) -> None:
    lab.prometheus.answer = (Sample({}, float("nan")),)
    lab.look()
    assert await lab.standing_after(2) is Standing.UNKNOWN
    assert lab.told == ["no_value"]


async def test_a_query_that_hangs_is_asked_once_and_its_last_value_becomes_old(lab: Lab) -> None:
    lab.look()
    assert await lab.standing_after(2) is Standing.GOOD
    lab.prometheus.seconds = 1e6
    assert await lab.standing_after(10) is Standing.GOOD
    assert await lab.standing_after(40) is Standing.UNKNOWN
    assert len(lab.prometheus.asked) == 2


async def test_a_defect_leaves_nothing_unasked_for_ever(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.prometheus.answer = ()
    lab.look()
    await asyncio.sleep(2)
    assert "could not be read" in caplog.text
    lab.prometheus.answer = (Sample({}, 2.0),)
    lab.look()
    await lab.standing_after(10)
    assert await lab.standing_after(2) is Standing.GOOD


@pytest.mark.parametrize("change", [{"query": "other"}, {"min": 0.1}, {"lasting": timedelta(0)}])
async def test_a_metric_that_was_changed_begins_anew(lab: Lab, change: dict[str, object]) -> None:
    lab.look()
    assert await lab.standing_after(2) is Standing.GOOD
    assert await lab.standing_after(0, replace(REVENUE, **change)) is Standing.UNKNOWN  # type: ignore[arg-type]


async def test_another_candidate_begins_anew_and_the_answer_for_the_last_one_is_nobodys(lab: Lab) -> None:
    lab.look()
    lab.look(candidate="cccc")
    assert lab.look(candidate="cccc")[0].standing is Standing.UNKNOWN
    await asyncio.sleep(2)
    assert lab.told == ["value"]
    assert [query for _, query in lab.prometheus.asked][-1] == "revenue{revision='cccc'}"


async def test_many_queries_of_one_deployment_leave_room_for_others(lab: Lab) -> None:
    lab.look(*(replace(REVENUE, name=f"m{n}") for n in range(10)))
    await asyncio.sleep(0.5)
    assert lab.prometheus.most == AT_ONCE_OF_A_KEY
    lab.look(key=ROSE)
    await asyncio.sleep(0.1)
    assert lab.prometheus.under_way == AT_ONCE_OF_A_KEY + 1
    for n in range(20):
        lab.look(key=Key("ml", f"other-{n}"))
    await asyncio.sleep(0.1)
    assert lab.prometheus.most == AT_ONCE


async def test_what_is_forgotten_leaves_nothing(lab: Lab) -> None:
    lab.look()
    await asyncio.sleep(0.5)
    lab.looks.forget(IRIS)
    lab.looks.forget(ROSE)
    await asyncio.sleep(5)
    assert (lab.looks._following, lab.looks._turns_of, lab.looks._tasks) == ({}, {}, set())
    assert lab.told == []
