"""Every call to the API server fails in every way: the loop tries again, comes to the same end and breaks no promise.

In each run every STRIDEth call fails, beginning at another one, so that over all runs no call was spared.
"""

from __future__ import annotations

import pytest

from fake_runtime import Script
from headgate_operator.kube import Reply, TransportError
from in_process_transport import Call, refusal
from operator_world import Operated, operated

pytestmark = pytest.mark.looptime
STRIDE = 9


async def story(world: Operated) -> None:
    world.runtime.script("2", Script(fails="LoadFailed", permanent=True))
    world.create(rollout={"keepWarm": "5s"})
    await world.established("1")
    world.move_alias("2")
    await world.until(lambda: world.status().get("rejected"), within=900)
    world.move_alias("3")
    await world.until(lambda: world.at_rest_on("3"), within=900)
    await world.until(lambda: world.deployed() == {"3"}, within=900)


class Failing:
    """Answers every STRIDEth call with `way`, from the `first` on."""

    def __init__(self, world: Operated, first: int, way: str) -> None:
        self._first, self._way = first, way
        self.failed = 0
        world.transport.before, world.transport.after = self.before, self.after

    def _is_due(self, call: Call) -> bool:
        return call.number % STRIDE == self._first and call.number < 600

    def before(self, call: Call) -> Reply | None:
        if not self._is_due(call) or self._way == "lost answer":
            return None
        self.failed += 1
        match self._way:
            case "conflict" if call.writes:
                return refusal(409, "Conflict")
            case "server error":
                return refusal(500, "InternalError")
            case "timeout":
                raise TransportError("timed out")
        self.failed -= 1
        return None

    def after(self, call: Call, reply: Reply) -> None:
        if self._is_due(call) and self._way == "lost answer":
            self.failed += 1
            raise TransportError("the answer was lost")


@pytest.mark.parametrize("way", ["conflict", "server error", "timeout", "lost answer"])
async def test_failing_calls_delay_but_never_change_the_end(way: str) -> None:
    for first in range(STRIDE):
        async with operated() as world:
            failing = Failing(world, first, way)
            await story(world)
            assert failing.failed > 0 or way == "conflict"
            assert world.outcomes() == ["Promoted", "RolledBack", "Promoted"], f"beginning at {first}"
