"""One model's slowness is its own: the workers go on with the others."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from headgate_operator.core.observed import Golden, GoldenPassed, PodAddress
from headgate_operator.ports import Key
from headgate_operator.work import Workers
from headgate_operator.workqueue import WorkQueue
from operator_world import NAMESPACE, Operated, model_deployment, operated

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]


def hang_on_version_2(world: Operated) -> None:
    async def golden(pod: PodAddress, body: bytes, *, version: str) -> Golden:
        world.probe.golden_asked.append(version)
        if version == "2":
            await asyncio.Event().wait()
        return GoldenPassed()

    world.probe.golden = golden  # type: ignore[method-assign]


async def test_golden_predictions_that_hang_hold_up_no_other_deployment() -> None:
    async with operated(promise=None, running=False) as world:
        hang_on_version_2(world)
        world.registry.examples = {"1": b"{}", "2": b"{}"}
        loop = asyncio.get_running_loop()
        queue: WorkQueue[Key] = WorkQueue(clock=loop.time)
        workers = Workers(queue, world.reconciler, clock=loop.time, passed=lambda _kind, _seconds: None)
        busy = [asyncio.create_task(workers.run()) for _ in range(4)]

        def create(name: str, version: str) -> None:
            obj = model_deployment(model={"name": "m", "version": version})
            world.client.create({**obj, "metadata": {"name": name, "namespace": NAMESPACE}})
            queue.add(Key(NAMESPACE, name))

        def status(name: str) -> dict[str, object]:
            found = world.client.get("ModelDeployment", NAMESPACE, name)
            assert found is not None
            return dict(found.get("status", {}))

        for number in range(10):
            create(f"slow-{number}", "2")
        await world.until(lambda: world.probe.golden_asked.count("2") >= 10)
        create("quick", "1")
        await world.until(lambda: "stable" in status("quick"))
        assert all("stable" not in status(f"slow-{number}") for number in range(10))
        assert "no answer yet" in str(status("slow-0")["candidate"])
        assert queue.longest_held_seconds() < 1
        queue.close()
        for task in busy:
            with suppress(asyncio.CancelledError):
                await task
