"""The registry as the reconciler knows it (`ports.Registry`, `ports.Interests`), and the poller behind it.

One poller for each registry and set of credentials, however many deployments follow it. It wakes the deployments whose
answer is no longer the one they saw; the reconciler then asks again itself.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headgate_operator.api.model import Identity
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Example, Resolution, Unresolved
from headgate_operator.egress import AllowList, NotAllowedError
from headgate_operator.ports import Key, ModelRequest
from headgate_operator.registry.credentials import Credentials, Folder, ReadSecret, from_secret
from headgate_operator.registry.facts import Question
from headgate_operator.registry.rest import Rest
from headgate_operator.registry.source import Poll, Source, differ

log = logging.getLogger(__name__)

SECRET_SECONDS = 60.0  # a tenant's Secret is read at most this often
JITTER = 0.1
EXAMPLES_KEPT = 16


@dataclass(frozen=True)
class Who:
    """Which registry under whose credentials; without a Secret, the operator's own or none."""

    uri: str
    namespace: str = ""
    secret: str = ""


@dataclass(frozen=True)
class Following:
    who: Who
    question: Question
    seen: Resolution


class RegistryDoor:
    def __init__(
        self,
        allowed: AllowList,
        own: Folder,
        *,
        read_secret: ReadSecret,
        wake: Callable[[Key], None],
        interval: float,
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
        polled: Callable[[str, Poll], None] = lambda _uri, _poll: None,
    ) -> None:
        self._allowed, self._own, self._read_secret = allowed, own, read_secret
        self._wake, self._interval, self._clock, self._chance, self._polled = wake, interval, clock, chance, polled
        self._sources: dict[Who, Source] = {}
        self._following: dict[Key, Following] = {}
        self._pollers: set[Who] = set()
        self._examples: dict[Identity, Example] = {}
        self._joined = asyncio.Event()

    # -- ports.Registry -------------------------------------------------------------------------------------

    async def resolve(self, request: ModelRequest) -> Resolution:
        try:
            who = self._who(request)
        except NotAllowedError as error:
            return Unresolved(Reason.REGISTRY_NOT_ALLOWED, str(error))
        return await self._source(who).answer((request.name, request.ref))

    async def example(self, request: ModelRequest, identity: Identity) -> Example | Unresolved:
        """Read once: an identity never changes."""
        if (kept := self._examples.get(identity)) is not None:
            return kept
        try:
            who = self._who(request)
        except NotAllowedError as error:
            return Unresolved(Reason.REGISTRY_NOT_ALLOWED, str(error))
        read = await self._source(who).example(identity)
        if isinstance(read, Example):
            while len(self._examples) >= EXAMPLES_KEPT:
                del self._examples[next(iter(self._examples))]
            self._examples[identity] = read
        return read

    # -- ports.Interests ------------------------------------------------------------------------------------

    def follow(self, key: Key, request: ModelRequest, answer: Resolution) -> None:
        try:
            who = self._who(request)
        except NotAllowedError:
            self.forget(key)  # only a change of the object can change this answer
            return
        self._following[key] = Following(who, (request.name, request.ref), answer)
        if who not in self._pollers:
            self._joined.set()

    def forget(self, key: Key) -> None:
        self._following.pop(key, None)

    # -- polling --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Poll every registry that somebody follows, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._joined.clear()
                    for who in {f.who for f in self._following.values()} - self._pollers:
                        self._pollers.add(who)
                        group.create_task(self._poll_forever(who), name=f"poll {who.uri}")
                    await self._joined.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        for source in self._sources.values():
            await source.close()
        self._sources.clear()
        self._pollers.clear()

    def ages(self) -> Iterator[tuple[str, float | None]]:
        """Seconds since each followed registry last answered a poll; None = never."""
        for who in self._pollers:
            source = self._source(who)
            yield source.uri, None if source.answered_at is None else self._clock() - source.answered_at

    async def _poll_forever(self, who: Who) -> None:
        while True:
            await asyncio.sleep(self._interval * (1 + JITTER * (2 * self._chance() - 1)))
            followers = {key: f for key, f in self._following.items() if f.who == who}
            if not followers:
                self._pollers.discard(who)
                if (source := self._sources.pop(who, None)) is not None:
                    await source.close()
                return
            source = self._source(who)
            try:
                self._polled(source.uri, await source.poll(f.question for f in followers.values()))
            except Exception:
                # A poller that dies would leave its deployments behind for ever, without a sign.
                log.exception("poll failed", extra={"registry": source.uri})
                continue
            for key in followers:
                await self._wake_if_new(key, who)

    async def _wake_if_new(self, key: Key, who: Who) -> None:
        # Looked up again: a pass may have seen the new answer while the poll was under way.
        following = self._following.get(key)
        if following is None or following.who != who:
            return
        if differ(await self._source(who).answer(following.question), following.seen):
            self._wake(key)

    # -- sources --------------------------------------------------------------------------------------------

    def _who(self, request: ModelRequest) -> Who:
        uri = self._allowed.check(request.uri)
        return Who(uri, request.namespace, request.secret_name) if request.secret_name else Who(uri)

    def _source(self, who: Who) -> Source:
        if who not in self._sources:
            rest = Rest(who.uri, guarded=who.uri != self._allowed.own)
            believed = self._interval * 1.5 + 5
            self._sources[who] = Source(rest, self._credentials(who), clock=self._clock, believed=believed)
        return self._sources[who]

    def _credentials(self, who: Who) -> "SecretCredentials | OwnCredentials":
        if who.secret:
            return SecretCredentials(self._read_secret, who, self._clock)
        # The operator's own credentials go to its own registry and nowhere else.
        return OwnCredentials(self._own if who.uri == self._allowed.own else Folder(None))


class OwnCredentials:
    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    async def __call__(self) -> Credentials:
        return self._folder.read()


class SecretCredentials:
    """Reads the Secret anew every minute: a rotated password works without a restart."""

    def __init__(self, read: ReadSecret, who: Who, clock: Callable[[], float]) -> None:
        self._read, self._name, self._clock = read, (who.namespace, who.secret), clock
        self._kept: tuple[float, Credentials] | None = None

    async def __call__(self) -> Credentials:
        if self._kept is not None and self._clock() - self._kept[0] < SECRET_SECONDS:
            return self._kept[1]
        self._kept = None
        credentials = await from_secret(self._read, *self._name)
        self._kept = (self._clock(), credentials)
        return credentials
