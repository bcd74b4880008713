"""Watches: what one client sees of the changes of one kind.

A watch is filled by the store as changes happen and read at the client's own speed. Selectors turn an object that
starts or stops to match into ADDED or DELETED, as the real server does; bookmarks let an idle client resume.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from headgate_local.store import Change, Obj

Event = dict[str, Any]
BOOKMARK_EVERY = 60.0


class Watch(AsyncIterator[Event]):
    """An async iterator of events that ends at its timeout, when closed, or after an ERROR event."""

    def __init__(self, *, timeout: float | None, bookmark: Callable[[], Event] | None) -> None:
        self._events: deque[Event] = deque()
        self._timeout = timeout
        self._deadline: float | None = None
        self._bookmark = bookmark
        self._arrived: asyncio.Event | None = None
        self._closed = False
        self._on_close: list[Callable[[], None]] = []

    @property
    def closed(self) -> bool:
        return self._closed

    def push(self, event: Event) -> None:
        if not self._closed:
            self._events.append(event)
            self._wake()

    def when_closed(self, action: Callable[[], None]) -> None:
        self._on_close.append(action)

    def close(self) -> None:
        self._closed = True
        for action in self._on_close:
            action()
        self._on_close.clear()
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()

    async def __anext__(self) -> Event:
        loop = asyncio.get_running_loop()
        if self._deadline is None and self._timeout is not None:
            self._deadline = loop.time() + self._timeout
        self._arrived = self._arrived or asyncio.Event()
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            wait = BOOKMARK_EVERY if self._deadline is None else min(BOOKMARK_EVERY, self._deadline - loop.time())
            try:
                async with asyncio.timeout(max(wait, 0)):
                    await self._arrived.wait()
            except TimeoutError:
                if self._deadline is not None and loop.time() >= self._deadline:
                    self.close()
                if self._bookmark is not None:
                    return self._bookmark()
        return self._events.popleft()


Filter = Callable[[Obj], bool]
Render = Callable[[Obj], Obj]


def event_of(change: Change, matches: Filter, render: Render) -> Event | None:
    """What a change is to a client that sees only matching objects; None where it is nothing."""
    assert change.new is not None  # noqa: S101 - the store always gives the last state
    before = change.old is not None and matches(change.old)
    after = change.type != "DELETED" and matches(change.new)
    if before and after:
        return {"type": "MODIFIED", "object": render(change.new)}
    if after:
        return {"type": "ADDED", "object": render(change.new)}
    if before:
        assert change.old is not None  # noqa: S101 - it matched
        seen = change.new if change.type == "DELETED" else change.old
        last = {**seen, "metadata": {**seen["metadata"], "resourceVersion": str(change.version)}}
        return {"type": "DELETED", "object": render(last)}
    return None
