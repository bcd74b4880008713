"""Run the model in worker threads, with a time limit: the event loop, and so liveness, never waits for a model."""

import asyncio
import itertools
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from headgate_server import logs
from headgate_server.loaders.runtime import Model, Output
from headgate_server.protocols.failures import RequestFailed
from headgate_server.validation import Batch

HUNG_FACTOR: Final = 10


class ModelFailed(Exception):  # noqa: N818 - carries a failure's id to the answer
    def __init__(self, failure_id: str) -> None:
        super().__init__(failure_id)
        self.failure_id = failure_id


class Predictor:
    """The threads of one model."""

    def __init__(self, threads: int, timeout: float) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="model")
        self._timeout = timeout
        self._running: dict[int, float] = {}
        self._numbers = itertools.count()

    @property
    def hung(self) -> bool:
        """Whether a call has run for so long that only a new process helps."""
        oldest = min(list(self._running.values()), default=None)
        return oldest is not None and time.monotonic() - oldest > HUNG_FACTOR * self._timeout

    async def run(self, model: Model, batch: Batch, wanted: Sequence[str]) -> list[Output]:
        """The outputs, or RequestFailed with 504 or 500."""
        call = asyncio.get_running_loop().run_in_executor(self._pool, self._call, model, batch, wanted)
        try:
            # A call that still waits for a thread is cancelled with it; one that runs ends in its own time.
            return await asyncio.wait_for(call, self._timeout)
        except TimeoutError:
            raise RequestFailed(504, "timeout", f"no prediction within {self._timeout:g} s") from None
        except ModelFailed as failed:
            raise RequestFailed(
                500, "model_failure", f"the model failed; see the log for {failed.failure_id}"
            ) from None

    def _call(self, model: Model, batch: Batch, wanted: Sequence[str]) -> list[Output]:
        number = next(self._numbers)
        self._running[number] = time.monotonic()
        try:
            return model.run(batch, wanted)
        except Exception as error:  # noqa: BLE001 - a model may raise anything
            failure_id = uuid.uuid4().hex
            # The class only: a library's message may repeat the data.
            logs.failure("the model failed", failure_id=failure_id, error=type(error).__name__, where=logs.place(error))
            raise ModelFailed(failure_id) from None
        finally:
            del self._running[number]

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
