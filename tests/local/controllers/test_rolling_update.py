"""Rolling updates in virtual time: what is promised about available pods holds at every single change."""

from __future__ import annotations

import asyncio

import pytest

from fake_runtime import Script
from plane_world import World, deployment, eventually, scripted_plane

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "most", "least"),
    [
        (3, 1, 0, 4, 3),
        (4, "25%", "25%", 5, 3),
        (5, "30%", "0%", 7, 5),
        (3, 0, 1, 3, 2),
        (2, "1%", "1%", 3, 2),
        (10, "100%", "50%", 20, 5),
        (1, 0, "25%", 1, 0),
    ],
)
async def test_update_never_leaves_the_fence(
    replicas: int, surge: int | str, unavailable: int | str, most: int, least: int
) -> None:
    plane, runtime = scripted_plane(Script(ready_after=2.0))
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(replicas, strategy=rolling))
        await eventually(world.is_rolled_out)
        seen_ready: list[int] = []
        seen_active: list[int] = []

        def watch(change: object) -> None:
            seen_ready.append(world.ready())
            seen_active.append(world.active())

        stop = plane.api.store.on_change(watch)
        world.set_image("web:2")
        await eventually(world.is_rolled_out)
        stop()
        assert world.ready("web:2") == replicas
        assert min(seen_ready) >= least
        assert max(seen_active) <= most


async def test_unready_new_pods_stop_the_update_with_old_ones_serving() -> None:
    plane, runtime = scripted_plane()
    runtime.script("web:2", Script(never_ready=True))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(4))
        await eventually(world.is_rolled_out)
        world.set_image("web:2")
        await asyncio.sleep(120)
        assert world.ready("web:1") == 3
        assert world.active() == 5


async def test_broken_update_is_replaced_without_touching_healthy_pods() -> None:
    plane, runtime = scripted_plane()
    runtime.script("web:2", Script(never_ready=True))
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(3, strategy=rolling))
        await eventually(world.is_rolled_out)
        before = {p["metadata"]["uid"] for p in world.pods()}
        world.set_image("web:2")
        await eventually(lambda: world.active() == 4)
        world.set_image("web:1")
        await eventually(world.is_rolled_out)
        await eventually(lambda: len(world.pods()) == 3)
        assert {p["metadata"]["uid"] for p in world.pods()} == before


async def test_old_template_is_reused_under_the_next_revision() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(1))
        await eventually(world.is_rolled_out)
        first = world.replica_sets()[0]["metadata"]["name"]
        world.set_image("web:2")
        await eventually(world.is_rolled_out)
        world.set_image("web:1")
        await eventually(world.is_rolled_out)
        assert len(world.replica_sets()) == 2
        reused = plane.client.get("ReplicaSet", "default", first)
        assert reused is not None
        notes = reused["metadata"]["annotations"]
        assert notes["deployment.kubernetes.io/revision"] == "3"
        assert notes["deployment.kubernetes.io/revision-history"] == "1"
        assert world.deployment()["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


async def test_recreate_starts_nothing_before_the_last_old_pod_has_ended() -> None:
    plane, runtime = scripted_plane(Script(drain=5.0))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(2, strategy={"type": "Recreate"}))
        await eventually(world.is_rolled_out)
        together: list[set[str]] = []
        stop = plane.api.store.on_change(
            lambda _: together.append({p["spec"]["containers"][0]["image"] for p in world.pods()})
        )
        world.set_image("web:2")
        await eventually(lambda: world.is_rolled_out() and world.ready("web:2") == 2)
        stop()
        assert {"web:1", "web:2"} not in together


async def test_history_keeps_no_more_old_replica_sets_than_asked() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(1, revisionHistoryLimit=1))
        for number in range(1, 5):
            world.set_image(f"web:{number}")
            await eventually(world.is_rolled_out)
        await eventually(lambda: len(world.replica_sets()) == 2)


async def test_min_ready_seconds_delays_available() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(2, minReadySeconds=30))
        await eventually(lambda: world.status().get("readyReplicas") == 2)
        assert world.status().get("availableReplicas", 0) == 0
        await asyncio.sleep(20)
        assert world.status().get("availableReplicas", 0) == 0
        await eventually(lambda: world.status().get("availableReplicas") == 2, within=15)
