"""Custom metrics of a rollout, asked beside the passes: a Prometheus may take its time, and a worker must not.

A pass asks and is answered at once with what is known; a value that has become old counts as none. All of it may be
lost (a restart, another leader): then the time that a value has to be bad for begins anew, which harms nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from headgate_operator.api.metrics import CustomMetric, filled
from headgate_operator.core.evidence.custom import (
    Course,
    Finding,
    NoValue,
    Reading,
    Standing,
    followed,
    found,
    reading_of,
)
from headgate_operator.ports import Key
from headgate_operator.prometheus import Answer, Trouble

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Fewer than the door to Prometheus lets through: the counts, which passes wait for, always find room."""
AT_ONCE_OF_A_KEY = 2
"""One deployment with many slow queries leaves room for the others."""
CLOSEST = 0.9
"""Of an interval, between two looks: the ticks that ask are not quite even."""


class Asks(Protocol):
    """The part of `Prometheus` that is asked here."""

    async def instant(self, uri: str | None, promql: str) -> Answer: ...


@dataclass(frozen=True, slots=True)
class _Question:
    metric: CustomMetric
    uri: str | None
    promql: str


@dataclass(slots=True, eq=False)
class _Following:
    question: _Question
    course: Course = field(default_factory=Course)
    asked: datetime | None = None
    task: asyncio.Task[None] | None = None
    standing: Standing | None = None  # as it was logged last


class MetricLooks:
    def __init__(
        self,
        prometheus: Asks,
        *,
        now: Callable[[], datetime],
        told: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        """`told` is given the outcome of each look: value, no_value or trouble."""
        self._prometheus, self._now, self._told = prometheus, now, told
        self._following: dict[Key, dict[str, _Following]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._turns_of: dict[Key, asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def look(
        self,
        key: Key,
        uri: str | None,
        metrics: Iterable[CustomMetric],
        values: dict[str, str],
        interval: float,
    ) -> tuple[Finding, ...]:
        """What is known of each metric; each is asked again once an interval. Never waits."""
        before, now = self._following.get(key, {}), self._now()
        self._following[key] = after = {metric.name: _kept(before, metric, uri, values) for metric in metrics}
        for following in before.values():
            if following.task is not None and following not in after.values():
                following.task.cancel()
        for following in after.values():
            if following.task is None and _due(following, now, interval):
                self._ask(key, following, now, interval)
        return tuple(_told(key, one, found(one.question.metric, one.course, now, interval)) for one in after.values())

    def forget(self, key: Key) -> None:
        """The rollout is over, or the deployment gone."""
        for following in self._following.pop(key, {}).values():
            if following.task is not None:
                following.task.cancel()
        self._turns_of.pop(key, None)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ask(self, key: Key, following: _Following, now: datetime, interval: float) -> None:
        following.asked = now
        turns = self._turns_of.setdefault(key, asyncio.Semaphore(AT_ONCE_OF_A_KEY))
        task = asyncio.create_task(self._read(following, turns, interval), name=f"metric {key}")
        following.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, following: _Following, turns: asyncio.Semaphore, interval: float) -> None:
        question = following.question
        try:
            async with turns, self._turns:
                answer = await self._prometheus.instant(question.uri, question.promql)
            reading = _reading(answer)
            following.course = followed(question.metric, following.course, reading, self._now(), interval)
            self._told("trouble" if isinstance(answer, Trouble) else "value" if _is_value(reading) else "no_value")
        except Exception:  # it never raises; if it does, the metric must not be left unasked without a sign
            log.exception("a custom metric could not be read", extra={"metric": question.metric.name})
        finally:
            following.task = None


def _kept(
    before: Mapping[str, _Following], metric: CustomMetric, uri: str | None, values: dict[str, str]
) -> _Following:
    """A metric that is asked otherwise than before, or of another candidate, begins anew."""
    question = _Question(metric, uri, filled(metric.query, values))
    known = before.get(metric.name)
    return known if known is not None and known.question == question else _Following(question)


def _due(following: _Following, now: datetime, interval: float) -> bool:
    return following.asked is None or not timedelta(0) <= now - following.asked < timedelta(seconds=CLOSEST * interval)


def _told(key: Key, following: _Following, finding: Finding) -> Finding:
    """One line a change, with the value: status tells the standing alone."""
    if finding.standing is not following.standing:
        following.standing = finding.standing
        metric = {"metric": finding.metric.name, "dryRun": finding.metric.dry_run}
        told = {"deployment": str(key), **metric, "standing": str(finding.standing), "why": finding.message}
        log.info("custom metric", extra=told)
    return finding


def _reading(answer: Answer) -> Reading:
    return NoValue(answer.why) if isinstance(answer, Trouble) else reading_of(sample.value for sample in answer)


def _is_value(reading: Reading) -> bool:
    return not isinstance(reading, NoValue)
