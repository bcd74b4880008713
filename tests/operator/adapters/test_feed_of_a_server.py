"""A real server process on real sockets, scraped and fed: what was asked of it is what the interval holds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

import model_dirs
from feed_lab import ARMS, IRIS, Policy, Remembers, State, counts
from headgate_operator.core.evidence.interval import Interval
from headgate_operator.core.evidence.policy import LADDER
from headgate_operator.core.observed import Pod, PodAddress
from headgate_operator.feed import Feed
from headgate_operator.scrape import PodProbe
from server_process import ServerProcess

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
WRONG = {"features": ["a"]}
POLICY = Policy(
    interval=100.0, bounds=LADDER
)  # longer than a server takes to start, so that one that is started here is new


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServerProcess]]:
    model = model_dirs.onnx_iris(tmp_path_factory.mktemp("onnx") / "model")
    with (
        ServerProcess(model=model, model_version="3", revision=ARMS["stable"]) as stable,
        ServerProcess(model=model, model_version="4", revision=ARMS["candidate"]) as candidate,
    ):
        yield {"stable": stable.wait_ready(), "candidate": candidate.wait_ready()}


@pytest.fixture
async def probe() -> AsyncIterator[PodProbe]:
    probe = PodProbe()
    yield probe
    await probe.close()


class Watched:
    """The two servers as pods, looked at in the intervals of a clock that is moved by hand."""

    def __init__(self, servers: dict[str, ServerProcess], probe: PodProbe) -> None:
        self.servers, self.probe = servers, probe
        self.feed: Feed[Policy, State] = Feed(Remembers())
        self.now = datetime(2026, 11, 21, tzinfo=UTC)

    async def look(self) -> State:
        pods = [await self._pod(role, server) for role, server in self.servers.items()]
        return self.feed.take(IRIS, 1, POLICY, None, ARMS, pods, self.now)

    async def tick(self) -> Interval:
        self.now += timedelta(seconds=POLICY.interval)
        return (await self.look()).fed[-1]

    async def _pod(self, role: str, server: ServerProcess) -> Pod:
        address = PodAddress("127.0.0.1", server.port, server.ops_port)
        counters = await self.probe.counters(address)
        return Pod(name=role, revision=ARMS[role], address=address, ready=True, counters=counters)


async def test_every_request_of_a_real_server_counts_once(servers: dict[str, ServerProcess], probe: PodProbe) -> None:
    watched = Watched(servers, probe)
    for _ in range(25):
        servers["candidate"].post("/predict", ROW)
    await watched.look()
    for _ in range(7):
        servers["stable"].post("/predict", ROW)
    for _ in range(3):
        servers["candidate"].post("/invocations", {"inputs": [ROW["features"]]})
    servers["candidate"].post("/predict", WRONG)
    servers["candidate"].get("/model/info")
    interval = await watched.tick()
    assert (counts(interval.stable), counts(interval.candidate)) == ((7, 0, 0), (4, 0, 1))
    assert interval.stable is not None
    assert interval.candidate is not None
    assert (interval.stable.cold_requests, interval.candidate.cold_requests) == (7, 0)
    assert (sum(interval.stable.latency), sum(interval.candidate.latency)) == (0, 4)
    interval = await watched.tick()
    assert (counts(interval.stable), counts(interval.candidate)) == ((0, 0, 0), (0, 0, 0))


async def test_a_real_server_that_ends_is_no_data_and_its_successor_counts_from_its_first_request(
    servers: dict[str, ServerProcess], probe: PodProbe
) -> None:
    watched = Watched(servers, probe)
    await watched.look()
    servers["candidate"].terminate()
    servers["candidate"].wait()
    assert (await watched.tick()).candidate is None
    with ServerProcess(model="/nonexistent", model_version="4", revision=ARMS["candidate"]) as unable:
        unable.post("/predict", ROW)
        watched.servers = {"stable": servers["stable"], "candidate": unable}
        interval = await watched.tick()
    assert counts(interval.candidate) == (1, 1, 0)  # 503: it has no model
