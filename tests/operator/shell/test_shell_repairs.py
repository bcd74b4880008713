"""Somebody edits or deletes what belongs to the operator while it serves: it is put right, and it goes on serving."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fake_runtime import Script
from operator_world import NAME, NAMESPACE, Operated, operated

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]
Obj = dict[str, Any]


def select(world: Operated, revision: str) -> None:
    selector = {"headgate.dev/deployment": NAME, "headgate.dev/revision": revision}
    world.client.patch_merge("Service", NAMESPACE, NAME, {"spec": {"selector": selector}})


def selected(world: Operated) -> str | None:
    service = world.client.get("Service", NAMESPACE, NAME) or {}
    revision: str | None = service["spec"]["selector"].get("headgate.dev/revision")
    return revision


def pods_of(world: Operated) -> set[str]:
    return {pod["metadata"]["uid"] for pod in world.children("Pod")}


async def test_a_selector_that_names_the_candidate_is_put_back_and_is_no_promotion() -> None:
    async with operated(promise=None) as world:
        world.create(rollout={"strategy": "BlueGreen", "blueGreen": {"approval": "Manual"}})
        await world.established("1")
        world.move_alias("2")
        await world.until(lambda: world.condition("Progressing").get("reason") == "WaitingForApproval")
        stable, candidate = (world.status()[role]["revision"] for role in ("stable", "candidate"))
        select(world, candidate)
        await world.until(lambda: selected(world) == stable, within=5)
        await world.until(lambda: world.serving() == {"1"}, within=5)
        await asyncio.sleep(30)
        assert (world.stable(), world.status()["candidate"]["revision"]) == ("1", candidate)
        assert world.outcomes() == ["Promoted"]


async def test_a_selector_that_names_a_revision_that_never_was_is_put_back() -> None:
    async with operated(promise=None) as world:
        world.create()
        await world.established("1")
        before, stable = pods_of(world), world.status()["stable"]["revision"]
        select(world, "0123456789")
        await world.until(lambda: selected(world) == stable, within=5)
        await world.until(lambda: world.serving() == {"1"}, within=5)
        await asyncio.sleep(30)
        assert pods_of(world) == before
        assert world.outcomes() == ["Promoted"]


async def test_a_selector_that_names_a_rejected_revision_whose_pods_still_run_is_put_back() -> None:
    async with operated(promise=None) as world:
        world.create()
        await world.established("1")
        stable = world.status()["stable"]["revision"]
        world.move_alias("2")
        await world.until(lambda: "2" in world.deployed())
        candidate = world.status()["candidate"]["revision"]
        world.order("abort")
        await world.until(lambda: world.outcomes()[-1:] == ["RolledBack"])
        select(world, candidate)
        await world.until(lambda: selected(world) == stable, within=5)
        await world.until(lambda: world.deployed() == {"1"}, within=120)
        assert world.serving() == {"1"}
        assert world.stable() == "1"


@pytest.mark.parametrize("image", ["server:1", "server:2"], ids=["the same default image", "another default image"])
async def test_the_stored_revision_of_what_serves_is_made_again(image: str) -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        before, stable = pods_of(world), world.status()["stable"]["deployment"]
        stored = world.client.get("ControllerRevision", NAMESPACE, stable)
        assert stored is not None
        world.image = image if image != "server:1" else world.image
        world.start_process()
        world.client.delete("ControllerRevision", NAMESPACE, stable)
        world.wake()
        again = await world.until(lambda: world.client.get("ControllerRevision", NAMESPACE, stable), within=30)
        assert again["data"] == stored["data"]
        await asyncio.sleep(60)
        assert pods_of(world) == before
        assert (world.outcomes(), world.deployed()) == (["Promoted"], {"1"})


async def test_what_serves_is_repaired_also_after_its_stored_revision_was_deleted() -> None:
    async with operated(promise=None) as world:
        world.create()
        await world.established("1")
        stable = world.status()["stable"]["deployment"]
        for kind in ("ControllerRevision", "Deployment"):
            world.client.delete(kind, NAMESPACE, stable)
        world.wake()
        await world.until(lambda: world.serving() == {"1"})
        assert world.status()["stable"]["deployment"] == stable


async def test_a_revision_that_is_deleted_while_another_is_on_its_way_leaves_its_pods_serving() -> None:
    async with operated(script=Script()) as world:
        world.create(rollout={"strategy": "BlueGreen", "blueGreen": {"minDuration": "60s"}})
        await world.established("1")
        stable = world.status()["stable"]["deployment"]
        world.move_alias("2")
        await world.until(lambda: world.status().get("candidate", {}).get("verifiedAt"))
        world.client.delete("ControllerRevision", NAMESPACE, stable)
        await world.until(lambda: world.at_rest_on("2"))
