"""The whole process against the embedded control plane over HTTPS and a registry over HTTP."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from conditions import until
from fake_mlflow import FakeMlflow
from headgate_operator import app as operator_app
from headgate_operator import kube
from headgate_operator.app import App
from headgate_operator.options import Options
from https_plane import HttpsPlane, https_plane, install_crd, model_deployment

Obj = dict[str, Any]


@pytest.fixture
def mlflow() -> Iterator[FakeMlflow]:
    with FakeMlflow() as registry:
        registry.register("iris", {"MLmodel": b"flavors: {}"}, aliases=["champion"])
        registry.register("iris", {"MLmodel": b"flavors: {}"})
        yield registry


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[HttpsPlane]:
    async with https_plane(tmp_path) as on:
        yield on


class Running:
    def __init__(self, app: App, task: "asyncio.Task[int]") -> None:
        self.app, self.task = app, task

    async def leads(self) -> None:
        await until(lambda: self.app._seen().leading or self.task.done(), "it leads")
        assert not self.task.done()

    async def end(self) -> int:
        self.app.stop.set()
        async with asyncio.timeout(30):
            return await self.task


@asynccontextmanager
async def operator(on: HttpsPlane, mlflow: FakeMlflow, **options: Any) -> AsyncIterator[Running]:
    told = Options(
        registry_uri=mlflow.uri,
        poll_interval=0.1,
        kubeconfig=str(on.kubeconfig),
        health_host="127.0.0.1",
        health_port=0,
        **options,
    )
    app = App(told, await kube.connect(told.kubeconfig))
    task = asyncio.ensure_future(app.run())
    running = Running(app, task)
    try:
        yield running
    finally:
        if not task.done():
            await running.end()


def mdep(on: HttpsPlane) -> Obj:
    return on.client.get("ModelDeployment", "default", "iris") or {}


def resolved(on: HttpsPlane) -> str | None:
    model = (mdep(on).get("status") or {}).get("model") or {}
    return (model.get("resolved") or {}).get("version")


def holder(on: HttpsPlane) -> str:
    lease = on.client.get("Lease", "default", "headgate-operator") or {"spec": {}}
    return str(lease["spec"].get("holderIdentity") or "")


async def test_a_deployment_is_taken_up_and_a_moved_alias_is_followed(plane: HttpsPlane, mlflow: FakeMlflow) -> None:
    async with operator(plane, mlflow) as running:
        await running.leads()
        plane.client.create(model_deployment())
        await until(lambda: resolved(plane) == "1", "version 1 is resolved")
        await until(lambda: bool(plane.client.list("Deployment")), "its pods are asked for")
        await until(lambda: plane.client.get("Service", "default", "iris") is not None, "its URL answers")
        mlflow.set_alias("iris", "champion", "2")
        await until(lambda: resolved(plane) == "2", "version 2 is resolved")
        assert await running.end() == 0


async def test_at_its_end_it_gives_the_lease_back_and_a_standby_takes_over(
    plane: HttpsPlane, mlflow: FakeMlflow
) -> None:
    async with operator(plane, mlflow) as first:
        await first.leads()
        async with operator(plane, mlflow) as second:
            await until(lambda: second.app._seen().waiting == "", "the second stands by")
            assert holder(plane) == first.app.identity
            assert not second.app._seen().leading
            assert await first.end() == 0
            await second.leads()
            assert holder(plane) == second.app.identity
            plane.client.create(model_deployment())
            await until(lambda: resolved(plane) == "1", "the second works")
    assert holder(plane) == ""


async def test_a_leader_whose_lease_is_taken_ends_with_an_error_and_writes_no_more(
    plane: HttpsPlane, mlflow: FakeMlflow
) -> None:
    async with operator(plane, mlflow) as running:
        await running.leads()
        plane.client.patch_merge(
            "Lease", "default", "headgate-operator", {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 15}}
        )
        async with asyncio.timeout(30):
            assert await running.task == 1
        assert not running.app.leading.may_write()
        assert holder(plane) == "thief"


async def test_it_waits_for_the_crd_and_says_so(
    tmp_path: Path, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_app, "LOOK_AGAIN_SECONDS", 0.05)
    async with https_plane(tmp_path, crd=False) as plane, operator(plane, mlflow) as running:
        await until(lambda: "kubectl apply -f crds/" in running.app._seen().waiting, "it says what is missing")
        install_crd(plane.client)
        await running.leads()


async def test_it_can_be_stopped_while_it_waits(tmp_path: Path, mlflow: FakeMlflow) -> None:
    async with https_plane(tmp_path, crd=False) as plane, operator(plane, mlflow) as running:
        await until(lambda: "crds/" in running.app._seen().waiting, "it waits")
        assert await running.end() == 0


async def test_without_election_no_lease_is_written(plane: HttpsPlane, mlflow: FakeMlflow) -> None:
    async with operator(plane, mlflow, leader_elect=False) as running:
        await running.leads()
        plane.client.create(model_deployment())
        await until(lambda: resolved(plane) == "1", "it works")
        assert plane.client.list("Lease") == []


async def test_metrics_and_health_are_served(plane: HttpsPlane, mlflow: FakeMlflow) -> None:
    async with operator(plane, mlflow) as running:
        await running.leads()
        plane.client.create(model_deployment())
        address = f"http://127.0.0.1:{running.app.health_port}"
        async with aiohttp.ClientSession() as session:
            page = ""

            async def told() -> bool:
                nonlocal page
                async with session.get(f"{address}/metrics") as answer:
                    page = await answer.text()
                return 'headgate_decisions_total{reason="RolloutStarted"} 1.0' in page

            await until(told, "the decision is counted")
            async with session.get(f"{address}/livez") as answer:
                assert answer.status == 200
        assert "leader_election_master_status 1.0" in page
        assert 'rest_client_requests_total{code="200",kind="ModelDeployment",verb="update_status"}' in page


async def test_without_any_api_server_it_says_so_and_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = Options(registry_uri="http://mlflow", kubeconfig=str(tmp_path / "none"))
    assert await operator_app.run(options) == 1
    assert "cannot start" in caplog.text


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['kopf'] = None; from headgate_operator.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "headgate-operator needs the package kopf: pip install 'headgate[operator]'"
