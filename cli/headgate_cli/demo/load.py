"""A constant load on the public Service, and the count of what became of every request.

Half of the requests go over a pool of kept-alive connections, half each over a connection of its own: a selector
change reaches new connections only, so a load with just one kind would miss half of what can go wrong. The load is
open: a slow answer does not hold back the next request.
"""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp

VERSION_HEADER = "x-model-version"
PREDICT = {"features": [5.1, 3.5, 1.4, 0.2]}
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """One request: when it began and ended (monotonic seconds), who answered, and why it was lost if it was."""

    began: float
    ended: float
    pooled: bool
    version: str
    lost: str


@dataclass
class Tally:
    """What the load has seen so far. Written by the load's thread, read by the story's."""

    answers: list[Answer] = field(default_factory=list)
    sent: int = 0

    def lost(self) -> list[Answer]:
        return [answer for answer in list(self.answers) if answer.lost]

    def by_version(self) -> dict[str, int]:
        counts = Counter(answer.version for answer in list(self.answers) if not answer.lost)
        return dict(sorted(counts.items()))

    def versions_since(self, began: float, *, pooled: bool | None = None) -> set[str]:
        """Versions that answered requests which began at or after `began` (monotonic seconds)."""
        return {
            answer.version
            for answer in list(self.answers)
            if not answer.lost and answer.began >= began and pooled in (None, answer.pooled)
        }

    def last_of(self, version: str, *, pooled: bool) -> float | None:
        """When the last request that `version` answered began, in monotonic seconds."""
        times = [a.began for a in list(self.answers) if a.version == version and a.pooled is pooled and not a.lost]
        return max(times, default=None)


class Load:
    """Sends `rate` requests a second to `url` from a thread of its own, until it is left as a context."""

    def __init__(self, url: str, *, rate: float = 60.0) -> None:
        self.tally = Tally()
        self._url = f"{url}/predict"
        self._interval = 1 / rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Send nothing more and wait for the answers still under way."""
        self._stop.set()
        self._thread.join(timeout=TIMEOUT_SECONDS + 5)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as pool,
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0, force_close=True)) as fresh,
            asyncio.TaskGroup() as group,
        ):
            due = time.monotonic()
            pooled = True
            while not self._stop.is_set():
                group.create_task(self._send(pool if pooled else fresh, pooled=pooled))
                pooled = not pooled
                due += self._interval
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _send(self, session: aiohttp.ClientSession, *, pooled: bool) -> None:
        self.tally.sent += 1
        began = time.monotonic()
        version = lost = ""
        try:
            async with session.post(self._url, json=PREDICT) as response:
                body = await response.json(content_type=None)
                version = response.headers.get(VERSION_HEADER, "")
                if response.status != 200:
                    lost = f"HTTP {response.status}"
                elif str(body.get("version")) != version or "prediction" not in body:
                    lost = "the answer does not name its version"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            lost = f"{type(error).__name__}: {error}"
        self.tally.answers.append(Answer(began, time.monotonic(), pooled, version, lost))
