"""One Service port: a listening socket that exists only while there is somebody to serve."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Sequence

from headgate_local.proxy.splice import Half, reset, splice

_log = logging.getLogger(__name__)

_BACKLOG = 1024
_ACCEPTS_A_TURN = 64

Endpoint = tuple[str, int]


class Listener:
    """Opened and closed synchronously, so that an EndpointSlice change holds for the next connection."""

    def __init__(self, address: Endpoint, choose: random.Random) -> None:
        self.address = address
        self._choose = choose
        self._endpoints: Sequence[Endpoint] = ()
        self._socket: socket.socket | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        self._live: set[Half] = set()

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    @property
    def is_busy(self) -> bool:
        return bool(self._connecting or self._live)

    def serve(self, endpoints: Sequence[Endpoint]) -> None:
        """From now on new connections go to these; none at all means connection refused. Raises OSError."""
        self._endpoints = endpoints
        if endpoints and self._socket is None:
            self._open()
        elif not endpoints:
            self.close()

    def close(self) -> None:
        """Stop listening; connections that were made live on."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def stop(self) -> None:
        """The end of the plane: nothing lives on."""
        self.close()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for half in list(self._live):
            half.abort()
        # One turn of the loop: that is when an aborted transport closes its socket.
        await asyncio.sleep(0)

    def _open(self) -> None:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setblocking(False)
            listening.bind(self.address)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
        self._socket = listening
        asyncio.get_running_loop().add_reader(listening, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            if self._socket is None:
                return
            try:
                client, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.warning("cannot accept on %s:%s: %s", *self.address, error)
                return
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        client.setblocking(False)
        if not self._endpoints:
            reset(client)
            return
        # kube-proxy's way: every connection by chance, so that equal pods get equal shares.
        task = asyncio.create_task(
            splice(client, self._choose.choice(self._endpoints), self._live), name="proxy connection"
        )
        self._connecting.add(task)
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        if not task.cancelled() and task.exception():
            _log.error("a proxied connection failed", exc_info=task.exception())
