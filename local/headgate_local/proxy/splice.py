"""Two sockets as one connection: half-close, back-pressure and resets go through as if nothing were between."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_HIGH_WATER = 256 * 1024


def reset(sock: socket.socket) -> None:
    """Close so that the other side sees a reset, not an orderly end that could pass for a complete answer."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()


class Half(asyncio.Protocol):
    """One end of a spliced connection."""

    def __init__(self, live: set[Half]) -> None:
        self._live = live
        self.peer: Half | None = None
        self.transport: asyncio.Transport | None = None
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._live.add(self)
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER)
        # Nothing is read before both ends are there; bytes wait in the kernel.
        self.transport.pause_reading()

    def join(self, peer: Half) -> None:
        self.peer, peer.peer = peer, self
        self._resume()
        peer._resume()

    def data_received(self, data: bytes) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        self._ended = True
        if self.peer is None or self.peer.transport is None or self.transport is None:
            return False
        if self.peer._ended:
            self.peer.transport.close()
            return False
        self.peer.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.peer and self.peer.transport and not self.peer.transport.is_closing():
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer:
            self.peer._resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._live.discard(self)
        self.transport = None
        peer, self.peer = self.peer, None
        if peer is None:
            return
        if exc is None:
            peer.close()
        else:
            peer.abort()

    def close(self) -> None:
        if self.transport:
            self.transport.close()

    def abort(self) -> None:
        if self.transport:
            raw = self.transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()

    def _resume(self) -> None:
        if self.transport and not self.transport.is_closing() and not self._ended:
            self.transport.resume_reading()


async def splice(client: socket.socket, address: tuple[str, int], live: set[Half]) -> None:
    """Connect an accepted client to one endpoint; a refusal there is a reset here, never a second choice.

    `live` holds both ends for as long as they are connected.
    """
    loop = asyncio.get_running_loop()
    try:
        _, upstream = await loop.create_connection(lambda: Half(live), *address)
    except (OSError, asyncio.CancelledError) as error:
        reset(client)
        if isinstance(error, asyncio.CancelledError):
            raise
        return
    try:
        _, downstream = await loop.connect_accepted_socket(lambda: Half(live), client)
    except BaseException:
        upstream.abort()
        reset(client)
        raise
    downstream.join(upstream)
