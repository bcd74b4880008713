"""The same counts in Prometheus' words. The names are contract: dashboards, alerts and canaries read them."""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from headgate_server.calls import ROW_EDGES
from headgate_server.contract import BUCKET_UPPER_BOUNDS_SECONDS
from headgate_server.counts import Counts
from headgate_server.whole import Whole

WHO = ("model", "version", "revision")
EDGES = [*(repr(edge) for edge in BUCKET_UPPER_BOUNDS_SECONDS), "+Inf"]


class Metrics(Collector):
    """Makes every family at the moment of the scrape; nothing is kept twice."""

    def __init__(self, whole: Whole) -> None:
        self._whole = whole
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._registry.register(whole.processes())

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        whole, counts = self._whole, self._whole.counts()
        yield from self._requests(counts)
        yield from self._errors(counts)
        yield self._predictions(counts)
        yield self._gauge("headgate_requests_in_flight", "Requests under way.", whole.in_flight)
        yield self._gauge(
            "headgate_open_connections", "Open connections of the prediction port.", whole.open_connections
        )
        yield self._gauge("headgate_queue_length", "Requests that wait for the model.", whole.waiting)
        yield self._batches()
        yield from self._model()

    @property
    def _who(self) -> list[str]:
        state = self._whole.state
        return [state.model_name, state.model_version, state.config.revision]

    def _gauge(self, name: str, meaning: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, meaning, labels=WHO)
        family.add_metric(self._who, value)
        return family

    def _requests(self, counts: Counts) -> Iterator[Metric]:
        labels = (*WHO, "path", "code")
        total = CounterMetricFamily("headgate_requests", "Answered requests, operations paths left out.", labels=labels)
        duration = HistogramMetricFamily(
            "headgate_request_duration_seconds", "From the request's first byte to the answer's last.", labels=labels
        )
        for (group, code), row in sorted(counts.rows.items()):
            who = [*self._who, group, str(code)]
            total.add_metric(who, row.count)
            cumulative = zip(EDGES, accumulate(row.buckets), strict=True)
            duration.add_metric(who, [(edge, float(n)) for edge, n in cumulative], row.seconds)
        yield total
        yield duration

    def _errors(self, counts: Counts) -> Iterator[Metric]:
        errors = CounterMetricFamily("headgate_errors", "Requests that failed, by reason.", labels=(*WHO, "reason"))
        for kind, count in sorted(counts.errors.items()):
            errors.add_metric([*self._who, kind], count)
        yield errors
        violations = CounterMetricFamily(
            "headgate_schema_violations", "Requests whose input did not fit the signature.", labels=WHO
        )
        violations.add_metric(self._who, counts.schema_violations)
        yield violations

    def _predictions(self, counts: Counts) -> Metric:
        predictions = CounterMetricFamily(
            "headgate_predictions", "Answered requests by what was predicted.", labels=(*WHO, "prediction")
        )
        for prediction, count in counts.predictions.words():
            predictions.add_metric([*self._who, prediction], count)
        return predictions

    def _batches(self) -> Metric:
        *rows, rows_sum = self._whole.batches()
        family = HistogramMetricFamily(
            "headgate_batch_rows", "Rows in a call of the model, of all requests that shared it.", labels=WHO
        )
        edges = [*(str(edge) for edge in ROW_EDGES), "+Inf"]
        cumulative = zip(edges, accumulate(rows), strict=True)
        family.add_metric(self._who, [(edge, float(n)) for edge, n in cumulative], rows_sum)
        return family

    def _model(self) -> Iterator[Metric]:
        loaded = self._whole.state.loaded
        yield self._gauge("headgate_model_loaded", "1 when the model may answer.", 1 if self._whole.serves else 0)
        if loaded is None:
            return
        yield self._gauge("headgate_model_load_seconds", "Reading, loading and warming.", self._whole.load_seconds)
        about = GaugeMetricFamily(
            "headgate_model_info", "Always 1; what is served.", labels=(*WHO, "digest", "flavor", "runtime")
        )
        about.add_metric([*self._who, loaded.located.digest, loaded.described.flavor, loaded.model.runtime], 1)
        yield about
