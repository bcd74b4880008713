"""Each decision is one line of the log, with its facts as fields."""

import logging

import pytest

from operator_world import operated

pytestmark = pytest.mark.looptime


async def test_every_decision_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "headgate_operator.reconciler")
    async with operated() as world:
        world.create()
        await world.established("1")
        lines = [vars(record) for record in caplog.records if record.getMessage() == "decision"]
        assert [(line["rollout"], line["what"], line["by"]) for line in lines] == [(1, "Promoted", "Policy")]
        assert lines[0]["key"] == str(world.key)
        assert lines[0]["reason"].startswith("verified: ")
        assert world.status()["history"][-1]["decisions"][0]["at"] == lines[0]["at"]
