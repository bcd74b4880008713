"""The way from one operator process to the API server, on a bad day: every call can fail in every way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from headgate_operator.kube import Reply, TransportError
from simulation.bare_store import refused

Obj = dict[str, Any]


@dataclass(slots=True)
class Weather:
    """How bad the day is. Chances are of one call."""

    api: float = 0.0
    latency: float = 0.01
    watch_lost: float = 0.0
    watch_late: float = 0.2
    probe: float = 0.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A write that was begun."""

    at: float
    process: str
    method: str
    path: str
    body: Obj | None


class Serves(Protocol):
    def handle(self, method: str, path: str, query: Any, content_type: str, body: Obj | None) -> Reply: ...


class Wire:
    """See `kube.Transport`."""

    def __init__(
        self,
        server: Serves,
        process: str,
        weather: Weather,
        chance: random.Random,
        *,
        began: Callable[[Sent], None],
        done: Callable[[Sent, Reply], None],
    ) -> None:
        self._server, self._process, self._weather, self._chance = server, process, weather, chance
        self._began, self._done = began, done
        self._loop = asyncio.get_running_loop()
        self.cut = False  # nothing gets through, in neither direction

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        content_type: str,
        body: Obj | None,
        timeout: float,
    ) -> Reply:
        sent = Sent(self._loop.time(), self._process, method, path, body)
        if method != "GET":
            self._began(sent)
        await asyncio.sleep(self._chance.uniform(0, self._weather.latency))
        if self.cut:
            await self._silence(timeout)
        if self._chance.random() >= self._weather.api:
            return self._reach(sent, query, content_type)
        return await self._badly(sent, query, content_type, timeout)

    async def _badly(self, sent: Sent, query: Mapping[str, str], content_type: str, timeout: float) -> Reply:
        ways = ["throttled", "error", "refused connection", "silence", "answer lost", "slow", "late"]
        way = self._chance.choice([*ways, "conflict"] if sent.method != "GET" else ways)
        match way:
            case "conflict":
                return refused(409, "Conflict")
            case "throttled":
                return refused(429, "TooManyRequests", retryAfterSeconds=self._chance.choice([1, 2, 5]))
            case "error":
                return refused(self._chance.choice([500, 503, 504]), "InternalError")
            case "refused connection":
                raise TransportError("connection refused")
            case "answer lost":
                self._reach(sent, query, content_type)
                raise TransportError("connection reset")
            case "slow":
                await asyncio.sleep(self._chance.uniform(0, min(timeout, 5.0)))
                return self._reach(sent, query, content_type)
            case "late":  # carried out at the last moment, and the client has given up
                await asyncio.sleep(timeout)
                self._reach(sent, query, content_type)
                raise TransportError("timed out")
        await self._silence(timeout)
        raise AssertionError

    async def _silence(self, timeout: float) -> None:
        await asyncio.sleep(timeout)
        raise TransportError("timed out")

    def _reach(self, sent: Sent, query: Mapping[str, str], content_type: str) -> Reply:
        if self.cut:
            raise TransportError("connection reset")
        reply = self._server.handle(sent.method, sent.path, query, content_type, sent.body)
        if sent.method != "GET":
            self._done(sent, reply)
        return reply

    async def close(self) -> None:
        return
