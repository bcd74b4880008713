"""spec.analysis.metrics: gates of the user's own, each a PromQL query with limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from headgate_operator.api.durations import format_duration
from headgate_operator.api.reader import Reader

MOST = 8
LONGEST_QUERY = 4096
LONGEST_LASTING = timedelta(hours=24)
VARIABLES = ("candidate", "stable", "namespace", "name")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)


class MetricFailure(StrEnum):
    HOLD = "Hold"
    ROLLBACK = "Rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomMetric:
    name: str
    query: str
    min: float | None = None
    max: float | None = None
    lasting: timedelta = timedelta(0)  # `for`
    on_failure: MetricFailure = MetricFailure.HOLD
    dry_run: bool = False


def filled(query: str, values: dict[str, str]) -> str:
    """`candidate` and `stable` are revisions, as in the label of the server's metrics. No value needs quoting."""
    return _VARIABLE.sub(lambda found: values[found[1]], query)


def parse_metrics(analysis: Reader) -> tuple[CustomMetric, ...]:
    metrics = tuple(map(_metric, analysis.objects("metrics")))
    names = [metric.name for metric in metrics]
    if len(metrics) > MOST or len(set(names)) < len(names):
        raise analysis.error("metrics", f"must be at most {MOST}, each with a name of its own")
    return metrics


def _metric(metric: Reader) -> CustomMetric:
    name, low, high = metric.required_text("name"), _decimal(metric, "min"), _decimal(metric, "max")
    if not _NAME.fullmatch(name):
        raise metric.error("name", "must be 1 to 63 lower-case letters, digits and -")
    if low is None and high is None:
        raise metric.error("min", "give min, max or both")
    if low is not None and high is not None and low > high:
        raise metric.error("min", "must not be above max")
    lasting = metric.duration("for") or timedelta(0)
    if lasting > LONGEST_LASTING:
        raise metric.error("for", "must be 24h or shorter")
    failure = metric.text("onFailure") or MetricFailure.HOLD
    if failure not in set(MetricFailure):
        raise metric.error("onFailure", f"must be one of {', '.join(MetricFailure)}")
    return CustomMetric(
        name=name,
        query=_query(metric),
        min=low,
        max=high,
        lasting=lasting,
        on_failure=MetricFailure(failure),
        dry_run=metric.flag("dryRun", default=False),
    )


def _query(metric: Reader) -> str:
    query = metric.required_text("query")
    if len(query) > LONGEST_QUERY:
        raise metric.error("query", f"has more than {LONGEST_QUERY} characters")
    for name in _VARIABLE.findall(query):
        if name not in VARIABLES:
            known = ", ".join(f"${{{one}}}" for one in VARIABLES)
            raise metric.error("query", f"${{{name}}} stands for nothing; there are {known}")
    return query


def _decimal(metric: Reader, name: str) -> float | None:
    """Text, as floats are not kept as they were written."""
    text = metric.text(name)
    if text is not None and not _DECIMAL.fullmatch(text):
        raise metric.error(name, 'must be a decimal in quotes, like "0.98"')
    return None if text is None else float(text)


def metric_to_dict(metric: CustomMetric) -> dict[str, Any]:
    more = {
        "min": None if metric.min is None else _text(metric.min),
        "max": None if metric.max is None else _text(metric.max),
        "for": format_duration(metric.lasting) if metric.lasting else None,
        "onFailure": str(metric.on_failure),
        "dryRun": metric.dry_run or None,
    }
    return {"name": metric.name, "query": metric.query, **{key: one for key, one in more.items() if one is not None}}


def _text(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")
