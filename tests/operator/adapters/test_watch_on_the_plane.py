"""kopf against the embedded control plane over HTTPS: wakes the right deployments and writes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from conditions import until
from headgate_operator import kube
from headgate_operator.freshness import Freshness
from headgate_operator.ports import Key
from headgate_operator.watch import MANAGED, WATCHED, Connection, Watch
from https_plane import HttpsPlane, https_plane, model_deployment

Obj = dict[str, Any]
IRIS = Key("default", "iris")


class Heard:
    def __init__(self, on: HttpsPlane, *namespaces: str) -> None:
        self.on, self.namespaces = on, namespaces
        self.woken: list[Key] = []
        self.relists = 0
        self.freshness = Freshness(WATCHED, clock=asyncio.get_running_loop().time)

    def relisted(self) -> None:
        self.relists += 1

    async def connection(self) -> Connection:
        transport = await kube.connect(str(self.on.kubeconfig))
        try:
            told = await transport.access()
        finally:
            await transport.close()
        return Connection(server=told.server, ca_path=told.ca_path, authorization=told.authorization)

    async def next_of(self, key: Key) -> None:
        await until(lambda: key in self.woken, f"{key} is woken")
        self.woken.clear()


@asynccontextmanager
async def hearing(on: HttpsPlane, *namespaces: str) -> AsyncIterator[Heard]:
    heard = Heard(on, *namespaces)
    watch = Watch(
        connect=heard.connection,
        namespaces=namespaces,
        wake=heard.woken.append,
        relisted=heard.relisted,
        freshness=heard.freshness,
    )
    task = asyncio.ensure_future(watch.run())
    try:
        on.client.create(model_deployment("first-sign", namespaces[0] if namespaces else "default"))
        await until(lambda: bool(heard.woken), "the watch begins")
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def managed(kind: str, api_version: str, name: str, owner: str | None, **fields: Any) -> Obj:
    labels = {**MANAGED, "headgate.dev/deployment": owner} if owner else {}
    meta = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **fields}


SERVICE: Obj = {"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}


async def test_what_belongs_to_a_deployment_wakes_it_and_nothing_is_written(tmp_path: Path) -> None:
    async with https_plane(tmp_path) as on, hearing(on) as heard:
        made = on.client.create(model_deployment())
        await heard.next_of(IRIS)
        on.client.create(managed("Service", "v1", "anything", "iris", **SERVICE))
        await heard.next_of(IRIS)
        on.client.create(managed("Service", "v1", "foreign", None, **SERVICE))
        on.client.patch_merge("Service", "default", "anything", {"spec": {"sessionAffinity": "ClientIP"}})
        await heard.next_of(IRIS)
        pod = managed("Pod", "v1", "p", "iris", spec={"containers": [{"name": "c", "image": "x"}]})
        on.client.create(pod)
        await heard.next_of(IRIS)
        on.client.delete("Service", "default", "anything")
        await heard.next_of(IRIS)
        assert on.client.get("ModelDeployment", "default", "iris") == made
        assert set(heard.woken) <= {IRIS}


async def test_what_was_there_before_wakes_its_deployment_and_calls_for_a_look_at_everything(tmp_path: Path) -> None:
    async with https_plane(tmp_path) as on:
        on.client.create(model_deployment())
        async with hearing(on) as heard:
            await until(lambda: IRIS in heard.woken, "the old one is woken")
            await until(lambda: heard.relists > 0, "the list is reported")


async def test_only_the_named_namespaces_are_watched(tmp_path: Path) -> None:
    async with https_plane(tmp_path) as on:
        for name in ("team-a", "team-b"):
            on.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        async with hearing(on, "team-a") as heard:
            heard.woken.clear()
            on.client.create(model_deployment("other", "team-b"))
            on.client.create(model_deployment("ours", "team-a"))
            await until(lambda: Key("team-a", "ours") in heard.woken, "ours is woken")
            assert {key.namespace for key in heard.woken} == {"team-a"}


async def test_the_watch_is_fresh_by_what_a_live_list_shows(tmp_path: Path) -> None:
    async with https_plane(tmp_path) as on, hearing(on) as heard:
        on.client.create(model_deployment())
        await heard.next_of(IRIS)
        live = on.client.list("ModelDeployment")
        heard.freshness.compare("ModelDeployment", live, since=heard.freshness.now())
        assert heard.freshness.behind_seconds("ModelDeployment") == 0
        assert heard.freshness.silent_seconds("ModelDeployment") is not None


async def test_a_cancelled_watch_ends_and_leaves_the_tasks_of_others_alone(tmp_path: Path) -> None:
    async with https_plane(tmp_path) as on:
        async with hearing(on):
            ours = asyncio.ensure_future(asyncio.Event().wait())
        await asyncio.sleep(0)
        assert not ours.done()
        ours.cancel()


async def test_a_watch_that_cannot_log_in_keeps_trying_until_it_is_cancelled(tmp_path: Path) -> None:
    attempts = 0

    async def connect() -> Connection:
        nonlocal attempts
        attempts += 1
        return Connection(server="https://127.0.0.1:1")

    watch = Watch(
        connect=connect,
        namespaces=(),
        wake=lambda _key: None,
        relisted=lambda: None,
        freshness=Freshness(WATCHED, clock=asyncio.get_running_loop().time),
    )
    task = asyncio.ensure_future(watch.run())
    await until(lambda: attempts > 0, "an attempt")
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
