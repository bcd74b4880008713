"""A canary through the whole operator: real reconciler, feed and engine, on the in-process API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fake_runtime import Script
from operator_world import NAME, NAMESPACE, Operated, operated
from scripted_traffic import Traffic

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(300)]

CANARY = {
    "replicas": 3,
    "rollout": {"strategy": "Canary", "steps": [{"weight": 10}, {"weight": 50}], "keepWarm": "30s"},
    "analysis": {"interval": "10s", "minDuration": "30s"},
}


@asynccontextmanager
async def canary(traffic: Traffic, *, promise: int | None = 3, **spec: Any) -> AsyncIterator[Operated]:
    """Version 1 serves, and requests come."""
    async with operated(promise=promise) as world:
        flow = asyncio.create_task(traffic.flow(world))
        try:
            world.create(**{**CANARY, **spec})
            await world.established("1")
            traffic.nobody = 0.0
            yield world
        finally:
            flow.cancel()


async def test_an_equal_version_takes_over_step_by_step_and_nobody_is_turned_away() -> None:
    traffic = Traffic(100.0, errors={"1": 0.01, "2": 0.01})
    async with canary(traffic) as world:
        before = len(world.transport.calls)
        world.move_alias("2")
        await world.until(lambda: world.serving() == {"1", "2"})
        assert world.status()["traffic"]["achievable"] == "25"
        await world.until(lambda: world.status().get("candidate", {}).get("step") == 1, within=900)
        await world.until(lambda: world.at_rest_on("2"), within=900)
        await world.until(lambda: world.deployed() == {"2"})
        assert traffic.nobody == 0
        writes = [call for call in world.transport.calls[before:] if call.writes]
        assert len(writes) <= 70, [str(call) for call in writes]
        resting = len(world.transport.calls)
        await asyncio.sleep(900)
        assert [str(call) for call in world.transport.calls[resting:] if call.writes] == []


async def test_a_version_with_errors_is_taken_out_first_and_removed_afterwards() -> None:
    traffic = Traffic(50.0, errors={"1": 0.01, "2": 0.15})
    async with canary(traffic) as world:
        world.move_alias("2")
        await world.until(lambda: world.outcomes()[-1:] == ["RolledBack"], within=600)
        assert (world.stable(), world.serving()) == ("1", {"1"})
        await world.until(lambda: world.deployed() == {"1"})
        entry = world.status()["rejected"][0]
        assert (entry["version"], entry["by"], entry["gate"]) == ("2", "Analysis", "errorRate")
        assert world.status()["lastRollbackMilliseconds"] < 5000
        assert traffic.nobody == 0
        assert traffic.answered["2"] <= 1000


async def test_a_process_that_dies_in_the_middle_goes_on_from_the_checkpoint() -> None:
    traffic = Traffic(100.0, errors={"1": 0.01, "2": 0.01})
    async with canary(traffic) as world:
        world.move_alias("2")
        await world.until(lambda: (world.status().get("evidence") or {}).get("checks", 0) >= 6, within=600)
        requests = world.status()["evidence"]["candidateRequests"]
        world.start_process()
        world.wake()
        await world.until(lambda: world.status().get("evidence", {}).get("candidateRequests", 0) > requests, within=300)
        await world.until(lambda: world.at_rest_on("2"), within=900)
        assert world.outcomes() == ["Promoted", "Promoted"]


async def test_a_candidate_pod_that_crashes_under_traffic_twice_ends_it() -> None:
    traffic = Traffic(20.0)
    async with canary(traffic) as world:
        world.move_alias("2")
        await world.until(lambda: world.serving() == {"1", "2"})
        for _ in range(2):
            await world.until(lambda: world.serving() == {"1", "2"} or world.outcomes()[-1:] == ["RolledBack"])
            for pod in world.client.list("Pod", NAMESPACE, {"headgate.dev/model-version": "2"}):
                world.runtime.crash(pod["metadata"]["name"])
            await asyncio.sleep(1)
        await world.until(lambda: world.outcomes()[-1:] == ["RolledBack"])
        assert world.status()["rejected"][0]["gate"] in {"Restarts", "CrashLoop"}
        await world.until(lambda: world.serving() == {"1"})


async def test_a_selector_narrowed_by_hand_in_a_canary_is_put_back_and_counts_as_nothing() -> None:
    traffic = Traffic(20.0)
    async with canary(traffic, promise=None) as world:
        world.move_alias("2")
        await world.until(lambda: world.serving() == {"1", "2"})
        candidate = world.status()["candidate"]["revision"]
        world.client.patch_merge(
            "Service", NAMESPACE, NAME, {"spec": {"selector": {"headgate.dev/revision": candidate}}}
        )
        await world.until(lambda: world.serving() == {"1", "2"})
        assert (world.stable(), world.status()["candidate"]["step"]) == ("1", 0)


async def test_pods_that_load_slowly_for_the_second_step_get_traffic_only_when_ready() -> None:
    traffic = Traffic(100.0)
    async with canary(traffic) as world:
        world.runtime.script("2", Script(ready_after=20.0))
        world.move_alias("2")
        await world.until(lambda: world.at_rest_on("2"), within=1200)
        assert traffic.nobody == 0


@pytest.mark.parametrize("seconds", [0.5, 2.0, 7.0, 33.0, 61.0])
async def test_an_abort_at_any_time_leaves_the_stable_version_alone(seconds: float) -> None:
    traffic = Traffic(100.0)
    async with canary(traffic) as world:
        world.move_alias("2")
        await world.until(lambda: "candidate" in world.status())
        await asyncio.sleep(seconds)
        world.order("abort")
        await world.until(lambda: world.at_rest_on("1") and world.deployed() == {"1"})
        assert world.outcomes()[-1] == "RolledBack"
        assert traffic.nobody == 0


AT_ONCE = {
    "rollout": {"strategy": "BlueGreen", "keepWarm": "10m"},
    "analysis": {"interval": "10s", "errorRate": {"max": "0.05"}},
}


async def test_after_a_switch_a_version_above_its_ceiling_goes_back_while_the_old_one_is_warm() -> None:
    traffic = Traffic(20.0, errors={"2": 0.2})
    async with canary(traffic, **AT_ONCE) as world:
        world.move_alias("2")
        await world.until(lambda: world.serving() == {"2"})
        await world.until(lambda: world.outcomes()[-1:] == ["RolledBack"])
        entry = world.status()["rejected"][0]
        assert (entry["version"], entry["scope"], entry["by"], entry["gate"]) == ("2", "Model", "Guard", "ErrorCeiling")
        await world.until(lambda: world.at_rest_on("1"))
        assert traffic.nobody == 0


async def test_below_its_ceiling_it_stays_and_another_process_goes_on_watching() -> None:
    traffic = Traffic(20.0, errors={"2": 0.03})
    async with canary(traffic, **AT_ONCE) as world:
        world.move_alias("2")
        await world.until(lambda: world.serving() == {"2"})
        await world.until(lambda: "guard" in world.status()["stable"])
        world.start_process()
        world.wake()
        await world.until(lambda: world.deployed() == {"2"}, within=900)
        assert world.outcomes() == ["Promoted", "Promoted"]


async def test_without_a_ceiling_nothing_is_watched_after_a_switch() -> None:
    traffic = Traffic(20.0, errors={"2": 0.9})
    async with canary(traffic, rollout=AT_ONCE["rollout"]) as world:
        world.move_alias("2")
        await world.until(lambda: world.serving() == {"2"})
        await asyncio.sleep(120)
        assert (world.stable(), "guard" in world.status()["stable"]) == ("2", False)
