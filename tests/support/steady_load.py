"""A constant load on a public Service: half over kept-alive connections, half over a fresh one each.

A traffic switch reaches new connections at once and old ones when they end, so a load of one kind sees half of what can
go wrong. It is open: a slow answer holds back no other request. Runs in a thread of its own.
"""

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True)
class Sent:
    """What became of one request; `lost` says why there was no good answer."""

    began: float
    pooled: bool
    version: str
    lost: str = ""


class SteadyLoad:
    """`with SteadyLoad(url, body) as load:` sends until left; then `load.lost` must be empty."""

    def __init__(self, url: str, body: Mapping[str, Any], *, rate: float = 40.0) -> None:
        self._url, self._body, self._pause = url, body, 1 / rate
        self.sent: list[Sent] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=TIMEOUT_SECONDS + 5)

    @property
    def lost(self) -> list[str]:
        return [one.lost for one in list(self.sent) if one.lost]

    def versions(self, *, since: float = 0.0, pooled: bool | None = None) -> set[str]:
        """Who answered the requests that began at `since` (time.monotonic()) or later."""
        found = [one for one in list(self.sent) if one.began >= since and pooled in (None, one.pooled)]
        return {one.version for one in found if not one.lost}

    def count(self, *, since: float = 0.0) -> int:
        return sum(one.began >= since for one in list(self.sent))

    async def _run(self) -> None:
        limits = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        kept, once = aiohttp.TCPConnector(limit=0), aiohttp.TCPConnector(limit=0, force_close=True)
        async with (
            aiohttp.ClientSession(timeout=limits, connector=kept) as pooled,
            aiohttp.ClientSession(timeout=limits, connector=once) as fresh,
            asyncio.TaskGroup() as group,
        ):
            due, over_pool = time.monotonic(), True
            while not self._stop.is_set():
                group.create_task(self._send(pooled if over_pool else fresh, over_pool))
                over_pool, due = not over_pool, due + self._pause
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _send(self, session: aiohttp.ClientSession, pooled: bool) -> None:
        began = time.monotonic()
        try:
            async with session.post(self._url, json=dict(self._body)) as response:
                text = await response.text()
                version = response.headers.get("x-model-version", "")
                lost = "" if response.status == 200 and version else f"HTTP {response.status}: {text[:200]}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            version, lost = "", f"{type(error).__name__}: {error}"
        self.sent.append(Sent(began, pooled, version, lost))
