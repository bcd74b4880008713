"""spec.rollout and spec.analysis: how a new version gets the traffic, and on what evidence."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any, TypeVar

from headgate_operator.api.durations import format_duration
from headgate_operator.api.metrics import metric_to_dict, parse_metrics
from headgate_operator.api.reader import Reader
from headgate_operator.api.spec import (
    AnalysisSpec,
    Approval,
    Capacity,
    ErrorRateSpec,
    OnFailure,
    OnInconclusive,
    PredictionShift,
    RolloutSpec,
    Source,
    Step,
    Strategy,
    Unachievable,
)

_DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?", re.ASCII)
_URL = re.compile(r"https?://\S+")
_LONGEST_URL = 1024
_MOST_STEPS = 20
_WHOLE, _MOST_SHARED = 100, 50
Word = TypeVar("Word", bound=StrEnum)


def parse_rollout(rollout: Reader) -> RolloutSpec:
    blue_green = rollout.object("blueGreen")
    return RolloutSpec(
        strategy=_word(rollout, "strategy", Strategy),
        steps=_steps(rollout),
        min_duration=blue_green.duration("minDuration"),
        approval=_word(blue_green, "approval", Approval),
        max_duration=rollout.duration("maxDuration"),
        on_inconclusive=_word(rollout, "onInconclusive", OnInconclusive),
        on_failure=_word(rollout, "onFailure", OnFailure),
        capacity=_word(rollout, "capacity", Capacity),
        unachievable_weight=_word(rollout, "unachievableWeight", Unachievable),
        progress_deadline=rollout.duration("progressDeadline"),
        keep_warm=rollout.duration("keepWarm"),
        history_limit=rollout.integer("historyLimit", low=1, high=100),
    )


def _word(reader: Reader, name: str, words: type[Word]) -> Word | None:
    said = reader.text(name)
    if said is not None and said not in set(words):
        raise reader.error(name, f"must be one of {', '.join(words)}")
    return None if said is None else words(said)


def _steps(rollout: Reader) -> tuple[Step, ...]:
    readers = rollout.objects("steps")
    steps = tuple(map(_step, readers))
    if len(steps) > _MOST_STEPS:
        raise rollout.error("steps", f"has more than {_MOST_STEPS} steps")
    if any(later.weight <= earlier.weight for earlier, later in pairwise(steps)):
        raise rollout.error("steps", "weights must grow from step to step, like 10, 25, 50")
    return steps


def _step(step: Reader) -> Step:
    weight = step.integer("weight", low=1, high=_WHOLE)
    if weight is None or _MOST_SHARED < weight < _WHOLE:
        raise step.error("weight", f"must be from 1 to {_MOST_SHARED}, or {_WHOLE} for the switch")
    duration = step.duration("minDuration")
    if duration is not None and weight == _WHOLE:
        raise step.error("minDuration", "weight 100 is the switch itself: give minDuration to the step before it")
    return Step(
        weight=weight,
        min_duration=duration or timedelta(0),
        approval=_word(step, "approval", Approval) or Approval.AUTO,
    )


def parse_analysis(analysis: Reader) -> AnalysisSpec:
    errors = analysis.object("errorRate")
    return AnalysisSpec(
        source=_word(analysis, "source", Source),
        prometheus_url=_url(analysis.object("prometheus")),
        metrics=parse_metrics(analysis),
        error_rate=ErrorRateSpec(
            max_increase=_decimal(errors, "maxIncrease", 0, 1),
            min_effect=_decimal(errors, "minEffect", 0, 1),
            min_ratio=_decimal(errors, "minRatio", 1, 100),
            max=_decimal(errors, "max", 0, 1),
        ),
        latency_max_ratio=_decimal(analysis.object("latency"), "maxRatio", 1, 100),
        prediction_shift=_word(analysis, "predictionShift", PredictionShift),
        interval=_at_least_a_second(analysis, "interval"),
        min_duration=analysis.duration("minDuration"),
        min_requests=analysis.integer("minRequests", low=0, high=10**9),
        false_rollback=_decimal(analysis, "falseRollback", 0, 0.5),
        false_promote=_decimal(analysis, "falsePromote", 0, 0.5),
    )


def _url(prometheus: Reader) -> str | None:
    url = prometheus.text("url")
    if url is not None and (not _URL.fullmatch(url) or len(url) > _LONGEST_URL):
        raise prometheus.error("url", f"must begin with http:// or https:// and have at most {_LONGEST_URL} characters")
    return url


def _at_least_a_second(reader: Reader, name: str) -> timedelta | None:
    value = reader.duration(name)
    if value is not None and value < timedelta(seconds=1):
        raise reader.error(name, "must be 1s or longer")
    return value


def _decimal(reader: Reader, name: str, low: float, high: float) -> float | None:
    """Text, as floats are not kept as they were written. Bounds that are 0 or 1 are for shares, and excluded."""
    text = reader.text(name)
    if text is None:
        return None
    value = float(text) if _DECIMAL.fullmatch(text) else -1.0
    outside = value <= 0 or value < low or value > high or (low == 0 and value >= 1)
    if outside:
        raise reader.error(name, f'must be a decimal in quotes, from {low} to {high}, like "{(low + high) / 2:g}"')
    return value


def rollout_to_dict(rollout: RolloutSpec) -> dict[str, Any]:
    return {
        "strategy": _text(rollout.strategy),
        "steps": [_step_to_dict(step) for step in rollout.steps],
        "blueGreen": {"minDuration": _duration(rollout.min_duration), "approval": _text(rollout.approval)},
        "maxDuration": _duration(rollout.max_duration),
        "onInconclusive": _text(rollout.on_inconclusive),
        "onFailure": _text(rollout.on_failure),
        "capacity": _text(rollout.capacity),
        "unachievableWeight": _text(rollout.unachievable_weight),
        "progressDeadline": _duration(rollout.progress_deadline),
        "keepWarm": _duration(rollout.keep_warm),
        "historyLimit": rollout.history_limit,
    }


def _step_to_dict(step: Step) -> dict[str, Any]:
    duration = {"minDuration": format_duration(step.min_duration)} if step.min_duration else {}
    return {"weight": step.weight, **duration, "approval": str(step.approval)}


def analysis_to_dict(analysis: AnalysisSpec) -> dict[str, Any]:
    errors = analysis.error_rate
    return {
        "source": _text(analysis.source),
        "prometheus": {"url": analysis.prometheus_url},
        "metrics": [metric_to_dict(metric) for metric in analysis.metrics],
        "errorRate": {
            "maxIncrease": _number(errors.max_increase),
            "minEffect": _number(errors.min_effect),
            "minRatio": _number(errors.min_ratio),
            "max": _number(errors.max),
        },
        "latency": {"maxRatio": _number(analysis.latency_max_ratio)},
        "predictionShift": _text(analysis.prediction_shift),
        "interval": _duration(analysis.interval),
        "minDuration": _duration(analysis.min_duration),
        "minRequests": analysis.min_requests,
        "falseRollback": _number(analysis.false_rollback),
        "falsePromote": _number(analysis.false_promote),
    }


def _text(word: StrEnum | None) -> str | None:
    return None if word is None else str(word)


def _duration(value: timedelta | None) -> str | None:
    return None if value is None else format_duration(value)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.9f}".rstrip("0").rstrip(".")
