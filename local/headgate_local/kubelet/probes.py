"""Probe specifications and their semantics: thresholds, periods, and startup before the other two.

Which check is made is resolved here (named ports, the pod's address); making it is the Runtime's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from headgate_local.controllers.objects import Obj
from headgate_local.kubelet.runtime import Check, Exec, HttpGet, ProbeOutcome, TcpSocket

_log = logging.getLogger(__name__)

STARTUP, READINESS, LIVENESS = "Startup", "Readiness", "Liveness"


@dataclass(frozen=True)
class Probe:
    check: Check
    initial_delay: float
    period: float
    timeout: float
    success_threshold: int
    failure_threshold: int
    grace: float | None = None


class ProbeError(Exception):
    """A probe that cannot be understood: an unknown port name, or a kind the plane does not have."""


def probe_of(container: Obj, field: str, pod_ip: str) -> Probe | None:
    spec = container.get(field)
    if not spec:
        return None
    grace = spec.get("terminationGracePeriodSeconds")
    return Probe(
        check=_check(spec, container, pod_ip),
        initial_delay=float(spec.get("initialDelaySeconds") or 0),
        period=float(spec.get("periodSeconds") or 10),
        timeout=float(spec.get("timeoutSeconds") or 1),
        success_threshold=int(spec.get("successThreshold") or 1),
        failure_threshold=int(spec.get("failureThreshold") or 3),
        grace=None if grace is None else float(grace),
    )


def _check(spec: Obj, container: Obj, pod_ip: str) -> Check:
    if "httpGet" in spec:
        http = spec["httpGet"]
        return HttpGet(
            host=http.get("host") or pod_ip,
            port=_port(http["port"], container),
            path=http.get("path") or "/",
            scheme=http.get("scheme") or "HTTP",
            headers=tuple((h["name"], h.get("value", "")) for h in http.get("httpHeaders") or []),
        )
    if "tcpSocket" in spec:
        return TcpSocket(host=spec["tcpSocket"].get("host") or pod_ip, port=_port(spec["tcpSocket"]["port"], container))
    if "exec" in spec:
        return Exec(command=tuple(spec["exec"].get("command") or ()))
    raise ProbeError("only httpGet, tcpSocket and exec probes exist in the local plane")


def _port(value: int | str, container: Obj) -> int:
    if isinstance(value, int):
        return value
    for port in container.get("ports") or []:
        if port.get("name") == value:
            return int(port["containerPort"])
    if value.isdigit():
        return int(value)
    raise ProbeError(f'no port of container {container["name"]} is called "{value}"')


class Health:
    """The probes of one running container and what they have found so far."""

    def __init__(
        self,
        probes: dict[str, Probe],
        *,
        ask: Callable[[Check, float], Awaitable[ProbeOutcome]],
        changed: Callable[[], None],
        failed: Callable[[str, str], None],
    ) -> None:
        self._probes, self._ask, self._changed, self._failed = probes, ask, changed, failed
        self._startup_passed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._began = 0.0
        self.started = STARTUP not in probes
        self._readiness = False
        self.unhealthy: str | None = None
        self.kill_grace: float | None = None

    @property
    def ready(self) -> bool:
        return self.started and (READINESS not in self._probes or self._readiness)

    def start(self) -> None:
        self._began = asyncio.get_running_loop().time()
        if self.started:
            self._startup_passed.set()
        for kind, probe in self._probes.items():
            task = asyncio.create_task(self._run(kind, probe), name=f"{kind.lower()} probe")
            task.add_done_callback(_report)
            self._tasks[kind] = task

    def stop(self, *, keep_readiness: bool = False) -> None:
        """A terminating container is no longer restarted, but its readiness is still asked and told."""
        for kind, task in self._tasks.items():
            if not (keep_readiness and kind == READINESS):
                task.cancel()

    async def _run(self, kind: str, probe: Probe) -> None:
        loop = asyncio.get_running_loop()
        if kind != STARTUP:
            await self._startup_passed.wait()
        await asyncio.sleep(max(0.0, self._began + probe.initial_delay - loop.time()))
        due = loop.time()
        last, count = None, 0
        while True:
            outcome = await self._ask(probe.check, probe.timeout)
            count = count + 1 if outcome.success == last else 1
            last = outcome.success
            if not outcome.success:
                self._note_failure(kind, outcome.message, count)
            if count >= (probe.success_threshold if outcome.success else probe.failure_threshold):
                self._conclude(kind, probe, outcome)
                if kind == STARTUP or (kind == LIVENESS and not outcome.success):
                    return
            # Periods are counted from the first probe; a slow answer delays the next one, it does not cause a burst.
            due = max(due + probe.period, loop.time())
            await asyncio.sleep(due - loop.time())

    def _note_failure(self, kind: str, message: str, count: int) -> None:
        # Told at the 1st, 2nd, 4th, 8th... failure in a row: a model that loads for minutes is not a flood of Events.
        if count & (count - 1) == 0:
            self._failed(kind, message)

    def _conclude(self, kind: str, probe: Probe, outcome: ProbeOutcome) -> None:
        before = (self.ready, self.started, self.unhealthy)
        if kind == READINESS:
            self._readiness = outcome.success
        elif kind == STARTUP and outcome.success:
            self.started = True
            self._startup_passed.set()
        elif not outcome.success:
            self.unhealthy = f"failed {kind.lower()} probe"
            self.kill_grace = probe.grace
        if (self.ready, self.started, self.unhealthy) != before:
            self._changed()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception():
        _log.error("a probe stopped working", exc_info=task.exception())
