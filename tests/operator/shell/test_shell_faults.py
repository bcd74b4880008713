"""Every call to the API server fails in every way: the loop tries again, comes to the same end and breaks no promise.

In each run every STRIDEth call fails, beginning at another one, so that over all runs no call was spared.
"""

from __future__ import annotations

import pytest

from fake_runtime import Script
from headgate_operator.kube import Reply, TransportError
from in_process_transport import Call, refusal
from operator_world import Operated, operated

# A run for every write: a minute of computing each, and a machine may have other work.
pytestmark = [pytest.mark.looptime, pytest.mark.timeout(900)]
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
        self._last = ""
        world.transport.before, world.transport.after = self.before, self.after

    def _is_due(self, call: Call) -> bool:
        # Not the same call twice in a row: where a pass has STRIDE calls it would never get through.
        what = f"{call.method} {call.path}"
        due = call.number % STRIDE == self._first and what != self._last
        self._last = what if due else self._last
        return due

    def before(self, call: Call) -> Reply | None:
        if self._way == "lost answer" or (self._way == "conflict" and not call.writes) or not self._is_due(call):
            return None
        self.failed += 1
        if self._way == "timeout":
            raise TransportError("timed out")
        return refusal(409, "Conflict") if self._way == "conflict" else refusal(500, "InternalError")

    def after(self, call: Call, reply: Reply) -> None:
        if self._way == "lost answer" and self._is_due(call):
            self.failed += 1
            raise TransportError("the answer was lost")


@pytest.mark.parametrize("way", ["conflict", "server error", "timeout", "lost answer"])
async def test_failing_calls_delay_but_never_change_the_end(way: str) -> None:
    failed = 0
    for first in range(STRIDE):
        async with operated() as world:
            failing = Failing(world, first, way)
            await story(world)
            assert world.outcomes() == ["Promoted", "RolledBack", "Promoted"], f"beginning at {first}"
            failed += failing.failed
    assert failed > STRIDE


async def test_a_decision_whose_answer_is_lost_is_announced_all_the_same_and_once() -> None:
    async with operated() as world:
        lost: list[Call] = []

        def after(call: Call, _reply: Reply) -> None:
            if call.writes and call.path.endswith("/status") and not lost:
                lost.append(call)
                raise TransportError("the answer was lost")

        world.transport.after = after
        world.create()
        await world.established("1")
        assert lost
        assert world.events.reasons.count("RolloutStarted") == 1
