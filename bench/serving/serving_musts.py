"""The speed table of the server's design as numbers, and what a run says of each: met, missed or not measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serving_samples import Cell, Sample, ratio

V2, INVOCATIONS = "headgate-v2", "headgate-invocations"
ECHOES = {V2: "echo-v2", INVOCATIONS: "echo-invocations"}
SKLEARN_SERVERS = {
    "kserve": V2,
    "kserve-quiet": V2,
    "mlserver": V2,
    "mlflow": INVOCATIONS,
    "mlflow-tuned": INVOCATIONS,
    "bentoml": V2,
}


@dataclass(frozen=True)
class Goal:
    """At least (`least`) or at most so much of something that was measured."""

    what: str
    must: float
    aim: float | None
    value: float | None
    unit: str
    least: bool = True
    ceiling: float | None = None
    """What the bare echo reaches in the same rounds, without reading, model and answer."""

    def reached(self, bound: float) -> bool:
        return self.value is not None and (self.value >= bound if self.least else self.value <= bound)

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.aim is not None and self.reached(self.aim):
            return "met, aim too"
        if self.reached(self.must):
            return "met"
        echo = "" if self.ceiling is None else f"; the bare echo reaches {self.ceiling:.3g} {self.unit}"
        return f"**missed**{echo}"


@dataclass(frozen=True)
class Measured:
    """What is not a ratio of rates."""

    start_seconds: float | None = None
    rss_mib: float | None = None
    liveness_p99_ms: float | None = None


def goals(samples: Sequence[Sample], measured: Measured) -> list[Goal]:
    return [
        *_echo(samples, V2, "V2"),
        *_echo(samples, INVOCATIONS, "`/invocations`"),
        *_against(samples, V2, "kserve", "KServe, V2", 10, 20),
        *_against(samples, V2, "mlserver", "MLServer tuned, V2", 10, 20),
        *_against(samples, INVOCATIONS, "mlflow", "`mlflow models serve`", 25, 40),
        *_against(samples, INVOCATIONS, "mlflow-tuned", "`mlflow models serve` tuned", 8, 15),
        *_forest(samples, 1, 50),
        *_forest(samples, 100, 5),
        Goal("start to Ready, small ONNX on disk", 1.0, 0.6, measured.start_seconds, "s", least=False),
        Goal("memory after load (RSS), small ONNX", 120, 80, measured.rss_mib, "MiB", least=False),
        Goal("liveness p99 while the model is busy for 2 s", 50, 10, measured.liveness_p99_ms, "ms", least=False),
    ]


def _echo(samples: Sequence[Sample], ours: str, path: str) -> Iterable[Goal]:
    bounds = {1: (40, 60), 16: (40, 60), 64: (50, 75)}
    for connections, (must, aim) in bounds.items():
        found = ratio(samples, ours, ECHOES[ours], Cell("lr", 1, connections))
        value = None if found is None else 100 * found.median
        yield Goal(f"share of the bare ASGI echo, {path}, c = {connections}", must, aim, value, "%")


def _against(samples: Sequence[Sample], ours: str, other: str, title: str, must: float, aim: float) -> Iterable[Goal]:
    for connections in (16, 64):
        found = ratio(samples, ours, other, Cell("lr", 1, connections))
        yield Goal(f"against {title}, c = {connections}", must, aim, None if found is None else found.median, "x")


def _forest(samples: Sequence[Sample], rows: int, must: float) -> Iterable[Goal]:
    """At 16 and 64 connections as the peers above. With one, most of the time is the way there and back, which
    the echo has, too; that is told with what the echo reaches."""
    for other, ours in SKLEARN_SERVERS.items():
        for title, chosen in (("c = 16 and 64", (16, 64)), ("c = 1", (1,))):
            found = [(ratio(samples, ours, other, cell), cell) for cell in (Cell("rf", rows, c) for c in chosen)]
            value, cell = min(
                ((one.median, cell) for one, cell in found if one), key=lambda one: one[0], default=(None, None)
            )
            echoed = ratio(samples, ECHOES[ours], other, cell) if cell else None
            what = f"random forest, {rows} row{'s' if rows > 1 else ''}, against {other}, {title}"
            yield Goal(what, must, None, value, "x", ceiling=echoed.median if echoed else None)
