"""What this process is at the moment: why it is not ready, what it serves, what is under way.

Written by the loader, the connections and the shutdown, read by probes, counters and answers. All in one event
loop, so plain attributes do.
"""

import time
import uuid
from dataclasses import dataclass, field

from headgate_server.loading import Loaded
from headgate_server.reasons import LoadError, Reason
from headgate_server.settings import Settings


@dataclass(frozen=True)
class NotReady:
    reason: Reason
    message: str


@dataclass
class State:
    config: Settings
    started: float = field(default_factory=time.monotonic)
    start_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    loaded: Loaded | None = None
    waiting: NotReady = NotReady(Reason.LOADING, "the model is being loaded")
    draining: bool = False
    registry_reached: bool | None = None  # None = not asked yet, or not needed
    in_flight: int = 0
    last_request: float | None = None

    @property
    def model_name(self) -> str:
        return self.loaded.name if self.loaded else self.config.model_name

    @property
    def model_version(self) -> str:
        return self.loaded.version if self.loaded else self.config.model_version

    @property
    def not_ready(self) -> NotReady | None:
        if self.draining:
            return NotReady(Reason.DRAINING, "the process is ending")
        return None if self.loaded else self.waiting

    def serve(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.changed()

    def drain(self) -> None:
        self.draining = True
        self.changed()

    def step(self, reason: Reason, message: str) -> None:
        self.waiting = NotReady(reason, message)
        self.changed()

    def failed(self, error: LoadError) -> None:
        self.waiting = NotReady(error.reason, error.message)
        self.changed()

    def changed(self) -> None:
        """Whether this process is ready, or why not, may have changed: for the other workers."""

    def began(self, _group: str) -> None:
        self.in_flight += 1
        self.last_request = time.monotonic()

    def ended(self, _group: str) -> None:
        self.in_flight -= 1
        self.last_request = time.monotonic()

    @property
    def last_request_age(self) -> float | None:
        return None if self.last_request is None else time.monotonic() - self.last_request
