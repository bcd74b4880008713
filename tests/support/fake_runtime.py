"""Containers that are only a script: for the plane in virtual time, and for the operator's tests on top of it.

A script says how a server of one revision (or model version, or image) behaves: how long it loads, how it fails, when
it crashes, how it drains. `readyz` and `counters` answer as that server would, by pod address.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from headgate_local.kubelet.runtime import (
    Check,
    Exit,
    HttpGet,
    ImageUnavailableError,
    Launch,
    LogOptions,
    LogsUnavailableError,
    PodRef,
    ProbeOutcome,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
REVISION_LABEL = "headgate.dev/revision"
VERSION_LABEL = "headgate.dev/model-version"
BUCKETS = [0.0001 * 1.25**i for i in range(57)]


def loop_clock() -> datetime:
    """The event loop's own clock as a date, real or virtual."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


@dataclass(frozen=True)
class Script:
    """How a server behaves, seconds counted from its start (or from SIGTERM, for `drain`)."""

    ready_after: float = 1.0
    never_ready: bool = False
    fails: str | None = None  # a reason of /readyz, told from `ready_after` on
    permanent: bool = True
    message: str = ""
    crash_after: float | None = None
    crash_code: int = 1
    crashes: int | None = None  # how many attempts crash; None = every one
    drain: float = 0.0
    ignores_term: bool = False
    live: bool = True
    digest: str | None = None
    golden: str = "passed"


@dataclass
class FakeContainer:
    """One running attempt; tests may set the load it reports."""

    id: str
    launch: Launch
    script: Script
    started: float
    terminating: float | None = None
    in_flight: int = 0
    open_connections: int = 0
    last_request_age_seconds: float | None = None
    requests: list[list[Any]] = field(default_factory=list)
    errors: list[list[Any]] = field(default_factory=list)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    @property
    def model(self) -> str:
        return self.launch.env.get("HEADGATE_MODEL_NAME", "model")

    @property
    def version(self) -> str:
        return self.launch.env.get("HEADGATE_MODEL_VERSION", self.launch.labels.get(VERSION_LABEL, ""))

    @property
    def revision(self) -> str:
        return self.launch.env.get("HEADGATE_REVISION", self.launch.labels.get(REVISION_LABEL, ""))

    @property
    def digest(self) -> str:
        return self.script.digest or "sha256:" + hashlib.sha256(f"{self.model}/{self.version}".encode()).hexdigest()


class FakeRuntime:
    """Implements the kubelet's Runtime. `script(key, ...)` is looked up by revision, model version, then image."""

    def __init__(self, default: Script | None = None) -> None:
        self.default = default or Script()
        self.containers: dict[str, FakeContainer] = {}
        self.launches: list[Launch] = []
        self.signals: list[tuple[float, str, str]] = []
        self.unavailable_images: set[str] = set()
        self._scripts: dict[str, Script] = {}
        self._ended: Callable[[str, Exit], None] = lambda _id, _exit: None
        self._numbers = 0

    def script(self, key: str, script: Script) -> None:
        """From the next start on; running containers keep theirs unless `rescript` is used."""
        self._scripts[key] = script

    def rescript(self, pod: str, script: Script) -> None:
        """Change what the running containers of one pod do, from now on."""
        for container in self.of_pod(pod):
            container.script = script

    def of_pod(self, name: str) -> list[FakeContainer]:
        return [c for c in self.containers.values() if c.launch.pod.name == name]

    def at(self, ip: str) -> FakeContainer | None:
        return next((c for c in self.containers.values() if c.launch.pod.ip == ip), None)

    # What a server would answer

    def readyz(self, ip: str) -> tuple[int, dict[str, Any]] | None:
        """Status and body of GET /readyz of the pod at this address; None = nothing listens there."""
        container = self.at(ip)
        return None if container is None else _readyz(container)

    def counters(self, ip: str) -> dict[str, Any] | None:
        container = self.at(ip)
        if container is None:
            return None
        return {
            "start_id": container.id,
            "uptime_seconds": asyncio.get_running_loop().time() - container.started,
            "model": container.model,
            "version": container.version,
            "revision": container.revision,
            "ready": _readyz(container)[0] == 200,
            "draining": container.terminating is not None,
            "in_flight": container.in_flight,
            "open_connections": container.open_connections,
            "last_request_age_seconds": container.last_request_age_seconds,
            "bucket_upper_bounds_seconds": BUCKETS,
            "requests": container.requests,
            "errors": container.errors,
        }

    # Accidents

    def crash(self, pod: str, code: int = 1) -> None:
        for container in self.of_pod(pod):
            self._end(container.id, Exit(code=code))

    # The Runtime

    def on_exit(self, callback: Callable[[str, Exit], None]) -> None:
        self._ended = callback

    def pull(self, image: str) -> None:
        if image in self.unavailable_images:
            raise ImageUnavailableError(f"{image}: not found")

    def materialise(self, pod: PodRef, volumes: Mapping[str, Mapping[str, bytes] | None]) -> Mapping[str, str]:
        return {name: f"/real/{pod.namespace}_{pod.name}/{name}" for name in volumes}

    def start(self, launch: Launch) -> str:
        self._numbers += 1
        loop = asyncio.get_running_loop()
        container = FakeContainer(f"fake://{self._numbers}", launch, self._script_for(launch), loop.time())
        self.containers[container.id] = container
        self.launches.append(launch)
        script = container.script
        if script.crash_after is not None and (script.crashes is None or launch.attempt < script.crashes):
            container.timers.append(
                loop.call_later(script.crash_after, self._end, container.id, Exit(code=script.crash_code))
            )
        return container.id

    def signal(self, container_id: str, *, kill: bool) -> None:
        container = self.containers.get(container_id)
        if container is None:
            return
        loop = asyncio.get_running_loop()
        self.signals.append((loop.time(), container.launch.pod.name, "KILL" if kill else "TERM"))
        if kill:
            loop.call_soon(self._end, container_id, Exit(code=137, signal=9))
        elif not container.script.ignores_term and container.terminating is None:
            container.terminating = loop.time()
            container.timers.append(loop.call_later(container.script.drain, self._end, container_id, Exit(code=0)))

    async def probe(self, container_id: str, check: Check, timeout: float) -> ProbeOutcome:
        container = self.containers.get(container_id)
        if container is None:
            return ProbeOutcome(success=False, message="connection refused")
        if isinstance(check, HttpGet) and check.path != "/livez":
            status, _ = _readyz(container)
            return ProbeOutcome(success=status == 200, message=f"HTTP probe failed with statuscode: {status}")
        return ProbeOutcome(success=container.script.live, message="no answer")

    def logs(self, pod: PodRef, container: str, attempt: int, options: LogOptions) -> AsyncIterator[bytes]:
        raise LogsUnavailableError("a scripted container writes no log")

    def remove(self, pod: PodRef) -> None:
        pass

    async def close(self) -> None:
        for container in list(self.containers.values()):
            self._end(container.id, Exit(code=137, signal=9))

    def _script_for(self, launch: Launch) -> Script:
        keys = (launch.labels.get(REVISION_LABEL), launch.labels.get(VERSION_LABEL), launch.image)
        return next((self._scripts[key] for key in keys if key in self._scripts), self.default)

    def _end(self, container_id: str, end: Exit) -> None:
        container = self.containers.pop(container_id, None)
        if container is not None:
            for timer in container.timers:
                timer.cancel()
            self._ended(container_id, end)


def _readyz(container: FakeContainer) -> tuple[int, dict[str, Any]]:
    script = container.script
    if container.terminating is not None:
        return 503, _unready("Draining", permanent=False, message="shutting down")
    age = asyncio.get_running_loop().time() - container.started
    if script.never_ready or age < script.ready_after:
        return 503, _unready("Loading", permanent=False, message="loading the model")
    if script.fails:
        return 503, _unready(script.fails, permanent=script.permanent, message=script.message)
    identity = {"model": container.model, "version": container.version, "revision": container.revision}
    return 200, {"ready": True, **identity, "digest": container.digest, "golden": script.golden}


def _unready(reason: str, *, permanent: bool, message: str) -> dict[str, Any]:
    return {"ready": False, "reason": reason, "permanent": permanent, "message": message}
