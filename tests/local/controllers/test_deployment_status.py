"""What a Deployment says of itself: conditions, reasons and counts that kubectl and the operator read."""

from __future__ import annotations

import asyncio

import pytest

from fake_runtime import Script
from plane_world import World, deployment, eventually, scripted_plane

pytestmark = pytest.mark.looptime


async def test_finished_rollout_says_so() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(2))
        await eventually(world.is_rolled_out)
        assert world.condition("Progressing")["reason"] == "NewReplicaSetAvailable"
        assert world.condition("Available")["reason"] == "MinimumReplicasAvailable"
        assert world.status()["observedGeneration"] == 1


async def test_stuck_rollout_exceeds_its_deadline_and_recovers() -> None:
    plane, runtime = scripted_plane()
    runtime.script("web:2", Script(never_ready=True))
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(1, progressDeadlineSeconds=60))
        await eventually(world.is_rolled_out)
        world.set_image("web:2")
        await asyncio.sleep(50)
        assert world.condition("Progressing")["reason"] == "ReplicaSetUpdated"
        await eventually(lambda: world.condition("Progressing")["reason"] == "ProgressDeadlineExceeded", within=15)
        assert world.condition("Progressing")["status"] == "False"
        assert world.condition("Available")["status"] == "True"
        world.set_image("web:3")
        await eventually(lambda: world.condition("Progressing")["reason"] == "NewReplicaSetAvailable")


async def test_lost_pods_of_a_finished_rollout_never_exceed_the_deadline() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(1, progressDeadlineSeconds=30))
        await eventually(world.is_rolled_out)
        runtime.rescript(world.pods()[0]["metadata"]["name"], Script(never_ready=True))
        await eventually(lambda: world.condition("Available")["status"] == "False")
        await asyncio.sleep(120)
        assert world.condition("Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_paused_deployment_changes_no_template_but_scales() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(2))
        await eventually(world.is_rolled_out)
        world.patch({"spec": {"paused": True}})
        world.set_image("web:2")
        world.patch({"spec": {"replicas": 4}})
        await eventually(lambda: world.ready("web:1") == 4)
        assert world.condition("Progressing")["reason"] == "DeploymentPaused"
        assert world.ready("web:2") == 0
        world.patch({"spec": {"paused": False}})
        await eventually(lambda: world.is_rolled_out() and world.ready("web:2") == 4)


async def test_scaling_in_the_middle_of_a_rollout_is_spread_in_proportion() -> None:
    plane, runtime = scripted_plane()
    runtime.script("web:2", Script(never_ready=True))
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(10, strategy=rolling))
        await eventually(world.is_rolled_out)
        world.set_image("web:2")
        await eventually(lambda: sorted(rs["spec"]["replicas"] for rs in world.replica_sets()) == [5, 8])
        world.patch({"spec": {"replicas": 15}})
        # The example of the Kubernetes documentation: 3 of the 5 more go to the larger ReplicaSet, 2 to the smaller.
        await eventually(lambda: sorted(rs["spec"]["replicas"] for rs in world.replica_sets()) == [7, 11])


async def test_scale_to_zero_and_back() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(3))
        await eventually(world.is_rolled_out)
        world.patch({"spec": {"replicas": 0}})
        await eventually(lambda: not world.pods())
        assert world.is_rolled_out()
        world.patch({"spec": {"replicas": 1}})
        await eventually(lambda: world.ready() == 1)


async def test_steady_state_writes_nothing() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(2))
        await eventually(world.is_rolled_out)
        await asyncio.sleep(30)
        before = plane.api.store.version
        await asyncio.sleep(600)
        assert plane.api.store.version == before
