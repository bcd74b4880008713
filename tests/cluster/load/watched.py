"""What the clients of one pod see while it ends: a program of its own, which runs in another pod.

One client keeps its connection, one takes a new one for each request, one is in the middle of a request that takes
seconds. All goes on until nobody listens any more. What happened is printed at the end, as one line of JSON: `events`
with `at` (seconds since 1970), `client` and what it saw.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp

PAUSE_SECONDS = 0.1
AT_MOST_SECONDS = 90.0


class Watcher:
    def __init__(self, address: str, plan: dict[str, Any]) -> None:
        self._http, self._ops = f"http://{address}:8080{plan['path']}", f"http://{address}:8081/readyz"
        self._quick, self._slow = plan["quick"], plan["slow"]
        self.events: list[dict[str, Any]] = []

    def note(self, client: str, **seen: Any) -> None:
        self.events.append({"at": time.time(), "client": client, **seen})

    async def run(self) -> None:
        limits = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=limits) as kept,
            aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(force_close=True)) as fresh,
            asyncio.timeout(AT_MOST_SECONDS),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._predict("slow", fresh, self._slow))
            group.create_task(self._again("kept", kept))
            group.create_task(self._again("fresh", fresh))
            group.create_task(self._probe(fresh))
            print("watching", flush=True)

    async def _again(self, client: str, session: aiohttp.ClientSession) -> None:
        while True:
            if not await self._predict(client, session, self._quick):
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _predict(self, client: str, session: aiohttp.ClientSession, body: dict[str, Any]) -> bool:
        try:
            async with session.post(self._http, json=body) as response:
                await response.read()
                closing = response.headers.get("connection", "").lower() == "close"
                self.note(client, status=response.status, closing=closing)
        except aiohttp.ClientConnectorError:  # nobody listens: the end, and no request was lost
            self.note(client, refused=True)
            return False
        except (aiohttp.ClientError, OSError) as error:
            self.note(client, lost=f"{type(error).__name__}: {error}")
        return True

    async def _probe(self, session: aiohttp.ClientSession) -> None:
        while True:
            try:
                async with session.get(self._ops) as response:
                    self.note("probe", ready=response.status == 200)
            except (aiohttp.ClientError, OSError):
                self.note("probe", refused=True)
                return
            await asyncio.sleep(PAUSE_SECONDS)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("address", help="of the pod")
    parser.add_argument("plan", type=Path, help="JSON: path, quick and slow (two bodies)")
    told = parser.parse_args()
    watcher = Watcher(told.address, json.loads(told.plan.read_text(encoding="utf-8")))
    try:
        await watcher.run()
    finally:
        print(json.dumps({"events": watcher.events}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
