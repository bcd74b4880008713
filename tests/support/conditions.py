"""Waiting on a condition, never on a time."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, *, within: float = 20.0) -> None:
    """Returns as soon as `condition` holds; fails with `what` after `within` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not within {within:.0f} s: {what}"
        await asyncio.sleep(0.01)
