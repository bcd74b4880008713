"""A constant load on the public Service, and the count of what became of every request.

Half of the requests go over pools of one kept-alive connection each, half each over a connection of its own: a
selector change reaches new connections only, so a load with just one kind would miss half of what can go wrong. The
fresh half is open: a slow answer does not hold back the next request. Inputs are flowers of the iris data; a fifth of
them are larger than anything that version 3 has seen.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import aiohttp

VERSION_HEADER = "x-model-version"
FLOWERS = (
    [5.1, 3.5, 1.4, 0.2], [4.9, 3.1, 1.5, 0.1], [5.7, 3.8, 1.7, 0.3], [6.5, 2.8, 4.6, 1.5], [6.1, 2.9, 4.7, 1.4],
    [5.5, 2.4, 3.7, 1.0], [6.4, 2.7, 5.3, 1.9], [7.2, 3.2, 6.0, 1.8], [6.3, 3.3, 6.0, 2.5], [7.2, 3.6, 6.1, 2.5],
)  # fmt: skip
TIMEOUT_SECONDS = 10.0
POOLS = 8


@dataclass(frozen=True)
class Answer:
    """One request: when it began and ended (monotonic seconds), over what, who answered, why it was lost if it was."""

    began: float
    ended: float
    connection: int  # the same number = the same kept-alive connection; 0 = one of its own
    version: str
    status: int
    lost: str

    @property
    def pooled(self) -> bool:
        return self.connection > 0

    @property
    def failed(self) -> bool:
        """Answered by a version, with a server error: the version is bad, nothing was lost on the way."""
        return self.status >= 500 and not self.lost


@dataclass
class Tally:
    """What the load has seen so far. Written by the load's thread, read by the story's."""

    answers: list[Answer] = field(default_factory=list)
    sent: int = 0

    def lost(self) -> list[Answer]:
        return [answer for answer in list(self.answers) if answer.lost]

    def by_version(self) -> dict[str, int]:
        """How many requests each version answered with a prediction."""
        return _counted(a for a in list(self.answers) if not a.lost and not a.failed)

    def failed_by_version(self) -> dict[str, int]:
        """How many requests each version answered with a server error."""
        return _counted(a for a in list(self.answers) if a.failed)

    def answered_by(self, version: str) -> int:
        return sum(a.version == version for a in list(self.answers) if not a.lost)

    def share_of(self, version: str, began: float, ended: float) -> float | None:
        """Its share of the answers to requests that began in that time; None where there were none."""
        found = [a.version == version for a in list(self.answers) if not a.lost and began <= a.began < ended]
        return sum(found) / len(found) if found else None

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
        self._flowers = random.Random(7)  # noqa: S311 - spreads the inputs, keeps no secret
        self._connections = 0
        self._stop = threading.Event()
        self._paused = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def pause(self) -> None:
        """Send nothing until `go_on`."""
        self._paused.set()

    def go_on(self) -> None:
        self._paused.clear()

    def stop(self) -> None:
        """Send nothing more and wait for the answers still under way."""
        self._stop.set()
        self._thread.join(timeout=TIMEOUT_SECONDS + 5)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        fresh = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0, force_close=True))
        pools = [
            aiohttp.ClientSession(
                timeout=timeout, connector=aiohttp.TCPConnector(limit=1), trace_configs=[self._numbering()]
            )
            for _ in range(POOLS)
        ]
        try:
            async with asyncio.TaskGroup() as group:
                due, number = time.monotonic(), 0
                while not self._stop.is_set():
                    if self._paused.is_set():
                        due = time.monotonic()
                    else:
                        turn, pooled = divmod(number, 2)
                        number += 1
                        group.create_task(self._send(pools[turn % POOLS] if pooled else fresh))
                    due += self._interval
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            for session in (fresh, *pools):
                await session.close()

    def _numbering(self) -> aiohttp.TraceConfig:
        """Numbers the connections of one pool, and tells each request which one it went over."""
        at = 0

        async def made(*_: Any) -> None:
            nonlocal at
            self._connections += 1
            at = self._connections

        async def sent(_session: Any, context: SimpleNamespace, _told: Any) -> None:
            context.trace_request_ctx["connection"] = at

        numbering = aiohttp.TraceConfig()
        numbering.on_connection_create_end.append(made)
        numbering.on_request_headers_sent.append(sent)
        return numbering

    async def _send(self, session: aiohttp.ClientSession) -> None:
        self.tally.sent += 1
        began = time.monotonic()
        version = lost = ""
        status = 0
        over = {"connection": 0}
        try:
            flower = self._flowers.choice(FLOWERS)
            async with session.post(self._url, json={"features": flower}, trace_request_ctx=over) as response:
                body = await response.json(content_type=None)
                status, version = response.status, response.headers.get(VERSION_HEADER, "")
                if not version or (status < 500 and status != 200):
                    lost = f"HTTP {status}"
                elif status == 200 and (str(body.get("version")) != version or "prediction" not in body):
                    lost = "the answer does not name its version"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            lost = f"{type(error).__name__}: {error}"
        self.tally.answers.append(Answer(began, time.monotonic(), over["connection"], version, status, lost))


def _counted(answers: Any) -> dict[str, int]:
    return dict(sorted(Counter(answer.version for answer in answers).items()))
