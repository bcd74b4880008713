"""Run the model: on the event loop where it was measured to be quick, else in threads, and several requests at once
where rows do not mind company.

The event loop, and so liveness, never waits for a slow model. Requests that arrive in one turn of the loop, or while
all threads are busy, share a call; one that is alone never waits for company unless a window is set.
"""

import asyncio
import math
from collections import deque
from collections.abc import MutableSequence, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from headgate_server import logs
from headgate_server.calls import Calls, ModelFailed, Result, Work
from headgate_server.loaders.runtime import Model, Output
from headgate_server.merging import kind
from headgate_server.pace import INLINE_SECONDS, Pace
from headgate_server.protocols.failures import RequestFailed
from headgate_server.settings import Settings
from headgate_server.validation import Batch

HUNG_FACTOR: Final = 10
UNKNOWN: Final = Pace()


class Waiter(Protocol):
    """Who is told what became of a job: a future, or somebody who answers at once."""

    def done(self) -> bool: ...

    def set_result(self, result: Result, /) -> None: ...

    def set_exception(self, error: TimeoutError, /) -> None: ...


@dataclass(eq=False, slots=True)
class Job(Work):
    """Work that waits, from its arrival to its outputs."""

    done: Waiter
    since: float
    units: float  # its rows as its pace counts them
    timer: asyncio.TimerHandle | None = None

    @property
    def given_up(self) -> bool:
        return self.done.done()


class Predictor:
    """The queue of one model and the threads that it waits for."""

    def __init__(self, threads: int, config: Settings, batches: MutableSequence[int] | None = None) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="model")
        self._threads = self._free = threads
        self._timeout = config.timeout
        self._max_queue = config.max_queue
        self._batch_rows = config.batch_max_rows
        self._window = config.batch_max_wait
        self._waiting: deque[Job] = deque()
        self._rows = 0  # of all that waits
        self._turning = False  # a turn of the queue is on its way
        self._alarm: asyncio.TimerHandle | None = None  # the turn at which a window ends
        self.calls = Calls(batches)

    @property
    def hung(self) -> bool:
        """Whether a call has run for so long that only a new process helps."""
        return self.calls.oldest > HUNG_FACTOR * self._timeout

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def admit(self) -> None:
        """RequestFailed with 429 where one more would wait in vain: before its body is read, and again after."""
        waiting = len(self._waiting)
        if not waiting:
            return
        patience = waiting * self.calls.mean_share / self._threads
        if waiting >= self._max_queue or patience > self._timeout:
            retry = {"retry-after": str(max(1, math.ceil(patience)))}
            raise RequestFailed(429, "overloaded", f"{waiting} requests wait for the model", headers=retry)

    async def run(self, model: Model, batch: Batch, wanted: Sequence[str], pace: Pace = UNKNOWN) -> list[Output]:
        """The outputs, or RequestFailed with 429, 504 or 500."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        job = self.begin(model, batch, wanted, pace, done)
        try:
            return outputs_of(await done)
        except TimeoutError:
            raise self.late() from None
        finally:
            if job is not None and job.timer is not None:
                job.timer.cancel()

    def begin(self, model: Model, batch: Batch, wanted: Sequence[str], pace: Pace, done: Waiter) -> Job | None:
        """What waits, or None where `done` has been told the result; RequestFailed with 429."""
        units = pace.rows(batch)
        if pace.inline and not pace.mergeable and pace.seconds(units) <= INLINE_SECONDS:
            done.set_result(self.calls.here([Work(model, pace, batch, wanted)])[0])
            return None
        self.admit()
        loop = asyncio.get_running_loop()
        job = Job(model, pace, batch, tuple(wanted), done, loop.time(), units)
        self._waiting.append(job)
        self._rows += batch.rows
        if pace.inline and self._rows >= self._batch_rows:
            self._turn(loop)  # a call is full: nothing is gained by the rest of this turn
        else:
            self._turn_soon(loop)
        return job

    def late(self) -> RequestFailed:
        return RequestFailed(504, "timeout", f"no prediction within {self._timeout:g} s")

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    # -- the queue --------------------------------------------------------------------------------------------

    def _turn_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """All that arrived in this turn of the loop is there: run what may run, and give the rest its time limit."""
        self._turning = False
        while self._waiting:
            head = self._waiting[0]
            if head.given_up:
                self._take()
            elif not self._ripe(head, loop):
                break
            elif _quick(head):
                group = self._group(head)
                self._deliver(group, self.calls.here(group))
                if self._waiting:
                    # One call a turn: connections and probes have theirs in between.
                    self._turn_soon(loop)
                return
            elif not self._free:
                break
            else:
                self._run_in_thread(self._group(head), loop)
        for job in reversed(self._waiting):
            if job.timer is not None:
                break
            self._limit(job, loop)

    def _ripe(self, head: Job, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether the head has waited for company as long as it shall; if not, there is a turn when it has."""
        if not self._window or not head.pace.mergeable or self._rows >= self._batch_rows:
            return True
        rest = head.since + self._window - loop.time()
        if rest > 0 and (self._alarm is None or self._alarm.when() <= loop.time()):
            self._alarm = loop.call_later(rest, self._turn_soon, loop)
        return rest <= 0

    def _take(self) -> Job:
        job = self._waiting.popleft()
        self._rows -= job.batch.rows
        return job

    def _group(self, head: Job) -> list[Job]:
        """The head and what waits behind it that may share its call; what may not keeps its place."""
        group = [self._take()]
        same = kind(head.batch) if head.pace.mergeable and self._waiting else None
        if same is None:
            return group
        quick, rows, units = _quick(head), head.batch.rows, head.units
        rest: list[Job] = []
        while self._waiting and rows < self._batch_rows:
            job = self._take()
            if job.given_up:
                continue
            full = rows + job.batch.rows > self._batch_rows
            if full or (quick and head.pace.seconds(units + job.units) > INLINE_SECONDS):
                rest.append(job)
                break
            if job.model is head.model and job.wanted == head.wanted and kind(job.batch) == same:
                group.append(job)
                rows, units = rows + job.batch.rows, units + job.units
            else:
                rest.append(job)
        self._waiting.extendleft(reversed(rest))
        self._rows += sum(job.batch.rows for job in rest)
        return group

    # -- where it runs ----------------------------------------------------------------------------------------

    def _run_in_thread(self, group: list[Job], loop: asyncio.AbstractEventLoop) -> None:
        self._free -= 1
        for job in group:
            self._limit(job, loop)

        def ran(call: asyncio.Future[list[Result]]) -> None:
            self._free += 1
            if not call.cancelled():
                self._deliver(group, call.result())
            self._turn_soon(loop)

        loop.run_in_executor(self._pool, self.calls.in_thread, group).add_done_callback(ran)

    def _deliver(self, group: list[Job], results: list[Result]) -> None:
        for job, result in zip(group, results, strict=True):
            if job.timer is not None:
                job.timer.cancel()
            if not job.done.done():
                try:
                    job.done.set_result(result)
                except Exception as error:  # noqa: BLE001 - one mistake shall not leave the others of its call unanswered
                    logs.failure("an answer was not given", error=type(error).__name__, where=logs.place(error))

    def _limit(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        if job.timer is None:
            job.timer = loop.call_at(job.since + self._timeout, _late, job)


def _late(job: Job) -> None:
    """Its place in the queue is given up at the next turn; a call that runs ends in its own time."""
    if not job.done.done():
        job.done.set_exception(TimeoutError())


def _quick(job: Job) -> bool:
    return job.pace.inline and job.pace.seconds(job.units) <= INLINE_SECONDS


def outputs_of(result: Result) -> list[Output]:
    if isinstance(result, ModelFailed):
        raise RequestFailed(500, "model_failure", f"the model failed; see the log for {result.failure_id}")
    return result
