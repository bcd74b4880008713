"""The reference page lists every flag with its variable and every metric, and no others."""

import argparse
import re
from pathlib import Path

from prometheus_client.metrics_core import Metric

from headgate_operator import options
from headgate_operator.freshness import Freshness
from headgate_operator.metrics import Live, Metrics
from headgate_operator.ports import Event
from headgate_operator.workqueue import WorkQueue

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "operator.md").read_text(encoding="utf-8")


def flags() -> dict[str, argparse.Action]:
    found = {a.option_strings[-1]: a for a in options.parser({})._actions}
    return {flag: action for flag, action in found.items() if flag not in {"--help", "--version"}}


def test_the_page_lists_every_flag_and_its_variable() -> None:
    listed = re.findall(r"^\| `(--[a-z-]+)[^|]*\| `(HEADGATE_OPERATOR_[A-Z_]+)` \|", PAGE, re.MULTILINE)
    assert dict(listed) == {flag: options.PREFIX + action.dest.upper() for flag, action in flags().items()}


def test_the_page_tells_the_defaults() -> None:
    rows = dict(re.findall(r"^\| `(--[a-z-]+)[^|]*\|[^|]*\| ([^|]*) \|", PAGE, re.MULTILINE))
    for flag, action in flags().items():
        match action.default:
            case float(seconds):
                assert rows[flag] == (f"`{seconds:.0f}s`" if seconds < 60 else f"`{seconds / 60:.0f}m`")
            case int(number) if action.nargs != 0:
                assert rows[flag] == f"`{number}`"
            case str(text) if flag != "--server-image":
                assert rows[flag] == f"`{text}`"


class Registry:
    def ages(self) -> "list[tuple[str, float | None]]":
        return [("http://mlflow", 1.0)]


class Alone:
    def may_write(self) -> bool:
        return True


def test_the_page_lists_every_metric_and_its_labels() -> None:
    metrics = Metrics()
    metrics.passed("same", 0.1)
    metrics.decided(Event("Promoted", "x"))
    metrics.called("get", "Pod", 200)
    metrics.polled("http://mlflow", "ok", 0.1)
    metrics.scraped("ok")
    metrics.notified("slack", "sent")
    metrics.webhook("OnRollback", "delivered")
    metrics.ticked("both")
    metrics.looked("value")
    freshness = Freshness(["Pod"], clock=lambda: 1.0)
    freshness.heard("Pod", ("ns", "p"), "1")
    queue: WorkQueue[str] = WorkQueue(clock=lambda: 1.0)
    metrics.registry.register(Live(queue=queue, watching=freshness, registries=Registry(), leading=Alone()))  # type: ignore[arg-type]
    shown = {name(m): labels(m) for m in metrics.registry.collect()}
    rows = re.findall(r"^\| `([a-z_]+)` \| ([^|]*)\|", PAGE, re.MULTILINE)
    assert {metric: set(re.findall(r"`([a-z]+)`", told)) for metric, told in rows} == shown


def name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def labels(metric: Metric) -> set[str]:
    return {label for sample in metric.samples for label in sample.labels if label != "le"}
