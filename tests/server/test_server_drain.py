"""Connections and the end of the process, on real sockets: no request is lost, and pooled clients follow."""

import asyncio
import http.client
import json
import signal
import socket

import pytest

from drain_load import Tally, drive
from server_process import ServerProcess

BODY = {"features": [5.1, 3.5, 1.4, 0.2]}


@pytest.mark.parametrize("workers", [1, 2])
async def test_drain_under_load_loses_no_request_on_pooled_and_fresh_connections(model, workers):
    with ServerProcess(model=model, drain_delay=2, workers=workers) as server:
        await asyncio.to_thread(server.wait_ready)
        endpoint = asyncio.Event()  # set = still in the Service's endpoints, as kube-proxy would have it
        endpoint.set()
        tallies = {(kind, n): Tally() for kind in ("pooled", "fresh") for n in range(4)}

        async def all_have_asked(times: int) -> None:
            async with asyncio.timeout(60):
                while not all(t.answered >= times for t in tallies.values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as drivers:
            for (kind, _), tally in tallies.items():
                drivers.create_task(drive(server, tally, BODY, pooled=kind == "pooled", go_on=endpoint.is_set))
            await all_have_asked(20)
            server.terminate()
            await asyncio.to_thread(server.wait_for_log, "draining")
            # The endpoint goes a while after readiness has failed: until then everything is still answered.
            assert (await asyncio.to_thread(server.readyz)).json["reason"] == "Draining"
            await all_have_asked(max(t.answered for t in tallies.values()) + 20)
            endpoint.clear()
        assert await asyncio.to_thread(server.wait) == 0
        assert [t.lost for t in tallies.values()] == [[]] * 8
        assert all(t.closing >= 10 for t in tallies.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_an_idle_connection_is_left_to_its_client_also_when_nothing_new_is_accepted(model, workers):
    with ServerProcess(model=model, drain_delay=2, workers=workers) as server:
        server.wait_ready()
        kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        kept.connect()
        ask(kept)
        server.terminate()
        server.wait_until(lambda: refused(server.port))
        assert ask(kept).getheader("connection") == "close"
        assert server.wait() == 0


def ask(kept: http.client.HTTPConnection) -> http.client.HTTPResponse:
    kept.request("POST", "/predict", json.dumps(BODY), {"content-type": "application/json"})
    answer = kept.getresponse()
    answer.read()
    assert answer.status == 200
    return answer


def refused(port: int) -> bool:
    with socket.socket() as fresh:
        return fresh.connect_ex(("127.0.0.1", port)) != 0


def test_a_request_in_flight_at_the_end_is_still_answered(model):
    with ServerProcess(model=model, drain_delay=0) as server:
        server.wait_ready()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.putrequest("POST", "/predict")
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", "34")
        connection.endheaders(b'{"features": ')
        server.wait_until(lambda: server.request("GET", "/counters", port=server.ops_port).json["in_flight"] == 1)
        server.terminate()
        server.wait_for_log("draining")
        connection.send(b"[5.1, 3.5, 1.4, 0.2]}")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("connection")) == (200, "close")
        answer.read()
        connection.close()
        assert server.wait() == 0


def test_operations_answer_while_the_last_request_is_under_way(model):
    with ServerProcess(model=model, drain_delay=0) as server:
        server.wait_ready()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/predict", iter([b"{"]), {"content-type": "application/json"}, encode_chunked=False)
        connection.close()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.putrequest("POST", "/predict")
        connection.putheader("content-length", "3")
        connection.endheaders(b"{")
        server.wait_until(lambda: server.request("GET", "/counters", port=server.ops_port).json["in_flight"] >= 1)
        server.terminate()
        server.wait_for_log("draining")
        counters = server.request("GET", "/counters", port=server.ops_port).json
        assert (counters["draining"], counters["ready"]) == (True, False)
        connection.close()
        assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_never_was_ready_ends_at_once(tmp_path, number):
    with ServerProcess(model=tmp_path / "nothing", drain_delay=600) as server:
        server.wait_for_reason("ArtifactMissing")
        server.signal(number)
        assert server.wait() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_does_not_wait_for_endpoints(model, workers):
    with ServerProcess(model=model, drain_delay=600, workers=workers) as server:
        server.wait_ready().signal(signal.SIGINT)
        assert server.wait() == 0


def test_an_answer_after_the_connections_age_ends_the_connection_and_not_before(model):
    with ServerProcess(model=model, connection_max_age=1) as server:
        server.wait_ready()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        answers = []
        while not answers or answers[-1] is None:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            answer.read()
            answers.append(answer.getheader("connection"))
        assert answers[-1] == "close"
        assert len(answers) > 1
        # http.client reconnects after a close; the server's side of the old one is gone.
        server.wait_until(
            lambda: server.request("GET", "/counters", port=server.ops_port).json["open_connections"] == 0
        )
        connection.close()


async def test_pooled_clients_lose_nothing_when_their_connections_end_by_age(model):
    with ServerProcess(model=model, connection_max_age=0.2) as server:
        await asyncio.to_thread(server.wait_ready)
        tallies = [Tally() for _ in range(4)]
        async with asyncio.TaskGroup() as drivers:
            for tally in tallies:
                drivers.create_task(
                    drive(server, tally, BODY, pooled=True, go_on=lambda t=tally: t.closing < 5 and not t.lost)
                )
        assert [t.lost for t in tallies] == [[]] * 4
        assert all(t.answered > t.closing for t in tallies)


def test_an_age_of_zero_keeps_connections(model):
    with ServerProcess(model=model, connection_max_age=0) as server:
        server.wait_ready()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for _ in range(50):
            connection.request("GET", "/livez")
            answer = connection.getresponse()
            answer.read()
            assert answer.getheader("connection") is None
        connection.close()


def test_a_port_in_use_ends_the_process_with_words(model):
    with ServerProcess(model=model) as first:
        second = ServerProcess(model=model, port=first.port)
        with pytest.raises(AssertionError, match="the address cannot be used"):
            second.start()
        assert second.wait() == 1
        second.__exit__()


def test_a_bad_setting_ends_the_process_with_its_name(model):
    server = ServerProcess(model=model, timeout="soon")
    with pytest.raises(AssertionError, match="HEADGATE_TIMEOUT: seconds from"):
        server.start()
    assert server.wait() == 2
    server.__exit__()
