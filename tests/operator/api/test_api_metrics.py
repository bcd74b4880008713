"""spec.analysis.metrics: read whole or refused with the field and the reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from headgate_operator.api.errors import SpecError
from headgate_operator.api.metrics import CustomMetric, MetricFailure, filled, metric_to_dict, parse_metrics
from headgate_operator.api.reader import Reader

LEAST = {"name": "revenue", "query": "q", "min": "0.98"}


def parsed(*metrics: dict[str, Any]) -> tuple[CustomMetric, ...]:
    return parse_metrics(Reader({"metrics": list(metrics)}, "spec.analysis"))


def test_the_least_that_can_be_said() -> None:
    assert parsed() == ()
    assert parsed(LEAST) == (CustomMetric(name="revenue", query="q", min=0.98),)


def test_all_that_can_be_said_is_written_as_it_was_read() -> None:
    said = {
        "name": "revenue",
        "query": "a / b",
        "min": "-3",
        "max": "0.000000001",
        "for": "5m",
        "onFailure": "Rollback",
        "dryRun": True,
    }
    (metric,) = parsed(said)
    assert metric == CustomMetric(
        name="revenue",
        query="a / b",
        min=-3.0,
        max=1e-9,
        lasting=timedelta(minutes=5),
        on_failure=MetricFailure.ROLLBACK,
        dry_run=True,
    )
    assert metric_to_dict(metric) == said
    (least,) = parsed(LEAST)
    assert metric_to_dict(least) == {**LEAST, "onFailure": "Hold"}


@pytest.mark.parametrize(
    ("wrong", "path", "why"),
    [
        ({"name": None}, "name", "is required"),
        ({"name": "Revenue"}, "name", "lower-case"),
        ({"query": ""}, "query", "is required"),
        ({"query": "x" * 4097}, "query", "more than 4096"),
        ({"query": "a{r='${candidat}'}"}, "query", "${candidat} stands for nothing; there are ${candidate}, ${stable}"),
        ({"query": "${}"}, "query", "stands for nothing"),
        ({"min": None}, "min", "give min, max or both"),
        ({"min": 0.98}, "min", "a string"),
        ({"min": "1e3"}, "min", "decimal in quotes"),
        ({"min": "NaN"}, "min", "decimal in quotes"),
        ({"max": "0.97"}, "min", "above max"),
        ({"for": "yes"}, "for", "not a duration"),
        ({"for": "25h"}, "for", "24h"),
        ({"onFailure": "Ignore"}, "onFailure", "Hold, Rollback"),
        ({"dryRun": "true"}, "dryRun", "true or false"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(wrong: dict[str, Any], path: str, why: str) -> None:
    with pytest.raises(SpecError) as told:
        parsed({**LEAST, **wrong})
    assert f"spec.analysis.metrics[0].{path}" in str(told.value)
    assert why in str(told.value)


def test_each_has_a_name_of_its_own_and_there_are_not_many() -> None:
    for metrics in ([LEAST, LEAST], [{**LEAST, "name": f"m{n}"} for n in range(9)]):
        with pytest.raises(SpecError, match="at most 8, each with a name of its own"):
            parsed(*metrics)


def test_the_query_names_the_two_revisions_and_the_deployment() -> None:
    values = {"candidate": "bbbb", "stable": "aaaa", "namespace": "ml", "name": "iris"}
    query = 'a{revision="${candidate}"} / a{revision="${stable}"} * b{ns="${namespace}", n="${name}", x="$other"}'
    (metric,) = parsed({**LEAST, "query": query})
    assert filled(metric.query, values) == (
        'a{revision="bbbb"} / a{revision="aaaa"} * b{ns="ml", n="iris", x="$other"}'
    )
