"""The process dies at every single write, just before it and just after it: the end is the same, and nobody notices.

Each story is played once to count its writes, then once for every write and side. The oracle of `operated` looks at
every change in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fake_runtime import Script
from headgate_operator.kube import Reply
from in_process_transport import Call, CrashError
from operator_world import Operated, operated

# A run for every write: a minute of computing each, and a machine may have other work.
pytestmark = [pytest.mark.looptime, pytest.mark.timeout(900)]


Story = Callable[[Operated], Awaitable[None]]


async def switches(world: Operated) -> None:
    """First version, switch, failed version, undo."""
    world.runtime.script("3", Script(fails="LoadFailed", permanent=True, message="bad file"))
    world.create(rollout={"keepWarm": "5s"})
    await world.established("1")
    world.move_alias("2")
    await world.established("2")
    await world.until(lambda: world.deployed() == {"2"})
    world.move_alias("3")
    await world.until(lambda: [r["version"] for r in world.status().get("rejected", [])] == ["3"])
    world.move_alias("4")
    await world.established("4")
    world.order("undo")
    await world.established("2")
    await world.until(lambda: world.deployed() == {"2"})
    await asyncio.sleep(10)


async def canaries(world: Operated) -> None:
    """A canary that a person takes through its steps, and one that is taken out at its first."""
    world.create(rollout={"keepWarm": "5s", "strategy": "Canary", "steps": [{"weight": 30}, {"weight": 50}]})
    await world.established("1")
    world.move_alias("2")
    for step in (0, 1):
        await world.until(lambda step=step: world.status().get("candidate", {}).get("step") == step)
        await world.until(lambda: "stepStartedAt" in world.status().get("candidate", {}))
        await ordered(world, "promote")
    await world.established("2")
    await world.until(lambda: world.deployed() == {"2"})
    world.move_alias("3")
    await world.until(lambda: world.serving() == {"2", "3"})
    await ordered(world, "abort")
    await world.established("2")
    await world.until(lambda: world.deployed() == {"2"})
    await asyncio.sleep(10)


async def ordered(world: Operated, verb: str) -> None:
    """A command that came too late for what it was given for is refused; a person looks again."""
    for _ in range(3):
        command = world.order(verb)
        await world.until(lambda command=command: world.status().get("lastCommand", {}).get("id") == command)
        if world.status()["lastCommand"]["outcome"] == "Accepted":
            return
    raise AssertionError(world.status()["lastCommand"])


async def pod_by_pod(world: Operated) -> None:
    world.create(rollout={"keepWarm": "5s", "strategy": "Rolling"})
    await world.established("1")
    world.move_alias("2")
    await world.established("2")
    await world.until(lambda: world.deployed() == {"2"})
    await asyncio.sleep(10)


STORIES = [switches, canaries, pod_by_pod]


def end(world: Operated) -> dict[str, Any]:
    """What must be the same whatever happened on the way: times and resource versions left out."""
    status = world.status()
    return {
        "stable": world.stable(),
        "serving": world.serving(),
        "outcomes": world.outcomes(),
        "rejected": [(r["version"], r["scope"], r["by"]) for r in status.get("rejected", [])],
        "conditions": [(c["type"], c["status"], c["reason"]) for c in status["conditions"]],
        "children": sorted(
            (kind, len(world.children(kind))) for kind in ("Deployment", "ControllerRevision", "ConfigMap", "Service")
        ),
        "pods": len(world.children("Pod")),
        "protected": world.protected() == status["stable"]["revision"],
    }


async def writes_of(story: Story) -> tuple[int, dict[str, Any]]:
    async with operated() as world:
        await story(world)
        return sum(call.writes for call in world.transport.calls), end(world)


class DieAt:
    """Dies once, at the nth write."""

    def __init__(self, world: Operated, nth: int, side: str) -> None:
        self._left, self._side = nth, side
        world.transport.before, world.transport.after = self.before, self.after

    def before(self, call: Call) -> Reply | None:
        if call.writes and self._side == "before":
            self._count()
        return None

    def after(self, call: Call, reply: Reply) -> None:
        if call.writes and self._side == "after":
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if self._left == -1:
            raise CrashError


@pytest.mark.parametrize(("story", "budget"), [(switches, 120), (canaries, 100), (pod_by_pod, 50)])
async def test_a_story_without_a_crash_keeps_within_its_budget_of_writes(story: Story, budget: int) -> None:
    writes, _ = await writes_of(story)
    assert writes <= budget


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_crash_at_any_write_leads_to_the_same_end(side: str, story: Story) -> None:
    writes, undisturbed = await writes_of(story)
    for nth in range(writes):
        async with operated() as world:
            DieAt(world, nth, side)
            await story(world)
            assert world.restarts == 1, f"no crash at write {nth}"
            assert end(world) == undisturbed, f"another end after a crash {side} write {nth}"
