"""Small TCP servers on loopback that say who they are: what stands behind a Service in the proxy's tests."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self


class NamedServer:
    """Answers every line with its own name and the line; on end of input it says `bye` and closes."""

    def __init__(self, name: str, host: str, port: int = 8080) -> None:
        self.name, self.host, self.port = name, host, port
        self.connections = 0
        self.received = 0
        self.resets = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=2**20)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                self.received += len(line)
                writer.write(f"{self.name} {line.decode()}".encode())
                await writer.drain()
            writer.write(b"bye\n")
            await writer.drain()
        except ConnectionError:
            self.resets += 1
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def ask(address: tuple[str, int], line: str = "hello") -> str:
    """One fresh connection, one line, the name that answered."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(f"{line}\n".encode())
        answer = (await reader.readline()).decode()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    if not answer:
        raise ConnectionResetError("no answer")
    return answer.split()[0]
