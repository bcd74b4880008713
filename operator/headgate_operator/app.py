"""The process: puts the parts together, leads or stands by, and ends in the right order.

Only a leader watches and works. When the lease is lost everything stops at once and the process exits, since its view
of the world may be another's past; on SIGTERM the workers stop first and the lease is given back last, so that a
standby never begins while a pass of ours is under way.
"""

import asyncio
import logging
import math
import platform
import signal
import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from headgate_operator import contract, health, kube
from headgate_operator.events import KubeEvents
from headgate_operator.feed import Feed
from headgate_operator.feeds.engines import OneArm, TwoArms
from headgate_operator.freshness import Freshness
from headgate_operator.gathering import Gathering
from headgate_operator.goldens import Goldens
from headgate_operator.kube import ClientTransport, Kube
from headgate_operator.lease import Elector, LeaseLostError
from headgate_operator.metric_looks import MetricLooks
from headgate_operator.metrics import Live, Metrics
from headgate_operator.monitoring import Monitoring
from headgate_operator.notify import Announced, Notifier, Sink, plain, slack
from headgate_operator.options import Options
from headgate_operator.ports import Key, KubeError, Obj, RefusedError
from headgate_operator.posting import Poster
from headgate_operator.prometheus import Prometheus
from headgate_operator.reconciler import Reconciler, Settings
from headgate_operator.registry import AllowList, Folder, RegistryDoor
from headgate_operator.scrape import PodProbe
from headgate_operator.watch import WATCHED, Connection, Watch, labels_for
from headgate_operator.webhooks import Hosts, Webhooks
from headgate_operator.work import Resync, Workers
from headgate_operator.workqueue import WorkQueue

log = logging.getLogger(__name__)

WORKERS = 4
STOP_SECONDS = 5.0  # for the passes under way, on SIGTERM
LOST_SECONDS = 2.0  # the same, once the lease is lost
LOOK_AGAIN_SECONDS = 5.0


class SystemClock:
    """See `ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Alone:
    """Stands in for the elector where only one process can run."""

    def may_write(self) -> bool:
        return True

    def write_seconds(self) -> float:
        return math.inf


def steady() -> float:
    """Seconds that also pass while the machine sleeps: a lease runs out meanwhile."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class App:
    """One life of the process. `stop` asks it to end."""

    def __init__(self, options: Options, transport: ClientTransport) -> None:
        self._options, self._transport = options, transport
        self._loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()
        self.health_port = options.health_port
        self.metrics = Metrics()
        self.identity = f"{platform.node()}_{uuid.uuid4().hex[:8]}"
        # The lease is written with or without it, so it has a door of its own.
        unfenced = Kube(transport, counted=self.metrics.called)
        self.elector = self._elector(unfenced) if options.leader_elect else None
        self.leading: Elector | Alone = self.elector or Alone()
        self.kube = Kube(transport, write_seconds=self.leading.write_seconds, counted=self.metrics.called)
        self.queue: WorkQueue[Key] = WorkQueue(clock=self._loop.time)
        self.freshness = Freshness(WATCHED, clock=self._loop.time)
        self.probe = PodProbe(scraped=self.metrics.scraped)
        self.goldens = Goldens(self.probe, wake=self.queue.add, clock=self._loop.time)
        self.registry = self._registry()
        self.poster = Poster(guarded=False)  # the administrator names these addresses
        self.notifier = self._notifier()
        self.asker = Poster(guarded=True)
        self.prometheus = Prometheus(
            AllowList(None, options.allow_prometheus, what="Prometheus", flag="--allow-prometheus")
        )
        self.metric_looks = MetricLooks(self.prometheus, now=SystemClock().now, told=self.metrics.looked)
        self.monitoring = Monitoring(self.prometheus, self.metric_looks)
        self.webhooks = Webhooks(
            self.asker,
            Hosts(options.allow_webhook),
            read_secret=self._secret,
            wake=self.queue.add,
            now=SystemClock().now,
            counted=self.metrics.webhook,
        )
        self.resync = Resync(
            self.kube,
            self.queue,
            self.freshness,
            namespaces=options.namespaces,
            labels_for=labels_for,
            interval=options.resync,
        )
        self._lag = health.Lag(self._loop.time)
        self._waiting = "the API server has not answered yet"
        self._working = False
        self.metrics.registry.register(
            Live(queue=self.queue, watching=self.freshness, registries=self.registry, leading=self.leading)
        )

    async def run(self) -> int:
        """The exit code: 0 after `stop`, 1 after anything that a new process may mend."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._transport.close)
            stack.push_async_callback(self.probe.close)
            stack.push_async_callback(self.goldens.close)
            stack.push_async_callback(self.poster.close)
            stack.push_async_callback(self.asker.close)
            stack.push_async_callback(self.webhooks.close)
            stack.push_async_callback(self.prometheus.close)
            stack.push_async_callback(self.metric_looks.close)
            served = health.serving(
                health.application(self._seen, self.metrics.exposition),
                self._options.health_host,
                self._options.health_port,
            )
            self.health_port = await stack.enter_async_context(served)
            log.info("started", extra={"identity": self.identity, "healthPort": self.health_port})
            lag = asyncio.create_task(self._lag.run(), name="lag")
            stack.callback(lag.cancel)
            if not await self._unless_stopped(self._wait_for_the_crd()):
                return 0
            if self.elector is not None and not await self._unless_stopped(self.elector.acquire()):
                return 0
            return await self._lead()

    # -- leading --------------------------------------------------------------------------------------------

    async def _lead(self) -> int:
        self._working = True
        workers = Workers(self.queue, self._reconciler(), clock=self._loop.time, passed=self.metrics.passed)
        busy = [asyncio.create_task(workers.run(), name=f"worker {n}") for n in range(WORKERS)]
        beside = [asyncio.create_task(part(), name=name) for name, part in self._parts()]
        stopping = asyncio.create_task(self.stop.wait(), name="stop")
        holding = [asyncio.create_task(self.elector.hold(), name="lease")] if self.elector else []
        try:
            done, _ = await asyncio.wait({*busy, *beside, *holding, stopping}, return_when=asyncio.FIRST_COMPLETED)
            ended = {task.get_name(): task.exception() for task in done - {stopping}}
            lost = any(isinstance(error, LeaseLostError) for error in ended.values())
            asked = not ended
            for name, error in ended.items():
                log.error("a part ended", exc_info=None if lost else error, extra={"part": name, "why": str(error)})
        finally:
            self._working = False
        # From here on nothing new is begun. The lease is still renewed until the last pass has ended.
        self.queue.close()
        await _end(beside, 0.0)
        await _end(busy, LOST_SECONDS if lost else STOP_SECONDS)
        await _end([*holding, stopping], 0.0)
        if self.elector is not None:
            await self.elector.release()
        log.info("stopped", extra={"asked": asked})
        return 0 if asked else 1

    def _parts(self) -> list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]:
        watch = Watch(
            connect=self._connection,
            namespaces=self._options.namespaces,
            wake=self.queue.add,
            relisted=self.resync.soon,
            freshness=self.freshness,
        )
        return [
            ("watch", watch.run),
            ("registry", self.registry.run),
            ("resync", self.resync.run),
            ("notify", self.notifier.run),
        ]

    def _reconciler(self) -> Reconciler:
        events = KubeEvents(
            self.kube,
            now=SystemClock().now,
            unique=lambda: uuid.uuid4().hex[:16],
            instance=self.identity,
            told=self.metrics.decided,
        )
        return Reconciler(
            kube=self.kube,
            registry=self.registry,
            probe=self.probe,
            goldens=self.goldens,
            webhooks=self.webhooks,
            evidence=Gathering(Feed(TwoArms(), told=self.metrics.ticked), Feed(OneArm(), told=self.metrics.ticked)),
            monitoring=self.monitoring,
            events=Announced(events, self.notifier),
            interests=self.registry,
            clock=SystemClock(),
            settings=Settings(server_image=self._options.server_image, resync=self._options.resync),
        )

    # -- parts ----------------------------------------------------------------------------------------------

    def catch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop.set)

    def _elector(self, leases: Kube) -> Elector:
        lease = Key(self._options.lease_namespace, self._options.lease_name)
        return Elector(leases, lease=lease, me=self.identity, clock=steady, now=SystemClock().now)

    def _registry(self) -> RegistryDoor:
        return RegistryDoor(
            AllowList(self._options.registry_uri, self._options.allow_registry),
            Folder(self._options.registry_credentials),
            read_secret=self._secret,
            wake=self.queue.add,
            interval=self._options.poll_interval,
            clock=self._loop.time,
            polled=lambda uri, poll: self.metrics.polled(uri, poll.result, poll.seconds),
        )

    def _notifier(self) -> Notifier:
        named = [("slack", self._options.notify_slack_url_file, slack), ("json", self._options.notify_url_file, plain)]
        return Notifier(
            [Sink(name, file, written) for name, file, written in named if file is not None],
            self.poster,
            now=SystemClock().now,
            unique=lambda: uuid.uuid4().hex,
            counted=self.metrics.notified,
        )

    async def _secret(self, namespace: str, name: str) -> Obj | None:
        return await self.kube.get("Secret", namespace, name)

    async def _connection(self) -> Connection:
        told = await self._transport.access()
        return Connection(
            server=told.server,
            ca_path=told.ca_path,
            insecure=not told.verify,
            certificate_path=told.cert_path,
            private_key_path=told.key_path,
            authorization=told.authorization,
        )

    async def _wait_for_the_crd(self) -> None:
        """kopf would take a kind that is missing at its start for one that never comes."""
        while True:
            waiting = await self._missing()
            if waiting != self._waiting and waiting:
                log.warning("waiting", extra={"why": waiting})
            self._waiting = waiting
            if not waiting:
                return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _missing(self) -> str:
        try:
            for namespace in self._options.namespaces or (None,):
                await self.kube.list(contract.KIND, namespace, {})
        except RefusedError as error:
            if error.status == 404:
                return "the cluster does not know ModelDeployments: kubectl apply -f crds/"
            return f"ModelDeployments cannot be listed: {error}"
        except KubeError as error:
            return f"the API server does not answer: {error}"
        return ""

    async def _unless_stopped(self, part: Coroutine[Any, Any, None]) -> bool:
        """False where `stop` came first."""
        task, stopping = asyncio.create_task(part), asyncio.create_task(self.stop.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finished = task.done()
        await _end([task, stopping], 0.0)
        if finished:
            task.result()
        return finished

    def _seen(self) -> health.Seen:
        kinds = self.freshness.kinds if self._working else ()
        return health.Seen(
            waiting=self._waiting or (self.elector.refused if self.elector is not None else ""),
            leading=self._working and self.leading.may_write(),
            loop_lag=self._lag.seconds(),
            longest_pass=self.queue.longest_held_seconds(),
            behind={kind: self.freshness.behind_seconds(kind) for kind in kinds},
            queue_depth=len(self.queue),
            queue_oldest=self.queue.oldest_seconds(),
            registries=dict(self.registry.ages()),
        )


async def _end(tasks: list[asyncio.Task[Any]], seconds: float) -> None:
    """Give them `seconds` to end by themselves, then cancel, and wait only so long for that."""
    if not tasks:
        return
    if seconds:
        await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=LOST_SECONDS)


async def run(options: Options) -> int:
    try:
        transport = await kube.connect(options.kubeconfig)
    except RefusedError as error:
        log.error("cannot start", extra={"why": str(error)})
        return 1
    app = App(options, transport)
    app.catch_signals()
    return await app.run()
