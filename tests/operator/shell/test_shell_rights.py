"""A right that is missing is named where people look, and costs only what rests on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from in_process_transport import Call, refusal
from operator_world import Operated, operated

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(120)]


def forbid(world: Operated, what: Callable[[Call], bool], resource: str) -> None:
    words = f'User "system:serviceaccount:headgate:headgate" cannot use resource "{resource}"'
    world.transport.before = lambda call: refusal(403, "Forbidden", words) if what(call) else None


def permit(world: Operated) -> None:
    world.transport.before = lambda _call: None


@pytest.mark.parametrize(
    "resource", ["deployments", "controllerrevisions", "configmaps", "services", "pods", "endpointslices"]
)
async def test_a_kind_that_must_not_be_read_is_named_and_nothing_is_decided(resource: str) -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        forbid(world, lambda call: not call.writes and f"/{resource}" in call.path, resource)
        world.move_alias("2")
        await world.until(lambda: world.condition("Ready").get("reason") == "RefusedByApiServer")
        for kind in ("Ready", "Progressing", "Stalled"):
            assert f'resource "{resource}"' in world.condition(kind)["message"]
        assert world.condition("Stalled")["status"] == "True"
        assert world.condition("Available")["status"] == "True", "what was known stays known"
        assert world.events.reasons.count("RefusedByApiServer") == 1
        writes = [call for call in world.transport.calls if call.writes]
        await asyncio.sleep(600)
        assert [call for call in world.transport.calls if call.writes] == writes
        assert world.serving() == {"1"}
        permit(world)
        await world.established("2")
        assert world.condition("Stalled")["status"] == "False"


async def test_a_budget_that_must_not_be_read_holds_up_no_rollout_and_is_named() -> None:
    async with operated() as world:
        forbid(world, lambda call: "poddisruptionbudgets" in call.path, "poddisruptionbudgets")
        world.create()
        await world.established("1")
        world.move_alias("2")
        await world.established("2")
        assert world.condition("Ready")["reason"] == "RefusedByApiServer"
        assert "poddisruptionbudgets" in world.condition("Ready")["message"]
        assert world.protected() == ""
        permit(world)
        await world.until(lambda: world.protected() == world.status()["stable"]["revision"])
        await world.until(lambda: world.condition("Ready")["status"] == "True")


async def test_a_status_that_must_not_be_written_is_told_by_one_event() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        forbid(world, lambda call: call.writes and call.path.endswith("/status"), "modeldeployments/status")
        told = len(world.events.told)
        world.move_alias("2")
        await asyncio.sleep(600)
        assert [event.reason for event in world.events.told[told:]] == ["RefusedByApiServer"]
        assert "modeldeployments/status" in world.events.told[-1].message
        assert world.serving() == {"1"}
        permit(world)
        await world.established("2")


async def test_each_write_that_is_forbidden_is_named_in_a_condition() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        forbid(world, lambda call: call.writes and "/controllerrevisions/" in call.path, "controllerrevisions")
        world.move_alias("2")
        await world.until(lambda: world.condition("Progressing").get("reason") == "RefusedByApiServer")
        assert 'resource "controllerrevisions"' in world.condition("Progressing")["message"]
        permit(world)
        await world.established("2")
