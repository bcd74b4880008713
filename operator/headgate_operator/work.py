"""What a leader does: workers that pass over one deployment at a time, and a look at everything now and then."""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from headgate_operator import contract
from headgate_operator.freshness import Freshness
from headgate_operator.ports import Key, KubeError, Obj, Reconciles
from headgate_operator.workqueue import QueueClosedError, WorkQueue

log = logging.getLogger(__name__)

JITTER = 0.2
AGAIN_SECONDS = 5.0


class Lists(Protocol):
    async def list(self, kind: str, namespace: str | None, labels: Mapping[str, str]) -> list[Obj]: ...


class Workers:
    def __init__(
        self,
        queue: WorkQueue[Key],
        reconciler: Reconciles,
        *,
        clock: Callable[[], float],
        passed: Callable[[str, float], None],
    ) -> None:
        self._queue, self._reconciler, self._clock, self._passed = queue, reconciler, clock, passed
        self._troubles: dict[Key, str] = {}

    async def run(self) -> None:
        """One worker. Returns when the queue is closed, after the pass under way."""
        while True:
            try:
                key = await self._queue.get()
            except QueueClosedError:
                return
            try:
                await self._pass(key)
            finally:
                self._queue.done(key)

    async def _pass(self, key: Key) -> None:
        began = self._clock()
        result = await self._reconciler.reconcile(key)
        if result.backoff:
            self._queue.retry(key, at_least=result.requeue_after or 0.0)
        else:
            self._queue.reset(key)
            if result.requeue_after is not None:
                self._queue.add_after(key, result.requeue_after)
        kind = "error" if result.backoff else "changed" if result.changed else "same"
        self._passed(kind, self._clock() - began)
        self._tell(key, result.reason if result.backoff else "")

    def _tell(self, key: Key, trouble: str) -> None:
        # Once for each new trouble of a key, and once when it is over: not for each attempt.
        if trouble == self._troubles.get(key, ""):
            return
        if trouble:
            self._troubles[key] = trouble
            log.warning("pass failed, retrying", extra={"deployment": str(key), "why": trouble})
        else:
            del self._troubles[key]
            log.info("passes succeed again", extra={"deployment": str(key)})


class Resync:
    """Lists live, now and then and after the watch had to begin anew: wakes every key, and checks on the watch."""

    def __init__(
        self,
        kube: Lists,
        queue: WorkQueue[Key],
        freshness: Freshness,
        *,
        namespaces: Collection[str],
        labels_for: Callable[[str], Mapping[str, str]],
        interval: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._kube, self._queue, self._freshness = kube, queue, freshness
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._labels_for, self._interval, self._chance = labels_for, interval, chance
        self._known: set[Key] = set()
        self._asked = asyncio.Event()

    def soon(self) -> None:
        self._asked.set()

    async def run(self) -> None:
        while True:
            pause = self._interval * (1 + JITTER * (2 * self._chance() - 1))
            try:
                async with asyncio.timeout(pause):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            try:
                await self.once()
            except KubeError as error:
                log.warning("resync failed", extra={"why": str(error)})
                await asyncio.sleep(AGAIN_SECONDS)
                self._asked.set()

    async def once(self) -> None:
        since = self._freshness.now()
        live = await self._list(contract.KIND)
        keys = {Key(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in live}
        # What was there and is no longer: its pass notices that it is gone. The watch may never tell.
        self._queue.add_all(sorted(keys | self._known))
        self._known = keys
        self._freshness.compare(contract.KIND, live, since=since)
        for kind in self._freshness.kinds:
            if kind != contract.KIND:
                since = self._freshness.now()
                self._freshness.compare(kind, await self._list(kind), since=since)

    async def _list(self, kind: str) -> list[Obj]:
        found: list[Obj] = []
        for namespace in self._namespaces:
            found += await self._kube.list(kind, namespace, self._labels_for(kind))
        return found
