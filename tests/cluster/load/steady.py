"""A steady load on one address, and the account of what became of every request. A program of its own.

It runs in a pod and on the machine alike, so it needs nothing but Python and aiohttp. Half of the requests go over
kept-alive pools, half each over a connection of its own: a switch of traffic reaches new connections at once and old
ones when they end. The load is open: a slow answer holds back no other request.

The plan is a JSON file: `path`, `rounds` (a list of `body` and, by version, the `answer`), and `at`, where in the
answer's JSON the prediction stands. An answer counts only where it names its version and is that version's.

GET /answers?from=N gives all answers from the Nth on, each as [began, ended, pooled, version, lost], in seconds since
1970. GET /stop ends the sending.
"""

import argparse
import asyncio
import errno
import itertools
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

VERSION_HEADER = "x-model-version"
JSON = {"content-type": "application/json"}
POOLS = 4  # a pool alone would keep one connection, and so one pod
LINGER_SECONDS = 300.0


class Steady:
    def __init__(
        self, url: str, plan: dict[str, Any], *, rate: float, timeout: float, seconds: float, slow: float
    ) -> None:
        self._url = url + plan["path"]
        self._rounds = itertools.cycle(plan["rounds"])
        self._at: list[str | int] = plan["at"]
        self._pause, self._timeout, self._seconds = 1 / rate, timeout, seconds
        self._slow = slow
        self.answers: list[tuple[float, float, bool, str, str]] = []
        self.sent = 0
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        limits = aiohttp.ClientTimeout(total=self._timeout)

        def session(*, fresh: bool) -> aiohttp.ClientSession:
            return aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0, force_close=fresh))

        pools, once = [session(fresh=False) for _ in range(POOLS)], session(fresh=True)
        turns = itertools.cycle([sender for pool in pools for sender in (pool, once)])
        try:
            async with asyncio.TaskGroup() as group:
                due = time.monotonic()
                end = due + self._seconds
                while not self.stopped.is_set() and due < end:
                    turn = next(turns)
                    group.create_task(self._send(turn, next(self._rounds), turn is not once))
                    due += self._pause
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            for each in (*pools, once):
                await each.close()

    async def _send(self, session: aiohttp.ClientSession, said: dict[str, Any], pooled: bool) -> None:
        self.sent += 1
        began, version = time.time(), ""
        try:
            async with session.post(self._url, data=self._body(said), headers=JSON) as response:
                text = await response.text()
                version = response.headers.get(VERSION_HEADER, "")
                refused = f"http {response.status}: {text[:200]}"
                lost = refused if response.status != 200 else self._wrong(said, version, text)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a timeout is an OSError
            lost = kind_of(error)
        self.answers.append((began, time.time(), pooled, version, lost))

    def _body(self, said: dict[str, Any]) -> bytes | AsyncIterator[bytes]:
        text = json.dumps(said["body"]).encode()
        return self._slowly(text) if self._slow else text

    async def _slowly(self, text: bytes) -> AsyncIterator[bytes]:
        """A client behind a slow line: the request is under way all the time."""
        yield text[:1]
        await asyncio.sleep(self._slow)
        yield text[1:]

    def _wrong(self, said: dict[str, Any], version: str, text: str) -> str:
        found = json.loads(text)
        for step in self._at:
            found = found[step]
        if version not in said["answer"]:
            return f"wrong: an answer of an unknown version {version!r}"
        right = said["answer"][version]
        if right is None:
            return f"wrong: version {version} has no answer to this"
        return "" if found == right else f"wrong: {found} is not the {right} of version {version}"


def kind_of(error: Exception) -> str:
    number = getattr(error, "errno", None) or getattr(getattr(error, "os_error", None), "errno", None)
    if isinstance(error, TimeoutError):
        return "timeout"
    if number == errno.ECONNREFUSED:
        return "refused"
    # A connection that was there and ended under the request, wherever in it; aiohttp does not always tell the errno.
    ended = isinstance(error, (ConnectionError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError))
    if number in (errno.ECONNRESET, errno.EPIPE) or (ended and not isinstance(error, aiohttp.ClientConnectorError)):
        return f"reset: {type(error).__name__}"
    return f"{type(error).__name__}: {error}"[:200]


def application(load: Steady) -> web.Application:
    async def answers(request: web.Request) -> web.Response:
        begin = int(request.query.get("from", "0"))
        told = {"now": time.time(), "sent": load.sent, "answers": load.answers[begin:]}
        return web.json_response(told)

    async def stop(_: web.Request) -> web.Response:
        load.stopped.set()
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/answers", answers)
    app.router.add_get("/stop", stop)
    return app


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url")
    parser.add_argument("plan", type=Path)
    parser.add_argument("--rate", type=float, default=30.0, help="requests a second")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one request")
    parser.add_argument("--slow", type=float, default=0.0, help="seconds that the body of each request takes to come")
    parser.add_argument("--seconds", type=float, default=300.0, help="the sending ends by itself after so long")
    parser.add_argument("--host", default="0.0.0.0", help="where the account is given")
    parser.add_argument("--port", type=int, default=9000)
    told = parser.parse_args()
    plan = json.loads(told.plan.read_text(encoding="utf-8"))
    load = Steady(told.url, plan, rate=told.rate, timeout=told.timeout, seconds=told.seconds, slow=told.slow)
    runner = web.AppRunner(application(load), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, told.host, told.port).start()
    await load.run()
    await asyncio.sleep(LINGER_SECONDS)  # the account is still wanted; whoever reads it ends this process


if __name__ == "__main__":
    asyncio.run(main())
