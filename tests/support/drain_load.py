"""Clients of one server that keep asking while it ends, as they do while a Service still leads to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from server_process import DEADLINE, ServerProcess


@dataclass
class Tally:
    """What a load driver saw."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)
    closing: int = 0


async def drive(
    server: ServerProcess, tally: Tally, body: Mapping[str, Any], *, pooled: bool, go_on: Callable[[], bool]
) -> None:
    """Ask again and again, on one kept connection or on a fresh one each time, for as long as `go_on` says."""
    connector = aiohttp.TCPConnector(limit=1, force_close=not pooled)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(DEADLINE)) as session:
        while go_on():
            try:
                async with session.post(f"http://127.0.0.1:{server.port}/predict", json=body) as answer:
                    told = await answer.json()
                    if answer.status == 200 and "prediction" in told:
                        tally.answered += 1
                        tally.closing += answer.headers.get("connection", "") == "close"
                    else:
                        tally.lost.append(f"{answer.status} {told}")
            except (aiohttp.ClientError, OSError) as error:
                tally.lost.append(repr(error))
