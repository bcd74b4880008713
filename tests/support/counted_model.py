"""A model for tests of the queue: it doubles numbers, fails at some, waits where it is told to, and tells its calls."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np

from headgate_server.loaders.runtime import Output, OutputSpec
from headgate_server.settings import Settings, load
from headgate_server.signature import Column, Columns
from headgate_server.validation import Batch

BAD = 666.0


class CountedModel:
    """`y` is twice `x`; a row that is BAD fails the whole call."""

    platform = runtime = "test"
    steady = True
    inputs = Columns((Column("x", "double"),))
    outputs = [OutputSpec("y", "FP64", (-1,))]
    default_outputs = ("y",)
    classes = ()
    label_output, probability_output = "y", ""

    def __init__(self, *, held: bool = False) -> None:
        self.calls: list[list[float]] = []
        self.threads: set[str] = set()
        self.go_on = threading.Event()
        if not held:
            self.go_on.set()

    def run(self, batch: Batch, wanted: Sequence[str]) -> list[Output]:
        assert tuple(wanted) == ("y",)
        x = batch.arrays["x"]
        self.calls.append(x.tolist())
        self.threads.add(threading.current_thread().name)
        assert self.go_on.wait(60)
        if BAD in x:
            raise ValueError("a bad row")
        return [Output("y", 2 * x)]


def batch_of(*values: float) -> Batch:
    return Batch({"x": np.array(values, dtype=float)}, len(values))


def configured(**given: object) -> Settings:
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in {"model": "nothing", **given}.items()]
    return load(arguments, {})


async def until(model: CountedModel, calls: int) -> None:
    """Until so many calls have begun."""
    async with asyncio.timeout(60):
        while len(model.calls) < calls:  # noqa: ASYNC110 - a thread tells nobody
            await asyncio.sleep(0.001)
