"""A real Prometheus that scrapes real servers: the same counts as the pods tell themselves, by another way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import model_dirs
from feed_lab import ARMS, IRIS, Policy, Remembers, State, counts
from headgate_operator.core.evidence.interval import Interval
from headgate_operator.core.evidence.policy import LADDER
from headgate_operator.core.observed import Pod, PodAddress
from headgate_operator.egress import AllowList
from headgate_operator.feed import Feed
from headgate_operator.feeds.series import Sample
from headgate_operator.prometheus import Prometheus, Trouble
from prometheus_process import MISSING, PROGRAM, PrometheusProcess
from server_process import ServerProcess

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)
ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
POLICY = Policy(interval=1000.0, bounds=LADDER)


@dataclass
class Scene:
    servers: dict[str, ServerProcess]
    prometheus: PrometheusProcess
    source: Prometheus

    @property
    def pods(self) -> list[Pod]:
        return [pod(role, server) for role, server in self.servers.items()]

    async def told(self) -> tuple[Pod, ...]:
        answer = await self.source.count(None, "ml", self.pods, ARMS.values())
        assert not isinstance(answer, Trouble), answer
        return answer

    def scraped(self, role: str, requests: int) -> None:
        """Waits until Prometheus knows of so many requests; both ports are scraped, so of twice as many."""
        self.prometheus.wait_until(f'sum(headgate_requests_total{{revision="{ARMS[role]}"}})', 2.0 * requests)

    async def value(self, promql: str) -> list[float] | Trouble:
        answer = await self.source.instant(None, promql)
        return answer if isinstance(answer, Trouble) else [sample.value for sample in answer]


def pod(role: str, server: ServerProcess) -> Pod:
    address = PodAddress("127.0.0.1", server.port, server.ops_port)
    return Pod(name=role, uid=f"uid-{role}", revision=ARMS[role], address=address, ready=True)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, ServerProcess], PrometheusProcess]]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    model = model_dirs.onnx_iris(folder / "model")
    with (
        ServerProcess(model=model, model_name="iris", model_version="3", revision=ARMS["stable"]) as stable,
        ServerProcess(model=model, model_name="iris", model_version="4", revision=ARMS["candidate"]) as candidate,
    ):
        servers = {"stable": stable.wait_ready(), "candidate": candidate.wait_ready()}
        ports = [f"127.0.0.1:{port}" for server in servers.values() for port in (server.port, server.ops_port)]
        with PrometheusProcess(folder, {"pods": ports, "strangers": ["127.0.0.1:1"]}) as prometheus:
            prometheus.wait_until("count(headgate_requests_in_flight)", 4.0)
            yield servers, prometheus


@pytest.fixture
async def scene(running: tuple[dict[str, ServerProcess], PrometheusProcess]) -> AsyncIterator[Scene]:
    servers, prometheus = running
    # Written down as an address, so it is meant although it lies on this machine.
    source = Prometheus(AllowList(None, [prometheus.uri], what="Prometheus", flag="--allow-prometheus"))
    yield Scene(servers, prometheus, source)
    await source.close()


async def test_what_prometheus_scraped_is_what_the_servers_answered(scene: Scene) -> None:
    feed: Feed[Policy, State] = Feed(Remembers())
    now = datetime(2026, 11, 21, tzinfo=UTC)

    async def tick() -> tuple[Interval, ...]:
        nonlocal now
        now += timedelta(seconds=POLICY.interval)
        return feed.take(IRIS, 1, POLICY, None, ARMS, await scene.told(), now).fed

    assert all(one.traffic is not None and one.traffic.rows == () for one in await scene.told())
    assert await tick() == ()
    for _ in range(7):
        scene.servers["stable"].post("/predict", ROW)
    for _ in range(3):
        scene.servers["candidate"].post("/invocations", {"inputs": [ROW["features"]]})
    scene.servers["candidate"].post("/predict", {"features": ["a"]})
    scene.servers["candidate"].get("/model/info")
    scene.scraped("stable", 7)
    scene.scraped("candidate", 5)
    (interval,) = await tick()
    assert (counts(interval.stable), counts(interval.candidate)) == ((7, 0, 0), (4, 0, 1))
    traffic = {one.name: one.traffic for one in await scene.told()}
    assert all(one is not None and one.bounds == LADDER for one in traffic.values())
    assert {name: one.version for name, one in traffic.items() if one is not None} == {"stable": "3", "candidate": "4"}
    for one in traffic.values():
        assert one is not None
        assert all(sum(row.buckets) == row.count for row in one.rows)
        assert one.uptime_seconds is not None
        assert one.uptime_seconds > 0
    *_, interval = await tick()
    assert (counts(interval.stable), counts(interval.candidate)) == ((0, 0, 0), (0, 0, 0))


async def test_a_pod_that_prometheus_does_not_scrape_is_silent(scene: Scene) -> None:
    stranger = Pod(name="x", uid="uid-x", revision=ARMS["stable"], address=PodAddress("127.0.0.1", 1, 1), ready=True)
    answer = await scene.source.count(None, "ml", [*scene.pods, stranger], ARMS.values())
    assert not isinstance(answer, Trouble)
    assert [one.name for one in answer if one.traffic is None] == ["x"]


@pytest.mark.parametrize(
    ("promql", "values"),
    [
        ("vector(1.5)", [1.5]),
        ("1 + 1", [2.0]),
        ("nothing_at_all", []),
        ("vector(1) / 0", [float("inf")]),
    ],
)
async def test_a_query_gives_its_numbers(scene: Scene, promql: str, values: list[float]) -> None:
    assert await scene.value(promql) == values


@pytest.mark.parametrize(
    ("promql", "why"),
    [
        ("sum(", "does not run the query (bad_data)"),
        ("up * on () up", "does not run the query (execution)"),
        ("up[1m]", "gives a range or a text for this query, and one moment's numbers are wanted"),
        ('"text"', "gives a range or a text for this query, and one moment's numbers are wanted"),
    ],
)
async def test_a_query_that_gives_no_numbers_is_told_and_counts_for_nothing(
    scene: Scene, promql: str, why: str
) -> None:
    assert await scene.value(promql) == Trouble(f"{scene.prometheus.uri} {why}")


async def test_several_series_keep_their_labels(scene: Scene) -> None:
    answer = await scene.source.instant(None, 'up{job="strangers"}')
    assert not isinstance(answer, Trouble)
    assert [(dict(one.labels), one.value) for one in answer] == [
        ({"__name__": "up", "instance": "127.0.0.1:1", "job": "strangers"}, 0.0)
    ]
    assert isinstance(answer[0], Sample)
