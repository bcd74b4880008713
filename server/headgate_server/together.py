"""The whole of a server with several workers, as any of them tells it: each has its slot, and all read all slots."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headgate_server.block import (
    BEAT,
    IN_FLIGHT,
    LAST_REQUEST,
    OLDEST_CALL,
    OPEN_CONNECTIONS,
    TRIES,
    WAITING,
    Block,
    Slot,
)
from headgate_server.calls import ROW_EDGES
from headgate_server.counts import Counts
from headgate_server.predictor import HUNG_FACTOR, Predictor
from headgate_server.reasons import Reason
from headgate_server.shares import total
from headgate_server.state import NotReady, State
from headgate_server.whole import Whole

# A probe that is not answered for so long has a single process started anew; other workers would answer it.
STILL_SECONDS: Final = 30.0
NO_WORKER: Final = NotReady(Reason.LOADING, "a worker is being started")


class Together(Whole):
    """Ready when every worker is; numbers are sums."""

    def __init__(
        self,
        state: State,
        counts: Counts,
        predictor: Predictor,
        open_connections: Callable[[], int],
        block: Block,
    ) -> None:
        super().__init__(state, counts, predictor, open_connections)
        self._block = block

    @property
    def not_ready(self) -> NotReady | None:
        if self.draining:
            return NotReady(Reason.DRAINING, "the process is ending")
        waiting = [why for slot in self._block.slots if (why := _not_ready(slot)) is not None]
        # What does not pass by itself is what somebody has to know.
        return max(waiting, key=lambda why: why.reason.permanent, default=None)

    @property
    def draining(self) -> bool:
        return self._block.draining or self.state.draining

    @property
    def serves(self) -> bool:
        return all(_served_by(slot) for slot in self._block.slots)

    @property
    def served_by_another(self) -> bool:
        return any(_not_ready(slot) is None for slot in self._block.slots)

    @property
    def hung(self) -> bool:
        now, limit = time.monotonic(), HUNG_FACTOR * self.state.config.timeout
        for slot in self._block.slots:
            since = slot.moments[OLDEST_CALL]
            if since and now - since > limit:
                return True
            if _pid(slot) and now - slot.moments[BEAT] > max(limit, STILL_SECONDS):
                return True
        return False

    @property
    def in_flight(self) -> int:
        return self._sum(IN_FLIGHT)

    @property
    def open_connections(self) -> int:
        return self._sum(OPEN_CONNECTIONS)

    @property
    def waiting(self) -> int:
        return self._sum(WAITING)

    @property
    def last_request_age(self) -> float | None:
        last = max(slot.moments[LAST_REQUEST] for slot in self._block.slots)
        return max(0.0, time.monotonic() - last) if last else None

    @property
    def load_seconds(self) -> float:
        reports = [slot.report.read() or {} for slot in self._block.slots]
        return max(report.get("load_seconds") or 0.0 for report in reports)

    def counts(self) -> Counts:
        return total(self._block.slots)

    def batches(self) -> Sequence[int]:
        return [sum(slot.batches[at] for slot in self._block.slots) for at in range(len(ROW_EDGES) + 2)]

    def processes(self) -> Collector:
        return Processes(self._block)

    def _sum(self, gauge: int) -> int:
        return sum(slot.gauges[gauge] for slot in self._block.slots)


def _pid(slot: Slot) -> int:
    """0 = no worker has the slot at the moment."""
    life = slot.life.read()
    return int(life["pid"]) if life else 0


def _report(slot: Slot) -> dict[str, Any] | None:
    """What the slot's worker said last; None where that is not this worker's word."""
    report: dict[str, Any] | None = slot.report.read()
    return report if report is not None and report["pid"] == _pid(slot) else None


def _not_ready(slot: Slot) -> NotReady | None:
    report = _report(slot)
    if report is None:
        life = slot.life.read()
        return NotReady(Reason.LOADING, life["note"]) if life and life["note"] else NO_WORKER
    return NotReady(Reason(report["reason"]), report["message"]) if report["reason"] else None


def _served_by(slot: Slot) -> bool:
    report = _report(slot)
    return report is not None and report["load_seconds"] is not None


class Processes(Collector):
    """`process_*` of the parent and all workers together, those that ended included: its seconds never go back."""

    # Of each process, or of the first one.
    OWN: Final = ("process_max_fds", "process_start_time_seconds")

    def __init__(self, block: Block) -> None:
        self._block = block

    def collect(self) -> Iterable[Metric]:
        sums = _told_by(os.getppid())
        for slot in self._block.slots:
            spent, of_worker = _of(slot)
            for name, family in of_worker.items():
                mine = sums.get(name)
                if mine is None or name not in self.OWN:
                    sums[name] = _plus(family, _value(mine) if mine else 0.0)
            if "process_cpu_seconds" in sums:
                sums["process_cpu_seconds"] = _plus(sums["process_cpu_seconds"], spent)
        return sums.values()


def _of(slot: Slot) -> tuple[float, dict[str, Metric]]:
    """The seconds of the slot's former workers, and what the present one is told to use."""
    for _ in range(TRIES):
        life = slot.life.read() or {"pid": 0, "spent": 0.0}
        told = _told_by(life["pid"]) if life["pid"] else {}
        # One that has gone meanwhile is in `spent` by now: its parent writes that before it lets go of it.
        if told or not life["pid"]:
            return life["spent"], told
    return life["spent"], {}


def _told_by(pid: int) -> dict[str, Metric]:
    collector = ProcessCollector(pid=lambda: pid, registry=CollectorRegistry())
    return {family.name: family for family in collector.collect()}


def _value(family: Metric) -> float:
    return float(family.samples[0].value)


def _plus(family: Metric, more: float) -> Metric:
    kind = CounterMetricFamily if isinstance(family, CounterMetricFamily) else GaugeMetricFamily
    return kind(family.name, family.documentation, value=_value(family) + more)
