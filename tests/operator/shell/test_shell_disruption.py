"""The disruption budget on a control plane: it follows the traffic, is repaired, and is in nobody's way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headgate_operator.kube import Reply
from in_process_transport import Call, refusal
from operator_world import NAME, NAMESPACE, Operated, operated

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]
KIND = "PodDisruptionBudget"


def budget(world: Operated) -> dict[str, Any]:
    found = world.client.get(KIND, NAMESPACE, NAME)
    assert found is not None
    return found


async def test_it_follows_every_narrow() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        first = world.status()["stable"]["revision"]
        await world.until(lambda: world.protected() == first)
        world.move_alias("2")
        await world.established("2")
        await world.until(lambda: world.protected() == world.status()["stable"]["revision"] != first)
        world.order("undo")
        await world.established("1")
        await world.until(lambda: world.protected() == first)


async def test_what_is_asked_for_is_written_without_a_rollout() -> None:
    async with operated() as world:
        world.create(disruption={"maxUnavailable": "50%"})
        await world.established("1")
        await world.until(lambda: budget(world)["spec"]["maxUnavailable"] == "50%")
        world.edit({"disruption": {"maxUnavailable": 0}})
        await world.until(lambda: budget(world)["spec"]["maxUnavailable"] == 0)
        world.edit({"disruption": None})
        await world.until(lambda: budget(world)["spec"]["maxUnavailable"] == 1)
        assert world.outcomes() == ["Promoted"]


async def test_another_limit_set_by_hand_is_put_back() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        await world.until(world.protected)
        edit = {"maxUnavailable": None, "minAvailable": 2, "selector": {"matchLabels": {"a": "b"}}}
        world.client.patch_merge(KIND, NAMESPACE, NAME, {"spec": edit})
        await asyncio.sleep(301)  # nobody is told of it: found at the next look at everything
        assert "minAvailable" not in budget(world)["spec"]
        assert budget(world)["spec"]["maxUnavailable"] == 1
        assert set(budget(world)["spec"]["selector"]["matchLabels"]) == {
            "headgate.dev/deployment",
            "headgate.dev/revision",
        }


async def test_its_status_wakes_nobody_and_is_written_back_by_nobody() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        await world.until(world.protected)
        await asyncio.sleep(60)
        calls = len(world.transport.calls)
        for allowed in range(5):
            obj = {**budget(world), "status": {"disruptionsAllowed": allowed}}
            world.client.update_status(obj)
            await asyncio.sleep(1)
        assert world.transport.calls[calls:] == []
        world.wake()
        await asyncio.sleep(300)
        assert [str(call) for call in world.transport.calls[calls:] if call.writes] == []


async def test_a_foreign_budget_stays_as_it_is_and_rollouts_go_on() -> None:
    async with operated() as world:
        world.oracle.budgets = False
        theirs = {"selector": {"matchLabels": {"app": "other"}}, "minAvailable": 1}
        meta = {"name": NAME, "namespace": NAMESPACE}
        world.client.create({"apiVersion": "policy/v1", "kind": KIND, "metadata": meta, "spec": theirs})
        world.create()
        await world.established("1")
        world.move_alias("2")
        await world.established("2")
        assert world.condition("Stalled")["reason"] == "NameConflict"
        assert world.condition("Ready")["status"] == "False"
        assert "NameConflict" in world.events.reasons
        assert budget(world)["spec"] == theirs
        world.client.delete(KIND, NAMESPACE, NAME)
        await world.until(lambda: world.protected() == world.status()["stable"]["revision"])
        await world.until(lambda: world.condition("Ready")["status"] == "True")


async def test_a_budget_that_is_refused_holds_up_no_rollback() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        world.move_alias("2")
        await world.established("2")

        def forbidden(call: Call) -> Reply | None:
            budgets = call.writes and "poddisruptionbudgets" in call.path
            return refusal(403, "Forbidden", "cannot patch resource") if budgets else None

        world.transport.before = forbidden
        world.order("undo")
        await world.established("1")
        await world.until(lambda: world.condition("Ready")["reason"] == "RefusedByApiServer")
        assert f"{KIND} {NAME}" in world.condition("Ready")["message"]
        world.move_alias("3")
        await world.established("3")
        world.transport.before = lambda _call: None
        await world.until(lambda: world.protected() == world.status()["stable"]["revision"])
        await world.until(lambda: world.condition("Ready")["status"] == "True")
