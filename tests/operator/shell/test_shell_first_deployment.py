"""From nothing to serving, and from one version to the next, on real controllers in virtual time."""

import pytest

from operator_world import operated

pytestmark = pytest.mark.looptime


async def test_the_first_version_is_verified_and_then_serves() -> None:
    async with operated() as world:
        world.create()
        await world.established("1")
        assert world.status()["ready"] == "2/2"
        assert world.condition("Ready")["reason"] == "AsWanted"
        assert world.condition("UpToDate")["status"] == "True"
        assert world.outcomes() == ["Promoted"]


async def test_a_moved_alias_switches_and_the_old_version_goes_after_its_warm_time() -> None:
    async with operated() as world:
        world.create(rollout={"keepWarm": "60s"})
        await world.established("1")
        world.move_alias("2")
        await world.established("2")
        assert world.deployed() == {"1", "2"}, "the old version stays warm"
        await world.until(lambda: world.deployed() == {"2"})
        assert world.outcomes() == ["Promoted", "Promoted"]
        assert "previous" not in world.status()
