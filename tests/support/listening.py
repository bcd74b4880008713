"""A loaded model behind a real socket in this event loop: the server's connections without its process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from asgi_client import AsgiClient
from headgate_server import connections
from headgate_server.direct import Direct
from server_process import Reply


class Listening:
    """The server; what its application was asked stands in `asked`, the rest was answered straight from the parser."""

    def __init__(self, client: AsgiClient, max_age: float) -> None:
        self.client = client
        self.asked: list[str] = []
        self.direct = Direct(client.paths, client.state, client.counts)
        self._config = uvicorn.Config(
            self._app, ws="none", lifespan="off", interface="asgi3", log_config=None, server_header=False
        )
        self._config.load()
        kind = connections.protocol(max_age, 60, direct=self.direct)

        class Counting(kind):  # type: ignore[misc, valid-type]
            def data_received(connection, data: bytes) -> None:  # noqa: N805 - `self` is the server
                kind.data_received(connection, data)
                self.read += len(data)

        self._kind = Counting
        self.read = 0
        self.sockets = ServerState()
        self.address: tuple[str, int] = ("", 0)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        await self.client.app(scope, receive, send)

    def protocol(self) -> asyncio.Protocol:
        return self._kind(self._config, self.sockets, {})

    async def say(self, *parts: bytes, answers: int = 1) -> list[Reply]:
        """The answers to what is said on one connection, part by part: each has been read before the next is said."""
        reader, writer = await asyncio.open_connection(*self.address)
        async with asyncio.timeout(60):
            for part in parts:
                expected = self.read + len(part)
                writer.write(part)
                while self.read < expected:  # noqa: ASYNC110 - else the kernel might join them
                    await asyncio.sleep(0)
            found = [await _answer(reader) for _ in range(answers)]
        writer.close()
        await writer.wait_closed()
        return found


@contextlib.asynccontextmanager
async def listening(model: Path, *, max_age: float = 0, **settings: Any) -> AsyncIterator[Listening]:
    with AsgiClient(model, **settings) as client:
        server = Listening(client, max_age)
        made = await asyncio.get_running_loop().create_server(server.protocol, "127.0.0.1", 0)
        server.address = made.sockets[0].getsockname()
        try:
            yield server
        finally:
            made.close()


async def _answer(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return Reply(int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"])))
