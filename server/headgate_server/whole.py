"""What is told of a server as a whole, whichever process is asked: by probes, /counters and /metrics.

This is a server of one process; one of several workers adds up what they all say (`together`).
"""

import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.registry import Collector

from headgate_server.counts import Counts
from headgate_server.predictor import Predictor
from headgate_server.state import NotReady, State


class Whole:
    """One process is all there is."""

    def __init__(self, state: State, counts: Counts, predictor: Predictor, open_connections: Callable[[], int]) -> None:
        self.state = state
        self._counts = counts
        self._predictor = predictor
        self._open_connections = open_connections

    @property
    def uptime(self) -> float:
        return time.monotonic() - self.state.started

    @property
    def not_ready(self) -> NotReady | None:
        return self.state.not_ready

    @property
    def draining(self) -> bool:
        return self.state.draining

    @property
    def serves(self) -> bool:
        """Whether the model may answer, draining or not."""
        return self.state.loaded is not None

    @property
    def hung(self) -> bool:
        """Whether only a new process helps."""
        return self._predictor.hung

    @property
    def in_flight(self) -> int:
        return self.state.in_flight

    @property
    def open_connections(self) -> int:
        return self._open_connections()

    @property
    def waiting(self) -> int:
        return self._predictor.waiting

    @property
    def last_request_age(self) -> float | None:
        return self.state.last_request_age

    @property
    def load_seconds(self) -> float:
        return self.state.loaded.load_seconds if self.state.loaded else 0.0

    def counts(self) -> Counts:
        return self._counts

    def batches(self) -> Sequence[int]:
        """Calls of the model by rows, and the rows of them all at the end."""
        return self._predictor.calls.rows

    def processes(self) -> Collector:
        return ProcessCollector(registry=CollectorRegistry())
