"""Startup, readiness and liveness as documented: thresholds, periods, order, and what each of them causes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from fake_runtime import FakeRuntime, Script, loop_clock
from headgate_local.plane import Plane
from plane_world import World, eventually, pod, scripted_plane

pytestmark = pytest.mark.looptime

READY = {"httpGet": {"path": "/readyz", "port": 8080}}
LIVE = {"httpGet": {"path": "/livez", "port": 8080}}


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def running(world: World, **probes: Any) -> float:
    """Create the pod with exactly these probes; the time at which its container started."""
    world.client.create(pod(**({"readinessProbe": None} | probes)))
    await eventually(lambda: world.runtime.containers)
    return next(iter(world.runtime.containers.values())).started


async def test_no_readiness_probe_means_ready_as_soon_as_running() -> None:
    plane, runtime = scripted_plane(Script(never_ready=True))
    async with plane:
        world = World(plane, runtime)
        await running(world)
        await eventually(world.ready, within=0.2)


async def test_readiness_waits_for_the_initial_delay_and_the_success_threshold() -> None:
    plane, runtime = scripted_plane(Script(ready_after=0.0))
    async with plane:
        world = World(plane, runtime)
        probe = {**READY, "initialDelaySeconds": 7, "periodSeconds": 3, "successThreshold": 3}
        began = await running(world, readinessProbe=probe)
        await eventually(world.ready)
        assert 13.0 <= seconds() - began < 13.5


async def test_readiness_is_lost_only_after_the_failure_threshold_and_restarts_nothing() -> None:
    plane, runtime = scripted_plane(Script(ready_after=0.0))
    async with plane:
        world = World(plane, runtime)
        await running(world, readinessProbe={**READY, "periodSeconds": 5, "failureThreshold": 3})
        await eventually(world.ready)
        runtime.rescript("web", Script(never_ready=True))
        lost = seconds()
        await eventually(lambda: not world.ready())
        assert 14.0 <= seconds() - lost <= 15.5
        await asyncio.sleep(120)
        assert world.container_status()["restartCount"] == 0
        runtime.rescript("web", Script(ready_after=0.0))
        await eventually(world.ready, within=5.5)


async def test_a_single_failure_in_between_starts_the_count_again() -> None:
    plane, runtime = scripted_plane(Script(ready_after=0.0))
    async with plane:
        world = World(plane, runtime)
        await running(world, readinessProbe={**READY, "periodSeconds": 1, "failureThreshold": 2})
        await eventually(world.ready)
        for _ in range(5):
            runtime.rescript("web", Script(never_ready=True))
            await asyncio.sleep(1)
            runtime.rescript("web", Script(ready_after=0.0))
            await asyncio.sleep(1)
            assert world.ready() == 1


async def test_liveness_failure_restarts_the_container_after_its_grace() -> None:
    plane, runtime = scripted_plane(Script(ignores_term=True))
    async with plane:
        world = World(plane, runtime)
        probe = {**LIVE, "periodSeconds": 2, "failureThreshold": 2, "terminationGracePeriodSeconds": 4}
        await running(world, livenessProbe=probe)
        runtime.rescript("web", Script(ignores_term=True, live=False))
        await eventually(lambda: world.container_status().get("restartCount") == 1)
        sent = {name: at for at, _, name in runtime.signals}
        assert sent["KILL"] - sent["TERM"] == pytest.approx(4.0, abs=0.1)
        assert world.container_status()["lastState"]["terminated"]["exitCode"] == 137


async def test_nothing_else_is_probed_before_startup_has_passed() -> None:
    plane, runtime = scripted_plane(Script(ready_after=40.0, live=False))
    async with plane:
        world = World(plane, runtime)
        await running(
            world,
            startupProbe={**READY, "periodSeconds": 10, "failureThreshold": 30},
            livenessProbe={**LIVE, "periodSeconds": 1, "failureThreshold": 1},
        )
        await asyncio.sleep(35)
        assert world.container_status()["started"] is False
        assert world.container_status()["restartCount"] == 0
        await eventually(lambda: world.container_status()["restartCount"] == 1, within=15)


async def test_startup_that_never_passes_restarts_the_container() -> None:
    plane, runtime = scripted_plane(Script(never_ready=True))
    async with plane:
        world = World(plane, runtime)
        began = await running(world, startupProbe={**READY, "periodSeconds": 2, "failureThreshold": 5})
        await eventually(lambda: world.container_status().get("restartCount") == 1)
        assert 8.0 <= seconds() - began < 9.0
        assert world.ready() == 0


async def test_a_slow_answer_counts_as_a_failure_at_its_timeout() -> None:
    class Slow(FakeRuntime):
        async def probe(self, container_id: str, check: Any, timeout: float) -> Any:
            asked.append(timeout)
            return replace(await super().probe(container_id, check, timeout), success=False)

    asked: list[float] = []
    runtime = Slow(Script(ready_after=0.0))
    async with Plane(now=loop_clock, runtime=runtime) as plane:
        world = World(plane, runtime)
        await running(world, readinessProbe={**READY, "timeoutSeconds": 7})
        await asyncio.sleep(60)
        assert set(asked) == {7.0}
        assert world.ready() == 0


async def test_probe_of_an_unknown_port_name_is_a_config_error() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(pod(readinessProbe={"httpGet": {"path": "/", "port": "nope"}}))
        await eventually(world.container_status)
        waiting = world.container_status()["state"]["waiting"]
        assert waiting["reason"] == "CreateContainerConfigError"
        assert "nope" in waiting["message"]
