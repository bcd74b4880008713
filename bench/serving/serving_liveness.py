"""How late liveness answers while the model computes: a probe every 10 ms, each on a connection of its own, as a
kubelet makes them. A probe counts from when it was due, so one that blocks hides none of those behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from serving_process import Reply
from serving_samples import quantile

EVERY_SECONDS = 0.01
BUSY_SECONDS = 2.0
LOST = 30.0


@dataclass(frozen=True)
class Liveness:
    probes: int
    failed: int
    busy_seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float


def look(predict: Callable[[], Reply], port: int, path: str) -> Liveness:
    """Probes while `predict` (in a thread) computes, and what came of them."""
    return asyncio.run(_look(predict, port, path))


async def _look(predict: Callable[[], Reply], port: int, path: str) -> Liveness:
    began = time.monotonic()
    prediction = asyncio.create_task(asyncio.to_thread(predict))
    probes: list[asyncio.Task[float | None]] = []
    due = began
    while not prediction.done():
        due += EVERY_SECONDS
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        probes.append(asyncio.create_task(_probe(port, path, due)))
    reply = await prediction
    busy = time.monotonic() - began
    if reply.status != 200:
        raise ValueError(f"the busy model answered {reply.status}: {reply.body[:200]!r}")
    return told(await asyncio.gather(*probes), busy)


def told(seconds: list[float | None], busy: float) -> Liveness:
    """A probe without an answer is as late as one waits for it."""
    late = [1000 * (LOST if value is None else value) for value in seconds]
    return Liveness(
        len(late), seconds.count(None), busy, quantile(late, 0.5), quantile(late, 0.99), max(late, default=0.0)
    )


async def _probe(port: int, path: str, due: float) -> float | None:
    try:
        async with asyncio.timeout(LOST):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    return time.monotonic() - due if b" 200 " in status else None
