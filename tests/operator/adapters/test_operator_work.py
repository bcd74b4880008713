"""Workers and the look at everything: what failed comes back later, what is gone is noticed, nothing is said twice."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from headgate_operator.freshness import Freshness
from headgate_operator.ports import Key, Obj, Result, UnavailableError
from headgate_operator.watch import WATCHED, labels_for
from headgate_operator.work import Resync, Workers
from headgate_operator.workqueue import WorkQueue

IRIS, ROSE = Key("ml", "iris"), Key("ml", "rose")


class Passes:
    """A reconciler whose results a test writes down."""

    def __init__(self, *results: Result) -> None:
        self.results = list(results)
        self.at: list[tuple[float, Key]] = []
        self.shown: list[str] = []

    async def reconcile(self, key: Key) -> Result:
        self.at.append((round(asyncio.get_running_loop().time(), 3), key))
        return self.results.pop(0) if self.results else Result()


async def work(passes: Passes, seconds: float, *keys: Key) -> list[float]:
    loop = asyncio.get_running_loop()
    queue: WorkQueue[Key] = WorkQueue(clock=loop.time, chance=lambda: 0.5)
    workers = Workers(queue, passes, clock=loop.time, passed=lambda kind, _seconds: passes.shown.append(kind))
    tasks = [asyncio.ensure_future(workers.run()) for _ in range(2)]
    began = loop.time()
    queue.add_all(keys)
    await asyncio.sleep(seconds)
    queue.close()
    await asyncio.gather(*tasks)
    return [round(at - began, 3) for at, _ in passes.at]


@pytest.mark.looptime
async def test_a_pass_that_failed_is_tried_again_later_and_later() -> None:
    passes = Passes(*[Result(backoff=True, reason="down")] * 4)
    assert await work(passes, 60, IRIS) == [0, 0.5, 1.5, 3.5, 7.5]
    assert passes.shown == ["error"] * 4 + ["same"]


@pytest.mark.looptime
async def test_a_server_that_asks_for_patience_gets_it() -> None:
    assert await work(Passes(Result(backoff=True, requeue_after=20)), 60, IRIS) == [0, 20]


@pytest.mark.looptime
async def test_a_healthy_pass_says_when_it_wants_the_next() -> None:
    passes = Passes(Result(requeue_after=10, changed=True), Result(requeue_after=5))
    assert await work(passes, 60, IRIS) == [0, 10, 15]
    assert passes.shown == ["changed", "same", "same"]


@pytest.mark.looptime
async def test_a_trouble_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "headgate_operator.work")
    passes = Passes(*[Result(backoff=True, reason="down")] * 5, Result(requeue_after=1), Result())
    await work(passes, 120, IRIS)
    assert [r.message for r in caplog.records] == ["pass failed, retrying", "passes succeed again"]


class Cluster:
    def __init__(self) -> None:
        self.objects: dict[str, list[Obj]] = {kind: [] for kind in WATCHED}
        self.down = 0
        self.asked: list[tuple[str, str | None, dict[str, str]]] = []

    async def list(self, kind: str, namespace: str | None, labels: Mapping[str, str]) -> list[Obj]:
        self.asked.append((kind, namespace, dict(labels)))
        if self.down:
            self.down -= 1
            raise UnavailableError("down")
        return self.objects[kind]


def obj(key: Key, version: str = "1") -> Obj:
    return {"metadata": {"namespace": key.namespace, "name": key.name, "resourceVersion": version}}


def resync(cluster: Cluster, queue: WorkQueue[Key], freshness: Freshness, **options: Any) -> Resync:
    return Resync(
        cluster,
        queue,
        freshness,
        namespaces=options.pop("namespaces", ()),
        labels_for=labels_for,
        interval=300,
        chance=lambda: 0.5,
    )


async def given_out(queue: WorkQueue[Key]) -> set[Key]:
    keys = set()
    while len(queue):
        key = await queue.get()
        keys.add(key)
        queue.done(key)
    return keys


@pytest.mark.looptime
async def test_everything_is_woken_now_and_then_and_what_is_gone_once_more() -> None:
    loop = asyncio.get_running_loop()
    queue: WorkQueue[Key] = WorkQueue(clock=loop.time)
    cluster, freshness = Cluster(), Freshness(WATCHED, clock=loop.time)
    cluster.objects["ModelDeployment"] = [obj(IRIS), obj(ROSE)]
    task = asyncio.ensure_future(resync(cluster, queue, freshness).run())
    await asyncio.sleep(299)
    assert await given_out(queue) == set()
    await asyncio.sleep(2)
    assert await given_out(queue) == {IRIS, ROSE}
    cluster.objects["ModelDeployment"] = [obj(IRIS)]
    await asyncio.sleep(300)
    assert await given_out(queue) == {IRIS, ROSE}
    await asyncio.sleep(300)
    assert await given_out(queue) == {IRIS}
    task.cancel()


@pytest.mark.looptime
async def test_a_watch_that_began_anew_causes_a_look_at_once_even_if_the_first_fails() -> None:
    loop = asyncio.get_running_loop()
    queue: WorkQueue[Key] = WorkQueue(clock=loop.time)
    cluster = Cluster()
    cluster.objects["ModelDeployment"] = [obj(IRIS)]
    cluster.down = 1
    look = resync(cluster, queue, Freshness(WATCHED, clock=loop.time))
    task = asyncio.ensure_future(look.run())
    await asyncio.sleep(1)
    look.soon()
    await asyncio.sleep(10)
    assert await given_out(queue) == {IRIS}
    task.cancel()


@pytest.mark.looptime
async def test_the_watch_is_compared_with_live_lists_of_our_own_objects_only() -> None:
    loop = asyncio.get_running_loop()
    queue: WorkQueue[Key] = WorkQueue(clock=loop.time)
    cluster, freshness = Cluster(), Freshness(WATCHED, clock=loop.time)
    cluster.objects["Pod"] = [obj(Key("ml", "p"))]
    await resync(cluster, queue, freshness, namespaces=["ml", "ops"]).once()
    await asyncio.sleep(70)
    assert freshness.behind_seconds("Pod") == pytest.approx(70)
    managed = {"app.kubernetes.io/managed-by": "headgate"}
    assert {(kind, ns) for kind, ns, _ in cluster.asked} == {(kind, ns) for kind in WATCHED for ns in ("ml", "ops")}
    assert all(labels == ({} if kind == "ModelDeployment" else managed) for kind, _, labels in cluster.asked)
