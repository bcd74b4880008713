"""Foreign objects are never touched, orphans are adopted, the children of a dead namesake are waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headgate_operator.kube import Reply
from in_process_transport import Call
from operator_world import NAME, NAMESPACE, Operated, model_deployment, operated

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]
Obj = dict[str, Any]


def foreign_service(name: str = NAME) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"team": "other"}},
        "spec": {"selector": {"app": "other"}, "ports": [{"name": "web", "port": 8000}]},
    }


def spoken_for(world: Operated, name: str) -> Obj:
    found = world.client.get("Service", NAMESPACE, name)
    assert found is not None
    selector: Obj = found["spec"]["selector"]
    return selector


@pytest.mark.parametrize("name", [NAME, f"{NAME}-candidate"])
async def test_a_foreign_service_of_our_name_is_a_conflict_and_stays_as_it_is(name: str) -> None:
    async with operated(promise=None) as world:
        world.client.create(foreign_service(name))
        world.create()
        await world.until(lambda: world.condition("Stalled").get("reason") == "NameConflict")
        await asyncio.sleep(60)
        assert spoken_for(world, name) == {"app": "other"}
        assert world.children("Deployment") == []
        world.client.delete("Service", NAMESPACE, name)
        await world.established("1")


async def test_a_foreign_service_made_between_our_look_and_our_write_is_not_overwritten() -> None:
    async with operated(promise=None) as world:
        made: list[Call] = []

        def race(call: Call) -> Reply | None:
            if not made and call.writes and call.path.endswith(f"/services/{NAME}"):
                made.append(call)
                world.client.create(foreign_service())
            return None

        world.transport.before = race
        world.create()
        await world.until(lambda: world.condition("Stalled").get("reason") == "NameConflict")
        assert made
        assert spoken_for(world, NAME) == {"app": "other"}
        assert "ownerReferences" not in (world.client.get("Service", NAMESPACE, NAME) or {})["metadata"]


async def test_a_new_object_of_the_same_name_waits_for_the_old_ones_children() -> None:
    async with operated(promise=None) as world:
        world.create()
        await world.established("1")
        old = {child["metadata"]["uid"] for child in world.children("Deployment")}
        world.client.delete("ModelDeployment", NAMESPACE, NAME)
        world.registry.aliases["champion"] = "2"
        world.create()
        await world.established("2")
        assert world.outcomes() == ["Promoted"], "a first deployment of its own"
        assert not old & {child["metadata"]["uid"] for child in world.children("Deployment")}


async def test_children_of_a_namesake_that_garbage_collection_left_are_not_touched() -> None:
    async with operated(promise=None) as world:
        left = foreign_service()
        reference = {"apiVersion": "headgate.dev/v1alpha1", "kind": "ModelDeployment", "name": NAME, "uid": "gone"}
        left["metadata"]["ownerReferences"] = [{**reference, "controller": True}]
        left["metadata"]["finalizers"] = ["example.com/slow"]  # collection takes its time
        world.client.create(left)
        world.create()
        await world.until(lambda: world.condition("Progressing").get("reason") == "WaitingForGarbageCollection")
        assert spoken_for(world, NAME) == {"app": "other"}
        world.client.patch_merge("Service", NAMESPACE, NAME, {"metadata": {"finalizers": None}})
        await world.established("1")


async def test_orphans_of_a_deleted_object_are_adopted_without_a_restart() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        pods = {pod["metadata"]["uid"] for pod in world.children("Pod")}
        world.client.delete("ModelDeployment", NAMESPACE, NAME, propagation="Orphan")
        await world.until(lambda: world.client.get("ModelDeployment", NAMESPACE, NAME) is None)
        world.client.create(model_deployment())
        await world.until(lambda: world.outcomes() == ["Adopted"] and world.condition("Ready").get("status") == "True")
        uid = world.object()["metadata"]["uid"]

        def owners() -> set[str]:
            kinds = ("Deployment", "ControllerRevision", "ConfigMap", "Service")
            references = (c["metadata"].get("ownerReferences", [{}]) for kind in kinds for c in world.children(kind))
            return {reference[0].get("uid", "nobody") for reference in references}

        await world.until(lambda: owners() == {uid})
        assert {pod["metadata"]["uid"] for pod in world.children("Pod")} == pods


async def test_a_lost_status_is_rebuilt_from_the_world() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        version = world.object()["metadata"]["resourceVersion"]
        await asyncio.sleep(5)
        obj = world.object()
        assert obj["metadata"]["resourceVersion"] == version
        world.client.update_status({**obj, "status": {}})
        await world.until(lambda: world.outcomes() == ["Adopted"])
        await world.established("1")


async def test_deleting_in_the_middle_of_a_switch_leaves_nothing() -> None:
    async with operated(promise=None) as world:
        world.create()
        await world.established("1")

        def remove(call: Call, reply: Reply) -> None:
            if world.status().get("rollout", {}).get("phase") == "Switching":
                world.transport.after = lambda _call, _reply: None
                world.client.delete("ModelDeployment", NAMESPACE, NAME)

        world.transport.after = remove
        world.move_alias("2")
        await world.until(lambda: world.client.get("ModelDeployment", NAMESPACE, NAME) is None)
        kinds = ("Deployment", "ControllerRevision", "ConfigMap", "Service", "Pod")
        await world.until(lambda: not any(world.children(kind) for kind in kinds))
        world.registry.aliases["champion"] = "3"
        world.create()
        await world.established("3")


async def test_a_key_that_somebody_adds_to_the_public_selector_is_taken_away_again() -> None:
    async with operated(promise=None) as world:
        world.create()
        await world.established("1")
        before = spoken_for(world, NAME)
        world.client.patch_merge("Service", NAMESPACE, NAME, {"spec": {"selector": {"team": "x"}}})
        await world.until(lambda: spoken_for(world, NAME) == before, within=60)
        await world.until(lambda: world.serving() == {"1"}, within=60)
