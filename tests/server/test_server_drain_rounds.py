"""Two hundred slow requests at once over pooled connections, and the process is told to end: none may be lost.

One round in the suite; HEADGATE_DRAIN_ROUNDS=20 looks for what is lost one time in many.
"""

import asyncio
import functools
import os

import pytest

import model_dirs
from drain_load import Tally, drive
from server_process import DEADLINE, ServerProcess

ROUNDS = int(os.environ.get("HEADGATE_DRAIN_ROUNDS", "1"))
CLIENTS = 200
SLOW = {"features": {"spins": 10_000, "index": 0}}


@pytest.fixture(scope="module")
def spinner(tmp_path_factory):
    return model_dirs.save_onnx(tmp_path_factory.mktemp("model") / "spinner", model_dirs.onnx_spinner())


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_a_drain_under_two_hundred_slow_requests_loses_none(spinner, workers, round_):
    with ServerProcess(model=spinner, drain_delay=2, threads=1, workers=workers, connection_max_age=0) as server:
        await asyncio.to_thread(server.wait_ready)
        endpoint = asyncio.Event()  # set = still in the Service's endpoints
        endpoint.set()
        tallies = [Tally() for _ in range(CLIENTS)]

        def under_way() -> int:
            return int(server.request("GET", "/counters", port=server.ops_port).json["in_flight"])

        def in_use(tally: Tally) -> bool:
            """A connection that is kept leads there still, until an answer ends it."""
            return endpoint.is_set() or not tally.closing

        async with asyncio.TaskGroup() as clients:
            for tally in tallies:
                going_on = functools.partial(in_use, tally)
                clients.create_task(drive(server, tally, SLOW, pooled=True, go_on=going_on))
            async with asyncio.timeout(DEADLINE):
                while not all(tally.answered for tally in tallies):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(server.wait_until, lambda: under_way() >= CLIENTS * 9 // 10)
            server.terminate()
            await asyncio.to_thread(server.wait_for_log, "draining")
            endpoint.clear()
        assert await asyncio.to_thread(server.wait) == 0
        assert [lost for t in tallies for lost in t.lost] == []
        assert sum(t.closing for t in tallies) >= CLIENTS
