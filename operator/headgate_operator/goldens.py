"""Golden predictions, asked beside the passes: a model may take its time for one, and a worker must not.

A pass asks and is answered at once, often with "no answer yet"; when the answer is there its key is woken. An answer
belongs to one container of one pod, one revision and one body, so none is ever taken for another's. All of it may be
lost: then it is asked again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from headgate_operator.core.observed import Golden, GoldenUnknown, Pod, PodAddress
from headgate_operator.ports import Key

log = logging.getLogger(__name__)

AT_ONCE = 32
AT_ONCE_OF_A_KEY = 4
"""A model that never answers holds up its own pods, and leaves room for the others."""
MOST = 10_000
KEPT_SECONDS = 600.0  # a large deployment is asked a few pods at a time; all of its answers count together
AGAIN_SECONDS = 5.0  # after no answer


class Asks(Protocol):
    """The part of `ports.Probe` that is asked here."""

    async def golden(self, pod: PodAddress, body: bytes, *, version: str) -> Golden: ...


@dataclass(frozen=True, slots=True)
class Question:
    uid: str
    restarts: int  # another container may have loaded something else
    revision: str
    version: str
    body: bytes  # its hash


@dataclass(frozen=True, slots=True)
class Told:
    answer: Golden
    at: float


class Goldens:
    """See `ports.Goldens`. `wake` is told the key when an answer has come."""

    def __init__(self, probe: Asks, *, wake: Callable[[Key], None], clock: Callable[[], float]) -> None:
        self._probe, self._wake, self._clock = probe, wake, clock
        self._told: OrderedDict[Question, Told] = OrderedDict()
        self._asking: dict[Question, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._turns_of: dict[Key, asyncio.Semaphore] = {}

    def ask(self, key: Key, pod: Pod, body: bytes, *, version: str) -> Golden:
        if pod.address is None:
            return GoldenUnknown("it has no address yet")
        question = Question(pod.uid, pod.restarts, pod.revision, version, hashlib.sha256(body).digest())
        told, now = self._told.get(question), self._clock()
        limit = AGAIN_SECONDS if told is not None and isinstance(told.answer, GoldenUnknown) else KEPT_SECONDS
        if (told is None or now - told.at >= limit) and question not in self._asking:
            self._begin(key, question, pod.address, body)
        # Without an answer for now, the last word still says more than that it is asked once more.
        if told is not None and (now - told.at < limit or isinstance(told.answer, GoldenUnknown)):
            return told.answer
        return GoldenUnknown("no answer yet")

    def forget(self, key: Key) -> None:
        """The deployment is gone: what is under way ends by itself."""
        self._turns_of.pop(key, None)

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: Key, question: Question, address: PodAddress, body: bytes) -> None:
        if len(self._asking) >= MOST:
            return  # asked at a later pass
        task = asyncio.create_task(self._ask(key, question, address, body), name=f"golden {key}")
        self._asking[question] = task
        task.add_done_callback(lambda _ended: self._asking.pop(question, None))

    async def _ask(self, key: Key, question: Question, address: PodAddress, body: bytes) -> None:
        async with self._turns_of.setdefault(key, asyncio.Semaphore(AT_ONCE_OF_A_KEY)), self._turns:
            try:
                answer = await self._probe.golden(address, body, version=question.version)
            except Exception:  # a probe never raises; one that does must not leave its pods unasked without a sign
                log.exception("golden prediction failed", extra={"deployment": str(key)})
                answer = GoldenUnknown("the operator could not ask")
        self._told[question] = Told(answer, self._clock())
        self._told.move_to_end(question)
        while len(self._told) > MOST:
            self._told.popitem(last=False)
        self._wake(key)
