"""A scripted HTTP server: says what a test tells it to, remembers what it was asked. For tests of the wire itself."""

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Asked:
    method: str
    path: str  # as it was sent, still quoted
    query: dict[str, str]
    headers: dict[str, str]  # lower-case names
    body: Any


@dataclass(frozen=True)
class Said:
    status: int = 200
    body: Any = field(default_factory=dict)
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False  # close the connection instead of answering


class TinyApi:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.uri = ""
        self._answers: deque[Said] = deque()

    def say(self, *answers: Said) -> None:
        """What to answer next; the last one stays."""
        self._answers.extend(answers)

    @property
    def last(self) -> Asked:
        return self.asked[-1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {key.lower(): value for key, value in request.headers.items()}
        body = json.loads(raw) if raw.startswith(b"{") else raw.decode() or None
        self.asked.append(Asked(request.method, request.rel_url.raw_path, dict(request.query), headers, body))
        said = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        if said.drop and request.transport is not None:
            request.transport.abort()
        text = said.body if isinstance(said.body, str) else json.dumps(said.body)
        return web.Response(status=said.status, text=text, content_type=said.content_type, headers=said.headers)


@asynccontextmanager
async def tiny_api() -> AsyncIterator[TinyApi]:
    api = TinyApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api._handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server = site._server
    assert server is not None
    api.uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    try:
        yield api
    finally:
        await runner.cleanup()
