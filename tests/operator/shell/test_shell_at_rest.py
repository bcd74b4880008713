"""At rest the operator is silent; and what others change of its children is put back without touching the traffic."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from operator_world import NAME, NAMESPACE, Operated, operated

pytestmark = pytest.mark.looptime


async def test_ten_resyncs_at_rest_write_nothing_and_tell_nothing() -> None:
    async with operated() as world:
        world.create(
            serving={
                "resources": {"requests": {"cpu": "1000m", "memory": "0.5Gi"}, "limits": {"cpu": 2}},
                "env": [{"name": "EMPTY", "value": ""}, {"name": "A", "value": "b"}],
            },
            traffic={"service": {"annotations": {"example.com/a": "b"}, "labels": {"team": "growth"}}},
            rollout={"keepWarm": "5s"},
        )
        await world.established("1")
        world.move_alias("2")
        await world.until(lambda: world.deployed() == {"2"})
        await asyncio.sleep(60)
        calls, events, version = len(world.transport.calls), len(world.events.told), world.object()["metadata"]
        for _ in range(10):
            world.wake()
            await asyncio.sleep(300)
        since = world.transport.calls[calls:]
        assert [str(call) for call in since if call.writes] == []
        assert len(since) >= 10, "the resyncs did look"
        assert world.events.told[events:] == []
        assert world.object()["metadata"] == version


async def settled(world: Operated) -> None:
    world.create()
    await world.established("1")


def selected(world: Operated) -> str:
    service = world.client.get("Service", NAMESPACE, NAME)
    assert service is not None
    return str(service["spec"]["selector"]["headgate.dev/revision"])


async def test_a_public_selector_edited_by_hand_is_put_back() -> None:
    async with operated(promise=None) as world:
        await settled(world)
        world.client.patch_merge("Service", NAMESPACE, NAME, {"spec": {"selector": {"headgate.dev/revision": "other"}}})
        assert selected(world) == "other"
        await world.until(lambda: selected(world) == world.status()["stable"]["revision"])
        await world.until(lambda: world.serving() == {"1"} and len(world.public_endpoints()) == 2)


async def test_a_deployment_edited_by_hand_is_put_back() -> None:
    async with operated(promise=None) as world:
        await settled(world)
        name = world.children("Deployment")[0]["metadata"]["name"]
        world.client.patch_merge("Deployment", NAMESPACE, name, {"spec": {"replicas": 7}})
        await world.until(lambda: world.children("Deployment")[0]["spec"]["replicas"] == 2)


@pytest.mark.parametrize("kind", ["Service", "Deployment", "ControllerRevision", "ConfigMap", "PodDisruptionBudget"])
async def test_a_child_that_somebody_deletes_is_made_again(kind: str) -> None:
    async with operated(promise=None) as world:
        await settled(world)
        revision = world.status()["stable"]["revision"]
        old = next(child for child in world.children(kind))
        world.client.delete(kind, NAMESPACE, old["metadata"]["name"])

        def again() -> Any:
            found = world.client.get(kind, NAMESPACE, old["metadata"]["name"])
            return found is not None and found["metadata"]["uid"] != old["metadata"]["uid"]

        await world.until(again)
        await world.until(lambda: world.status()["ready"] == "2/2" and world.serving() == {"1"})
        assert world.status()["stable"]["revision"] == revision
        assert world.outcomes() == ["Promoted"]


async def test_service_annotations_that_the_user_takes_away_go() -> None:
    async with operated() as world:
        world.create(traffic={"service": {"port": 80, "annotations": {"a": "1", "b": "2"}}})
        await world.established("1")
        world.edit({"traffic": {"service": {"port": 81, "annotations": {"a": None}}}})

        def present() -> tuple[set[str], list[int]]:
            found = world.client.get("Service", NAMESPACE, NAME) or {}
            annotations = set(found["metadata"].get("annotations", {})) & {"a", "b"}
            return annotations, [port["port"] for port in found["spec"]["ports"]]

        await world.until(lambda: present() == ({"b"}, [81]))
        assert world.status()["url"].endswith(":81")


async def test_the_type_of_the_service_is_the_users_and_a_change_by_hand_is_put_back() -> None:
    async with operated() as world:
        world.create(traffic={"service": {"type": "NodePort"}})
        await world.established("1")

        def kind() -> str:
            return str((world.client.get("Service", NAMESPACE, NAME) or {})["spec"]["type"])

        assert kind() == "NodePort"
        world.client.patch_merge("Service", NAMESPACE, NAME, {"spec": {"type": "ClusterIP"}})
        await world.until(lambda: kind() == "NodePort")
        world.edit({"traffic": {"service": {"type": None}}})
        await world.until(lambda: kind() == "ClusterIP")


async def test_an_upgraded_operator_with_another_default_image_restarts_nothing() -> None:
    async with operated() as world:
        await settled(world)
        before = {pod["metadata"]["uid"] for pod in world.children("Pod")}
        world.image = "ghcr.io/headgate/headgate-server:next"
        world.start_process()
        world.wake()
        await asyncio.sleep(900)
        assert {pod["metadata"]["uid"] for pod in world.children("Pod")} == before
        world.move_alias("2")
        await world.established("2")
        images = {pod["spec"]["containers"][0]["image"] for pod in world.children("Pod")}
        assert world.image in images, "the next version gets it"


async def test_replicas_follow_the_spec_and_zero_stops_everything() -> None:
    async with operated(promise=None) as world:
        await settled(world)
        world.edit({"replicas": 4})
        await world.until(lambda: world.status()["ready"] == "4/4" and len(world.public_endpoints()) == 4)
        world.edit({"replicas": 0})
        await world.until(lambda: world.children("Pod") == [])
        await world.until(lambda: world.condition("Available")["reason"] == "ScaledToZero")
        world.move_alias("2")
        await asyncio.sleep(60)
        assert world.deployed() == {"1"}, "no rollout starts at zero"
        world.edit({"replicas": 2})
        await world.established("2")


async def test_a_deleted_deployment_leaves_nothing_behind() -> None:
    async with operated(promise=None) as world:
        await settled(world)
        world.client.delete("ModelDeployment", NAMESPACE, NAME)
        kinds = ("Deployment", "ControllerRevision", "ConfigMap", "Service", "PodDisruptionBudget", "Pod")
        await world.until(lambda: not any(world.children(kind) for kind in kinds))
        assert world.interests.answers == {}
