"""Gates of the user's own: a PromQL query with limits (`spec.analysis.metrics`). No statistics: the query is the claim.

What cannot be judged (no answer, no series, several, NaN) is waited for, and is never good or bad: a monitoring system
that is down neither promotes nor rolls back. A value is bad once it has been seen out of its limits for as long as
`for` says, from the first such look to the last; time in which nobody looked is not held against a version.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite

from headgate_operator.api.metrics import CustomMetric, MetricFailure
from headgate_operator.core.evidence import words
from headgate_operator.core.evidence.judgement import Judgement, Verdict

LOOKS = 3
"""Intervals that a look may be old, and that may pass between two looks of one run of bad values."""


def allows(metric: CustomMetric, number: float) -> bool:
    return (metric.min is None or number >= metric.min) and (metric.max is None or number <= metric.max)


def _limits(metric: CustomMetric) -> str:
    low = f"at least {metric.min:g}" if metric.min is not None else ""
    high = f"at most {metric.max:g}" if metric.max is not None else ""
    return " and ".join(filter(None, (low, high)))


# --- what one look gave ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    number: float


@dataclass(frozen=True, slots=True)
class NoValue:
    """Evidence of nothing, and why: in words that hold no part of an answer's body."""

    why: str


Reading = Value | NoValue


def reading_of(numbers: Iterable[float]) -> Reading:
    """Of all series of an answer."""
    found = list(numbers)
    if not found:
        return NoValue("the query finds no series")
    if len(found) > 1:
        return NoValue(f"the query finds {len(found)} series, and one is wanted: sum them up")
    return Value(found[0]) if isfinite(found[0]) else NoValue("the value is no number (a division by zero?)")


# --- what all looks gave ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Course:
    """Of one metric in one rollout; `bad_*` is the run of bad values that is under way."""

    reading: Reading = NoValue("nobody has looked yet")
    at: datetime | None = None
    bad_since: datetime | None = None
    bad_until: datetime | None = None


def followed(metric: CustomMetric, course: Course, reading: Reading, at: datetime, interval: float) -> Course:
    seen = replace(course, reading=reading, at=at)
    if isinstance(reading, NoValue):
        return seen
    if allows(metric, reading.number):
        return replace(seen, bad_since=None, bad_until=None)
    unbroken = course.bad_until is not None and timedelta(0) <= at - course.bad_until <= _patience(interval)
    return replace(seen, bad_since=course.bad_since if unbroken else at, bad_until=at)


class Standing(StrEnum):
    GOOD = "Good"
    SUSPECT = "Suspect"  # out of its limits, not yet for long enough
    BAD = "Bad"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    metric: CustomMetric
    standing: Standing
    message: str
    waits: str = ""  # the same without the value, which changes at every look: status is not written for that

    @property
    def verdict(self) -> Verdict:
        if self.metric.dry_run or self.standing is Standing.GOOD:
            return Verdict.PROMOTE
        failed = self.standing is Standing.BAD and self.metric.on_failure is MetricFailure.ROLLBACK
        return Verdict.ROLLBACK if failed else Verdict.WAIT

    @property
    def gate(self) -> str:
        return f"metrics/{self.metric.name}"


def found(metric: CustomMetric, course: Course, now: datetime, interval: float) -> Finding:
    if isinstance(course.reading, NoValue):
        return _unknown(metric, course.reading.why)
    if course.at is None or not timedelta(0) <= now - course.at <= _patience(interval):
        return _unknown(metric, "the last value is too old")
    told = f"{metric.name} is {course.reading.number:.4g}, and {_limits(metric)} is wanted"
    waits = f"metric {metric.name} must be {_limits(metric)}"
    if course.bad_since is None or course.bad_until is None:
        return Finding(metric, Standing.GOOD, told, waits)
    if course.bad_until - course.bad_since < metric.lasting:
        allowed = words.duration(metric.lasting.total_seconds())
        return Finding(metric, Standing.SUSPECT, f"{told}; it may be so for {allowed}", waits)
    return Finding(metric, Standing.BAD, told, waits)


def _unknown(metric: CustomMetric, why: str) -> Finding:
    return Finding(metric, Standing.UNKNOWN, f"{metric.name}: {why}", f"metric {metric.name}: {why}")


def with_metrics(judgement: Judgement, findings: Iterable[Finding]) -> Judgement:
    """Any gate rolls back; all have to promote. What the counts found against a version is told first."""
    if judgement.verdict is Verdict.ROLLBACK:
        return judgement
    ordered = sorted(findings, key=lambda finding: finding.verdict is not Verdict.ROLLBACK)
    decisive = next((finding for finding in ordered if finding.verdict is not Verdict.PROMOTE), None)
    if decisive is None:
        return judgement
    if decisive.verdict is Verdict.ROLLBACK:
        return replace(judgement, verdict=Verdict.ROLLBACK, gate=decisive.gate, reason=decisive.message, missing=None)
    if judgement.verdict is Verdict.WAIT:
        return judgement
    return replace(judgement, verdict=Verdict.WAIT, gate=decisive.gate, reason=decisive.message, missing=decisive.waits)


def _patience(interval: float) -> timedelta:
    return timedelta(seconds=LOOKS * interval)
