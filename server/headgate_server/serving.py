"""The process: two listeners, the model in the background, and an end that loses no request.

uvicorn closes its listeners at once on SIGTERM, while kube-proxy still sends new connections here for a moment. So
the signal is ours: readiness fails first, everything is still accepted and answered with `Connection: close` for the
drain delay, then the listeners close, clients get time to let go of idle connections, what is in flight is finished,
and the process ends with 0.
"""

import asyncio
import contextlib
import math
import signal
import socket
from asyncio.base_events import Server
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import uvicorn

from headgate_server import answering, connections, crowd, logs
from headgate_server.accepting import Accepting, Fair
from headgate_server.alone import Alone
from headgate_server.app import operations_app, prediction_app
from headgate_server.bringing_up import bring_up
from headgate_server.direct import Direct
from headgate_server.hot import Paths
from headgate_server.listening import BACKLOG
from headgate_server.loaders import threads
from headgate_server.predictor import Predictor
from headgate_server.registry.source import Source
from headgate_server.reloading import Reloader
from headgate_server.settings import Settings

# Clients are given so many drain delays more to let go of idle connections: 15 s, a common idle time of pools.
LEAVING_SHARE = 3
LOOK_SECONDS = 0.05


class Listener(uvicorn.Server):
    """A uvicorn server that leaves signals to the process."""

    def __init__(self, config: uvicorn.Config, fair: Fair | None = None) -> None:
        super().__init__(config)
        self.servers: list[Server] = []  # asked for before it serves
        self._fair = fair
        self._accepting: list[Accepting] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._fair is None or not sockets:
            await super().startup(sockets)
            return
        await self.lifespan.startup()
        self._accepting = [Accepting(listening, self._connection, self._fair) for listening in sockets]
        self.servers = cast("list[Server]", self._accepting)
        self.started = True

    def _connection(self) -> asyncio.Protocol:
        kind = self.config.http_protocol_class
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @property
    def open_connections(self) -> int:
        return len(self.server_state.connections) + sum(accepting.coming for accepting in self._accepting)


class Process:
    """One server process; `run` returns when it has drained."""

    def __init__(self, config: Settings, place: Alone | None = None) -> None:
        self._config = config
        self._place = place or Alone()
        self.state = self._place.state(config)
        counts = self._place.counts()
        self._predictor = Predictor(threads.of_worker(config), config, self._place.batches)
        self._loading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loading")
        self._source = Source(config)
        self._reloader = Reloader(self.state, self._source, self._loading)
        self._stop = asyncio.Event()
        self._now = asyncio.Event()
        # A request that outlives reading its body and its prediction is stuck, and cut.
        patience = math.ceil(2 * config.timeout) + 1
        room = crowd.most_connections()
        paths = Paths(answering.handlers(self.state, counts, self._predictor))
        direct = Direct(paths, self.state, counts)
        kind = connections.protocol(config.connection_max_age, config.timeout, room, self._place.connected, direct)
        self._http = _listener(kind, patience, self._place.fair)
        self._ops = _listener(connections.protocol(0, config.timeout), patience)
        whole = self._place.whole(self.state, counts, self._predictor, self._open_connections)
        self._http.config.app = prediction_app(self.state, counts, paths, self._reloader, whole)
        self._ops.config.app = operations_app(whole)

    async def run(self, http: socket.socket, ops: socket.socket) -> None:
        """Serve on the bound sockets until told to end."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.terminate)
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        try:
            async with asyncio.TaskGroup() as group:
                bringing = group.create_task(self._bring_up(), name="bring up")
                beating = group.create_task(self._place.beat(self._predictor), name="beat")
                serving = group.create_task(self._accept(http), name="http")
                group.create_task(self._ops.serve([ops]), name="ops")
                await self._drained()
                bringing.cancel()
                self._http.should_exit = True
                await asyncio.wait({serving})  # until the last answer is out
                self._ops.should_exit = True
                beating.cancel()
        finally:
            self._source.close()
            self._predictor.stop()
            self._loading.shutdown(wait=False, cancel_futures=True)
        logs.event("ended", in_flight=self.state.in_flight)

    async def _bring_up(self) -> None:
        await bring_up(self.state, self._source, self._loading, self._turn)
        if self._config.reload_interval:
            await self._reloader.keep_on(self._config.reload_interval)

    def _turn(self) -> contextlib.AbstractAsyncContextManager[None]:
        return self._place.turn(self.state, self._source, self._loading)

    async def _accept(self, http: socket.socket) -> None:
        while not self._place.may_accept(self.state):
            if self._stop.is_set():
                http.close()
                return
            await asyncio.sleep(LOOK_SECONDS)
        await self._http.serve([http])

    def terminate(self) -> None:
        """SIGTERM: drain. Said again (a kubelet that was restarted does) it changes nothing; SIGKILL is for haste."""
        self._stop.set()

    def interrupt(self) -> None:
        """Ctrl-C on a laptop: no endpoints have to propagate; a second one: at once."""
        if self._now.is_set():
            self._http.force_exit = self._ops.force_exit = True
        self._now.set()
        self.terminate()

    async def _drained(self) -> None:
        await self._stop.wait()
        was_ready = self.state.not_ready is None
        self.state.drain()
        logs.event("draining", in_flight=self.state.in_flight, open_connections=self._open_connections())
        # A process that never was ready never was an endpoint.
        if was_ready:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), self._config.drain_delay)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left(), LEAVING_SHARE * self._config.drain_delay)

    async def _left(self) -> None:
        """Nothing new is accepted, and clients let go of what they keep. Whoever closes an idle connection may cross a
        request that is on its way; the client, which knows when it sends, cannot."""
        for listening in self._http.servers:
            listening.close()
        while self._open_connections() and not self._now.is_set():  # noqa: ASYNC110 - uvicorn tells nobody of an end
            await asyncio.sleep(LOOK_SECONDS)

    def _open_connections(self) -> int:
        return self._http.open_connections


def _listener(protocol: type[asyncio.Protocol], patience: int, fair: Fair | None = None) -> Listener:
    return Listener(
        uvicorn.Config(
            app=_no_app,
            http=protocol,
            ws="none",
            loop="uvloop",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=patience,
            backlog=BACKLOG,
        ),
        fair,
    )


async def _no_app(*_: object) -> None:
    """Stands in until the application, which counts its listener's connections, is made."""
