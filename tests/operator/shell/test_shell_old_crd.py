"""A server that keeps less than was written must not be asked again and again, nor acted on."""

from __future__ import annotations

import copy

import pytest

import operator_world
from operator_world import operated

pytestmark = pytest.mark.looptime


async def test_a_status_that_the_server_does_not_keep_is_told_and_backed_off_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = copy.deepcopy(operator_world.definition())
    del old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["ready"]
    monkeypatch.setattr(operator_world, "definition", lambda: old)
    async with operated(promise=None, running=False) as world:
        world.create()
        results = [await world.reconciler.reconcile(world.key) for _ in range(5)]
        assert all(result.backoff for result in results)
        assert "CRD older than this operator" in results[-1].reason
        assert results[-1].reason.endswith(": ready")
        assert world.events.reasons == ["StatusNotKept"], "once, for whoever does not read the operator's log"
        assert "CRD older than this operator" in world.events.told[0].message
