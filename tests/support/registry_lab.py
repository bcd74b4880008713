"""A registry door under test: the keys it wakes, the polls it makes, and a clock in hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from conditions import until
from headgate_operator.api.model import ByAlias, ModelRef
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Example, Resolution, Resolved, Unresolved
from headgate_operator.ports import Key, ModelRequest, Obj
from headgate_operator.registry import AllowList, Folder, RegistryDoor
from headgate_operator.registry.source import Poll

IRIS = Key("ml", "iris")
CHAMPION = ByAlias("champion")


class Watched:
    """A door, the keys it woke, and a clock that a test moves."""

    def __init__(self, uri: str, **options: Any) -> None:
        self.woken: list[Key] = []
        self.polls: list[Poll] = []
        self.secrets: dict[str, Obj | None] = {}
        self.time = 1000.0
        self.door = RegistryDoor(
            AllowList(uri, options.pop("others", ())),
            options.pop("own", Folder(None)),
            read_secret=options.pop("read_secret", self._secret),
            wake=self.woken.append,
            interval=options.pop("interval", 0.02),
            clock=options.pop("clock", lambda: self.time),
            polled=lambda _uri, poll: self.polls.append(poll),
            **options,
        )

    async def _secret(self, namespace: str, name: str) -> Obj | None:
        return self.secrets.get(f"{namespace}/{name}")

    async def ask(self, ref: ModelRef = CHAMPION, name: str = "iris", **where: Any) -> Resolution:
        return await self.door.resolve(ModelRequest(namespace="ml", name=name, ref=ref, **where))

    async def follow(self, key: Key = IRIS, ref: ModelRef = CHAMPION, name: str = "iris") -> Resolution:
        request = ModelRequest(namespace=key.namespace, name=name, ref=ref)
        answer = await self.door.resolve(request)
        self.door.follow(key, request, answer)
        return answer

    async def polled_again(self, times: int = 1) -> None:
        enough = len(self.polls) + times + 1  # the one under way may have begun before
        await until(lambda: len(self.polls) >= enough, "polls")


@asynccontextmanager
async def running(watched: Watched) -> AsyncIterator[Watched]:
    task = asyncio.ensure_future(watched.door.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def asking(uri: str, **options: Any) -> AsyncIterator[Watched]:
    watched = Watched(uri, **options)
    try:
        yield watched
    finally:
        await watched.door.close()


def version_of(answer: Resolution) -> str:
    assert isinstance(answer, Resolved), answer
    return answer.identity.version


def reason_of(answer: Resolution | Example) -> Reason:
    assert isinstance(answer, Unresolved), answer
    return answer.reason
