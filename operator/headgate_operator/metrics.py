"""The operator's own numbers, for Prometheus. Named as controller-runtime names them where it has the same thing.

Gauges are read from the parts at each scrape, so they cannot go stale; a test compares every name with the docs.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headgate_operator import __version__
from headgate_operator.ports import Event

QUEUE = "modeldeployment"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Queue(Protocol):
    """The part of the work queue that is shown."""

    added_total: int
    retried_total: int

    def __len__(self) -> int: ...
    def oldest_seconds(self) -> float: ...
    def longest_held_seconds(self) -> float: ...


class Watching(Protocol):
    @property
    def kinds(self) -> tuple[str, ...]: ...
    def silent_seconds(self, kind: str) -> float | None: ...
    def behind_seconds(self, kind: str) -> float: ...
    def listed_total(self, kind: str) -> int: ...


class Registries(Protocol):
    def ages(self) -> Iterator[tuple[str, float | None]]: ...


class Leading(Protocol):
    def may_write(self) -> bool: ...


class Metrics:
    """What is counted as it happens. `registry` collects these and what `Live` reads."""

    def __init__(self) -> None:
        # Time stamps beside every counter double the page, and nobody reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._passes = Counter(
            "headgate_reconcile", "Passes over a ModelDeployment, by result", ["result"], registry=self.registry
        )
        self._pass_seconds = Histogram(
            "headgate_reconcile_seconds", "Seconds of one pass", buckets=SECONDS, registry=self.registry
        )
        self._decisions = Counter(
            "headgate_decisions", "Decisions and other transitions, by reason", ["reason"], registry=self.registry
        )
        self._requests = Counter(
            "rest_client_requests",
            "Requests to the Kubernetes API, by verb, kind and status (0 = no answer)",
            ["verb", "kind", "code"],
            registry=self.registry,
        )
        self._notifications = Counter(
            "headgate_notifications",
            "Notifications, by sink and result (sent, failed, dropped)",
            ["sink", "result"],
            registry=self.registry,
        )
        self._webhooks = Counter(
            "headgate_webhooks",
            "Webhooks of ModelDeployments that were asked, by when and result",
            ["when", "result"],
            registry=self.registry,
        )
        self._polls = Counter(
            "headgate_registry_polls",
            "Polls of model registries, by result (ok or the reason)",
            ["registry", "result"],
            registry=self.registry,
        )
        self._poll_seconds = Histogram(
            "headgate_registry_poll_seconds",
            "Seconds of one poll",
            ["registry"],
            buckets=SECONDS,
            registry=self.registry,
        )

        self._scrapes = Counter(
            "headgate_scrapes",
            "Pods asked for their counters, by result (ok, no_answer, unreadable)",
            ["result"],
            registry=self.registry,
        )
        self._ticks = Counter(
            "headgate_evidence_ticks",
            "Looks at the evidence of a canary, by what they gave (both, one_arm, no_data, anew)",
            ["result"],
            registry=self.registry,
        )

        self._looks = Counter(
            "headgate_metric_looks",
            "Looks at custom metrics, by what they gave (value, no_value, trouble)",
            ["result"],
            registry=self.registry,
        )

    def passed(self, result: str, seconds: float) -> None:
        self._passes.labels(result).inc()
        self._pass_seconds.observe(seconds)

    def decided(self, event: Event) -> None:
        self._decisions.labels(event.reason).inc()

    def called(self, verb: str, kind: str, status: int) -> None:
        self._requests.labels(verb, kind, str(status)).inc()

    def notified(self, sink: str, result: str) -> None:
        self._notifications.labels(sink, result).inc()

    def webhook(self, when: str, result: str) -> None:
        self._webhooks.labels(when, result).inc()

    def polled(self, uri: str, result: str, seconds: float) -> None:
        self._polls.labels(uri, result).inc()
        self._poll_seconds.labels(uri).observe(seconds)

    def scraped(self, result: str) -> None:
        self._scrapes.labels(result).inc()

    def ticked(self, result: str) -> None:
        self._ticks.labels(result).inc()

    def looked(self, result: str) -> None:
        self._looks.labels(result).inc()

    def exposition(self) -> bytes:
        return generate_latest(self.registry)


class Live(Collector):
    """Reads the parts when it is scraped."""

    def __init__(self, *, queue: Queue, watching: Watching, registries: Registries, leading: Leading) -> None:
        self._queue, self._watching, self._registries, self._leading = queue, watching, registries, leading

    def collect(self) -> Iterable[Metric]:
        yield _gauge("headgate_operator_info", "The version of this operator", [({"version": __version__}, 1)])
        held = 1 if self._leading.may_write() else 0
        yield _gauge("leader_election_master_status", "1 while this process leads", [({}, held)])
        yield from self._of_the_queue()
        yield from self._of_the_watch()
        known = [({"registry": uri}, age) for uri, age in self._registries.ages() if age is not None]
        yield _gauge("headgate_registry_age_seconds", "Since a followed registry last answered a poll", known)

    def _of_the_queue(self) -> Iterator[Metric]:
        q, label = self._queue, {"name": QUEUE}
        yield _gauge("workqueue_depth", "Deployments that wait for a look", [(label, len(q))])
        yield _gauge("workqueue_oldest_seconds", "How long the first of them has waited", [(label, q.oldest_seconds())])
        longest = q.longest_held_seconds()
        yield _gauge("workqueue_longest_running_processor_seconds", "The slowest pass under way", [(label, longest)])
        yield _counter("workqueue_adds", "Wake-ups that were queued", [(label, q.added_total)])
        yield _counter("workqueue_retries", "Passes that failed and back off", [(label, q.retried_total)])

    def _of_the_watch(self) -> Iterator[Metric]:
        w = self._watching
        silent = [({"kind": kind}, w.silent_seconds(kind)) for kind in w.kinds]
        heard = [(labels, seconds) for labels, seconds in silent if seconds is not None]
        yield _gauge("headgate_watch_silent_seconds", "Since the last event of a kind", heard)
        behind = [({"kind": kind}, w.behind_seconds(kind)) for kind in w.kinds]
        yield _gauge("headgate_watch_behind_seconds", "How long the watch has owed its oldest event", behind)
        listed = [({"kind": kind}, w.listed_total(kind)) for kind in w.kinds]
        yield _counter("headgate_watch_listed", "Objects that came by a list instead of the stream", listed)


Samples = Iterable[tuple[dict[str, str], float]]


def _gauge(name: str, documentation: str, samples: Samples) -> Metric:
    return _filled(GaugeMetricFamily(name, documentation), name, samples)


def _counter(name: str, documentation: str, samples: Samples) -> Metric:
    return _filled(CounterMetricFamily(name, documentation), f"{name}_total", samples)


def _filled(family: Metric, name: str, samples: Samples) -> Metric:
    for labels, value in samples:
        family.add_sample(name, labels, value)
    return family
