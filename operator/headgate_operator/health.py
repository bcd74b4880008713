"""/livez, /readyz and /metrics of the operator, and they say the truth.

/livez fails where a restart would help: the event loop hangs, a pass never ends, or the watch loses events. It does
not fail because a registry, the API server or the lease is out of reach: a restart mends none of these.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

log = logging.getLogger(__name__)

LOOP_LAG_SECONDS = 10.0
PASS_SECONDS = 300.0
BEHIND_SECONDS = 60.0
TICK = 1.0


@dataclass(frozen=True)
class Seen:
    """What the parts say at this moment."""

    waiting: str  # for what, before it can lead or stand by; empty = for nothing
    leading: bool
    loop_lag: float
    longest_pass: float
    behind: dict[str, float]  # by kind, seconds; empty unless leading
    queue_depth: int
    queue_oldest: float
    registries: dict[str, float | None]


def faults(seen: Seen) -> list[str]:
    """Why a restart would help; empty = alive."""
    found = []
    if seen.loop_lag > LOOP_LAG_SECONDS:
        found.append(f"the event loop lags by {seen.loop_lag:.0f} s")
    if seen.longest_pass > PASS_SECONDS:
        found.append(f"a pass has been under way for {seen.longest_pass:.0f} s")
    for kind, seconds in sorted(seen.behind.items()):
        if seconds > BEHIND_SECONDS:
            found.append(f"the watch of {kind} lost an event {seconds:.0f} s ago")
    return found


class Lag:
    """How late the event loop is. Measured by a tick, judged at the time of the question."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ticked = clock()
        self._worst = 0.0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            late = self._clock() - self._ticked - TICK
            self._worst = max(0.0, late, self._worst / 2)  # remembered for a few seconds
            self._ticked = self._clock()

    def seconds(self) -> float:
        return max(0.0, self._worst, self._clock() - self._ticked - TICK)


def application(look: Callable[[], Seen], metrics: Callable[[], bytes]) -> web.Application:
    async def livez(_: web.Request) -> web.Response:
        seen = look()
        found = faults(seen)
        return web.json_response({"alive": not found, "faults": found}, status=503 if found else 200)

    async def readyz(_: web.Request) -> web.Response:
        seen = look()
        return web.json_response(_told(seen), status=503 if seen.waiting else 200)

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show)
    return app


def _told(seen: Seen) -> dict[str, Any]:
    return {
        "ready": not seen.waiting,  # to lead or to stand by
        "reason": seen.waiting,
        "leading": seen.leading,
        "queue": {"depth": seen.queue_depth, "oldestSeconds": round(seen.queue_oldest, 3)},
        "watchBehindSeconds": {kind: round(seconds, 3) for kind, seconds in seen.behind.items()},
        "registryAgeSeconds": {uri: None if age is None else round(age, 3) for uri, age in seen.registries.items()},
    }


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serves until the block is left; the port (of use where 0 was asked for)."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
