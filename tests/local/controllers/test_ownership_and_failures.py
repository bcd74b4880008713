"""Adoption, release, garbage collection, and a ReplicaSet that is not allowed to make its pods."""

from __future__ import annotations

from typing import Any

import pytest

from headgate_local.controllers.objects import controller_of
from headgate_local.errors import ApiError
from plane_world import World, deployment, eventually, pod, scripted_plane

pytestmark = pytest.mark.looptime


async def test_refused_pods_are_told_as_replica_failure_until_they_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, runtime = scripted_plane()
    allowed = False
    create = plane._client.create

    def guarded(obj: dict[str, Any]) -> dict[str, Any]:
        if obj["kind"] == "Pod" and not allowed:
            raise ApiError(403, "Forbidden", "exceeded quota: pods")
        return create(obj)

    monkeypatch.setattr(plane._client, "create", guarded)
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(2))
        failure = await eventually(lambda: world.condition("ReplicaFailure"))
        assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
        assert "exceeded quota" in failure["message"]
        allowed = True
        await eventually(world.is_rolled_out)
        assert world.condition("ReplicaFailure") == {}


async def test_a_matching_orphan_is_adopted_and_counted() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(1))
        await eventually(world.is_rolled_out)
        [rs] = world.replica_sets()
        labels = rs["spec"]["selector"]["matchLabels"]
        plane.client.create(pod("stray", labels=labels))
        # One too many: the adopted pod is the unready one and goes first.
        await eventually(lambda: [p["metadata"]["name"] for p in world.pods()] != ["stray"] and len(world.pods()) == 1)


async def test_a_pod_whose_labels_are_changed_is_let_go_and_replaced() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(1))
        await eventually(world.is_rolled_out)
        name = world.pods()[0]["metadata"]["name"]
        plane.client.patch_merge("Pod", "default", name, {"metadata": {"labels": {"app": "quarantine"}}})
        await eventually(lambda: world.ready() == 2)
        assert controller_of(world.pod(name)) is None


async def test_a_deleted_deployment_takes_everything_with_it() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(2))
        await eventually(world.is_rolled_out)
        plane.client.delete("Deployment", "default", "web")
        await eventually(lambda: not world.pods() and not world.replica_sets() and not runtime.containers, within=10)


async def test_an_orphaned_deployment_leaves_its_pods_serving() -> None:
    plane, runtime = scripted_plane()
    async with plane:
        world = World(plane, runtime)
        plane.client.create(deployment(2))
        await eventually(world.is_rolled_out)
        before = {p["metadata"]["uid"] for p in world.pods()}
        plane.client.delete("Deployment", "default", "web", propagation="Orphan")
        await eventually(lambda: plane.client.get("Deployment", "default", "web") is None)
        await eventually(lambda: controller_of(world.replica_sets()[0]) is None)
        plane.client.create(deployment(2))
        await eventually(world.is_rolled_out)
        assert {p["metadata"]["uid"] for p in world.pods()} == before
