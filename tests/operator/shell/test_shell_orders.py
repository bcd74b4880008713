"""Commands and webhooks through the API, as a person and a receiver meet them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate_operator.posting import Posted
from operator_world import Operated, operated

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

BOT = {"name": "bot", "url": "https://bots.example.com/approve", "when": "BeforePromotion"}
PAGE = {"name": "page", "url": "https://bots.example.com/page", "when": "OnRollback"}


async def answered(world: Operated, command: str) -> tuple[str, str]:
    def last() -> dict[str, Any]:
        return dict(world.status().get("lastCommand") or {})

    await world.until(lambda: last().get("id") == command)
    return last()["outcome"], last()["message"]


def says(approve: bool, message: str = "") -> Posted:
    return Posted(200, json.dumps({"approve": approve, "message": message}).encode())


async def test_a_pause_is_kept_by_the_api_and_outlives_the_process() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        assert (await answered(world, world.order("pause")))[0] == "Accepted"
        assert world.status()["pause"]["by"] == "erika"
        world.start_process()
        world.move_alias("2")
        await world.until(lambda: world.condition("Ready")["reason"] == "Paused")
        assert "erika" in world.condition("Ready")["message"]
        assert world.deployed() == {"1"}
        assert (await answered(world, world.order("resume")))[0] == "Accepted"
        await world.established("2")
        assert "pause" not in world.status()


async def test_a_restart_goes_the_way_of_a_new_version_and_leaves_nothing_behind() -> None:
    async with operated() as world:
        world.create(rollout={"keepWarm": "10s"})
        await world.established("1")
        before = world.status()["stable"]["revision"]
        assert (await answered(world, world.order("restart")))[0] == "Accepted"
        await world.until(lambda: world.status()["stable"]["revision"] != before and "rollout" not in world.status())
        await world.until(lambda: "previous" not in world.status())
        assert world.outcomes() == ["Promoted", "Promoted"]
        assert world.status()["history"][-1]["reason"] == "Restart"
        assert "restart" not in world.status()
        assert "rejected" not in world.status()


async def test_undo_to_a_version_by_its_number() -> None:
    async with operated() as world:
        world.create(rollout={"keepWarm": "0s"})
        for version in ("1", "2", "3"):
            world.move_alias(version)
            await world.established(version)
        refused = await answered(world, world.order("undo", args={"to": "9"}))
        assert refused == ("Refused", "history knows no version 9; it knows 1, 2, 3")
        assert (await answered(world, world.order("undo", args={"to": "1"})))[0] == "Accepted"
        await world.established("1")
        assert world.condition("Ready")["reason"] == "HeldByUndo"


async def test_a_promotion_waits_for_its_webhook_and_a_rollback_is_told() -> None:
    async with operated() as world:
        world.create(analysis={"webhooks": [BOT, PAGE]})
        await world.established("1")
        assert world.receiver.posted == []
        world.move_alias("2")
        await world.until(lambda: world.condition("Progressing")["reason"] == "WaitingForWebhook")
        await world.until(lambda: len(world.receiver.posted) >= 2)
        assert "does not accept connections" in world.condition("Progressing")["message"]
        assert {body["id"] for _, body in world.receiver.posted} == {f"{world.object()['metadata']['uid']}/2/bot"}
        world.receiver.answers["/approve"] = says(True, "go")
        await world.established("2")
        (result,) = world.status()["webhooks"]
        assert (result["outcome"], result["message"], result["rollout"]) == ("Approved", "go", 2)
        world.receiver.answers["/page"] = Posted(204, b"")
        world.receiver.posted.clear()
        assert (await answered(world, world.order("undo")))[0] == "Accepted"
        await world.established("1")
        await world.until(lambda: bool(world.receiver.posted))
        assert [(path, body["outcome"]) for path, body in world.receiver.posted] == [("/page", "RolledBack")]
        await world.until(lambda: world.status()["webhooks"][-1]["outcome"] == "Delivered")
