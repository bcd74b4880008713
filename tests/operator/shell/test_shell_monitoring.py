"""Canaries that ask Prometheus: custom metrics as gates, and counts from it instead of from the pods."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from fake_runtime import BUCKETS
from headgate_operator.core.observed import Pod, PodAddress, Traffic
from headgate_operator.counters import read
from headgate_operator.prometheus import Trouble
from operator_world import Operated, operated

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

URL = "http://prometheus:9090"
watched = partial(operated, promise=None)  # its oracle knows no shared traffic
REVENUE = {"name": "revenue", "query": "revenue", "min": "0.98"}


def canary(*metrics: dict[str, Any], **analysis: Any) -> dict[str, Any]:
    return {
        "replicas": 2,
        "rollout": {"strategy": "Canary", "steps": [{"weight": 50}]},
        "analysis": {"prometheus": {"url": URL}, "metrics": list(metrics), **analysis},
    }


def serve(world: Operated) -> None:
    """One second of traffic: every container answers."""
    for container in world.runtime.containers.values():
        if not container.requests:
            container.requests.append(["predict", 200, 0, [0] * (len(BUCKETS) + 1)])
        row = container.requests[0]
        row[2] += 200
        row[3][20] += 200


async def under_traffic(world: Operated, condition: Callable[[], bool], seconds: int = 1200) -> bool:
    for _ in range(seconds):
        if condition():
            return True
        serve(world)
        await asyncio.sleep(1)
    return False


def waiting(world: Operated) -> str:
    return str(world.status().get("candidate", {}).get("waitingFor", ""))


async def test_a_promotion_waits_for_a_metric_and_goes_on_with_it() -> None:
    async with watched() as world:
        world.prometheus.values["revenue"] = 0.5
        world.create(**canary(REVENUE))
        await world.established("1")
        world.move_alias("2")
        assert await under_traffic(world, lambda: waiting(world) == "metric revenue must be at least 0.98")
        assert not await under_traffic(world, lambda: world.stable() == "2", seconds=300)
        assert "rejected" not in world.status()
        world.prometheus.values["revenue"] = 1.0
        assert await under_traffic(world, lambda: world.at_rest_on("2"))


async def test_a_bad_metric_rolls_back_where_it_shall_and_after_its_time() -> None:
    async with watched() as world:
        world.prometheus.values["revenue"] = 0.5
        world.create(**canary({**REVENUE, "onFailure": "Rollback", "for": "1m"}))
        await world.established("1")
        world.move_alias("2")
        assert await under_traffic(world, lambda: "rejected" in world.status())
        (rejected,) = world.status()["rejected"]
        assert (rejected["version"], rejected["by"], rejected["gate"]) == ("2", "Analysis", "metrics/revenue")
        assert rejected["message"] == "revenue is 0.5, and at least 0.98 is wanted"
        assert world.stable() == "1"


async def test_a_dry_run_decides_nothing() -> None:
    async with watched() as world:
        world.prometheus.values["revenue"] = 0.5
        world.create(**canary({**REVENUE, "onFailure": "Rollback", "dryRun": True}))
        await world.established("1")
        world.move_alias("2")
        assert await under_traffic(world, lambda: world.at_rest_on("2"))
        assert "rejected" not in world.status()


async def test_a_prometheus_in_trouble_is_no_verdict() -> None:
    async with watched() as world:
        world.prometheus.trouble = Trouble(f"{URL} does not answer in time")
        world.create(**canary({**REVENUE, "onFailure": "Rollback"}))
        await world.established("1")
        world.move_alias("2")
        assert await under_traffic(world, lambda: waiting(world) == f"metric revenue: {URL} does not answer in time")
        assert not await under_traffic(world, lambda: "candidate" not in world.status(), seconds=300)
        world.prometheus.trouble = None
        world.prometheus.values["revenue"] = 1.0
        assert await under_traffic(world, lambda: world.at_rest_on("2"))


async def test_a_query_names_the_revisions_and_is_asked_only_while_the_traffic_is_shared() -> None:
    async with watched() as world:
        world.create(**canary({**REVENUE, "query": "${candidate}/${stable}/${namespace}/${name}", "dryRun": True}))
        await world.established("1")
        stable = world.status()["stable"]["revision"]
        assert world.prometheus.asked == []
        world.move_alias("2")
        assert await under_traffic(world, lambda: world.at_rest_on("2"))
        candidate = world.status()["stable"]["revision"]
        assert set(world.prometheus.asked) == {(URL, f"{candidate}/{stable}/default/iris")}
        asked = len(world.prometheus.asked)
        assert not await under_traffic(world, lambda: len(world.prometheus.asked) > asked, seconds=300)


class Scrapes:
    """What Prometheus has of the pods: all that they counted, by its own way."""

    def __init__(self, world: Operated) -> None:
        self._world = world

    def __call__(self, pod: Pod) -> Traffic | None:
        counters = read(self._world.runtime.counters(pod.address.ip)) if pod.address is not None else None
        return counters.traffic if counters is not None else None


async def nobody(_pod: PodAddress) -> None:
    return None


async def test_the_counts_come_from_prometheus_where_it_is_the_source() -> None:
    async with watched() as world:
        world.probe.counters = nobody  # type: ignore[method-assign]
        world.prometheus.told = Scrapes(world)
        world.create(**canary(source="Prometheus"))
        await world.established("1")
        world.move_alias("2")
        assert await under_traffic(world, lambda: world.stable() == "2")
        assert {asked for asked, _ in world.prometheus.asked} == {URL}


async def test_without_counts_from_prometheus_nothing_is_decided_and_the_reason_is_told() -> None:
    async with watched() as world:
        world.create(**canary(source="Prometheus"))
        await world.established("1")
        world.move_alias("2")
        assert await under_traffic(world, lambda: waiting(world) == "Prometheus knows none of the pods' metrics")
        world.prometheus.trouble = Trouble(f"{URL} answers HTTP 502")
        assert await under_traffic(world, lambda: waiting(world) == f"{URL} answers HTTP 502")
        assert not await under_traffic(world, lambda: "candidate" not in world.status(), seconds=300)
        world.edit({"analysis": {"source": "Pods"}})
        assert await under_traffic(world, lambda: world.at_rest_on("2"))
