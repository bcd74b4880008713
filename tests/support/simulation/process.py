"""One operator process, put together as `app.App` does, but for what needs sockets: kopf, the health port, MLflow.

It competes for the Lease, works while it leads, and dies: by a crash at whatever it awaits, by losing the Lease, or in
order when it is told to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from fake_runtime import loop_clock
from headgate_operator.events import KubeEvents
from headgate_operator.feed import Feed
from headgate_operator.feeds.engines import OneArm, TwoArms
from headgate_operator.freshness import Freshness
from headgate_operator.gathering import Gathering
from headgate_operator.goldens import Goldens
from headgate_operator.kube import Kube
from headgate_operator.lease import Elector, LeaseLostError
from headgate_operator.ports import Interests, Key, Probe, Registry, Result
from headgate_operator.reconciler import Reconciler, Settings
from headgate_operator.webhooks import Hosts, Webhooks
from headgate_operator.work import Resync, Workers
from headgate_operator.workqueue import WorkQueue
from operator_world import NoMonitoring, Receiver
from simulation.wire import Wire

IMAGE = "ghcr.io/headgate/headgate-server:test"
LEASE = Key("ops", "headgate-operator")
WORKERS = 2


class Surroundings(Protocol):
    """What a process finds around it."""

    chance: random.Random
    probe: Probe
    registry: Registry
    interests: Interests
    receiver: Receiver

    def wire(self, process: str) -> Wire: ...
    def note(self, text: str) -> None: ...
    def began_pass(self, process: str) -> None: ...
    def ended_pass(self, process: str, result: Result) -> None: ...


class Wall:
    """A machine's clock, which may be wrong."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return loop_clock() + self.offset


class Watched:
    """The reconciler, with a word before and after each pass."""

    def __init__(self, reconciler: Reconciler, process: str, around: Surroundings) -> None:
        self._reconciler, self._process, self._around = reconciler, process, around

    async def reconcile(self, key: Key) -> Result:
        self._around.began_pass(self._process)
        result = await self._reconciler.reconcile(key)
        self._around.ended_pass(self._process, result)
        return result


class Process:
    def __init__(self, machine: str, wall: Wall, around: Surroundings, serial: int) -> None:
        loop = asyncio.get_running_loop()
        self.name = f"{machine}-{serial}"
        self.machine, self._around = machine, around
        self.wire = around.wire(self.name)
        self.elector = Elector(Kube(self.wire), lease=LEASE, me=self.name, clock=loop.time, now=wall.now)
        self.kube = Kube(self.wire, write_seconds=self.elector.write_seconds)
        self.queue: WorkQueue[Key] = WorkQueue(clock=loop.time, chance=around.chance.random)
        self.goldens = Goldens(around.probe, wake=self.queue.add, clock=loop.time)
        self.resync = Resync(
            self.kube,
            self.queue,
            Freshness(["ModelDeployment"], clock=loop.time),
            namespaces=(),
            labels_for=_no_labels,
            interval=300.0,
            chance=around.chance.random,
        )
        events = itertools.count(1)
        self.reconciler = Reconciler(
            kube=self.kube,
            registry=around.registry,
            probe=around.probe,
            goldens=self.goldens,
            webhooks=Webhooks(around.receiver, Hosts([]), read_secret=_no_secret, wake=self.queue.add, now=wall.now),
            evidence=Gathering(Feed(TwoArms()), Feed(OneArm())),
            monitoring=NoMonitoring(),
            events=KubeEvents(
                self.kube, now=wall.now, unique=lambda: f"{self.name}-{next(events)}", instance=self.name
            ),
            interests=around.interests,
            clock=wall,
            settings=Settings(server_image=IMAGE),
        )
        self.leads = False
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Ends when it has lost the Lease or was told to stop; cancelled, it is a crash."""
        stopping = asyncio.create_task(self.stop.wait())
        tasks: list[asyncio.Task[Any]] = [stopping, asyncio.create_task(self.elector.acquire())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self.stop.is_set():
                return
            self.leads = True
            self._around.note(f"{self.name} leads")
            loop = asyncio.get_running_loop()
            workers = Workers(
                self.queue, Watched(self.reconciler, self.name, self._around), clock=loop.time, passed=_ignore
            )
            busy = [asyncio.create_task(workers.run()) for _ in range(WORKERS)]
            self.resync.soon()
            beside = [asyncio.create_task(self.elector.hold()), asyncio.create_task(self.resync.run())]
            tasks += [*busy, *beside]
            await asyncio.wait([stopping, *busy, *beside], return_when=asyncio.FIRST_COMPLETED)
            lost = not self.stop.is_set()
            self.leads = False
            for task in busy + beside:
                if task.done() and not isinstance(task.exception(), LeaseLostError | None):
                    raise AssertionError("a part ended") from task.exception()
            self.queue.close()
            await asyncio.wait(busy, timeout=2.0 if lost else 5.0)
            await self._cancel(busy + beside)
            await self.elector.release()
            self._around.note(f"{self.name} ends: {'the lease is lost' if lost else 'as it was told'}")
        finally:
            self.leads = False
            self.queue.close()
            await self._cancel(tasks)
            await self.goldens.close()

    async def _cancel(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, LeaseLostError):
                await task


def _no_labels(_kind: str) -> Mapping[str, str]:
    return {}


async def _no_secret(_namespace: str, _name: str) -> dict[str, Any] | None:
    return None


def _ignore(_kind: str, _seconds: float) -> None:
    return
