"""The end of the process seen from single connections: whatever has begun to arrive is answered, by a close."""

import asyncio
import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import threading

import pytest
import uvicorn
from uvicorn.server import ServerState

import model_dirs
from headgate_server import connections
from server_process import ServerProcess

ROW = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 34\r\n\r\n"


@pytest.fixture(scope="module")
def spinner(tmp_path_factory):
    return model_dirs.save_onnx(tmp_path_factory.mktemp("model") / "spinner", model_dirs.onnx_spinner())


def connected(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def used(server):
    """A kept-alive connection that has had an answer."""
    connection = connected(server)
    connection.sendall(HEAD + ROW)
    assert answer(connection) == (200, None)
    return connection


def answer(connection):
    """The status and the Connection header of the next answer; the socket is at its end after a close."""
    reply = http.client.HTTPResponse(connection)
    reply.begin()
    reply.read()
    return reply.status, reply.getheader("connection")


def counters(server):
    return server.request("GET", "/counters", port=server.ops_port).json


def test_a_request_whose_head_is_half_sent_at_the_end_is_still_answered(model):
    with ServerProcess(model=model, drain_delay=0) as server:
        server.wait_ready()
        with connected(server) as fresh, used(server) as pooled:
            fresh.sendall(HEAD[:30])
            pooled.sendall(HEAD[:30])
            server.wait_until(lambda: counters(server)["open_connections"] == 2)
            server.terminate()
            server.wait_for_log("draining")
            # The listener is closed once a connection to it is refused: the drain is at its last stage.
            server.wait_until(lambda: refused(server))
            for connection in (fresh, pooled):
                connection.sendall(HEAD[30:] + ROW)
                assert answer(connection) == (200, "close")
                assert connection.recv(1) == b"", "and then the connection ends"
        assert server.wait() == 0


def refused(server):
    with contextlib.suppress(ConnectionRefusedError), connected(server):
        return False
    return True


def test_an_idle_pooled_connection_is_closed_and_holds_up_nothing(model):
    with ServerProcess(model=model, drain_delay=0) as server:
        server.wait_ready()
        with used(server) as pooled, connected(server) as silent:
            server.terminate()
            assert pooled.recv(1) == b""
            assert silent.recv(1) == b""
        assert server.wait() == 0


def test_what_arrives_while_the_process_cannot_run_is_answered(model):
    """Native code that holds the interpreter: the signal, requests on pooled connections and new connections wait."""
    with ServerProcess(model=model, drain_delay=1) as server:
        server.wait_ready()
        with contextlib.ExitStack() as stack:
            pooled = [stack.enter_context(used(server)) for _ in range(8)]
            server.signal(signal.SIGSTOP)
            server.terminate()
            fresh = [stack.enter_context(connected(server)) for _ in range(8)]
            for connection in (*pooled, *fresh):
                connection.sendall(HEAD + ROW)
            server.signal(signal.SIGCONT)
            assert [answer(connection)[0] for connection in (*pooled, *fresh)] == [200] * 16
        assert server.wait() == 0


def test_requests_that_arrive_with_the_very_end_of_the_delay_are_answered(model):
    """The process stands still until the delay is over, and finds requests and the end of its listeners together."""
    with ServerProcess(model=model, drain_delay=0.2) as server:
        server.wait_ready()
        with contextlib.ExitStack() as stack:
            pooled = [stack.enter_context(used(server)) for _ in range(8)]
            server.terminate()
            server.wait_for_log("draining")
            server.signal(signal.SIGSTOP)
            for connection in pooled:
                connection.sendall(HEAD + ROW)
            threading.Event().wait(0.5)  # the delay is over: nothing there can be waited for
            server.signal(signal.SIGCONT)
            assert [answer(connection) for connection in pooled] == [(200, "close")] * 8
        assert server.wait() == 0


def test_a_long_prediction_is_answered_after_the_listeners_are_closed(spinner):
    with ServerProcess(model=spinner, drain_delay=0, threads=1) as server:
        server.wait_ready()
        answers = []

        def ask():
            answers.append(server.post("/predict", {"features": {"spins": 2_000_000, "index": 0}}))

        asking = threading.Thread(target=ask)
        asking.start()
        server.wait_until(lambda: counters(server)["in_flight"] == 1)
        server.terminate()
        server.terminate()
        asking.join()
        assert [(reply.status, reply.headers["connection"]) for reply in answers] == [(200, "close")]
        assert server.wait() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_slow_upload_is_answered_and_a_second_sigterm_changes_nothing(model, workers):
    with ServerProcess(model=model, drain_delay=0, workers=workers) as server:
        server.wait_ready()
        with connected(server) as connection:
            connection.sendall(HEAD + ROW[:10])
            server.wait_until(lambda: counters(server)["in_flight"] == 1)
            server.terminate()
            server.wait_until(lambda: refused(server))
            server.terminate()
            for n in range(10, len(ROW)):
                connection.sendall(ROW[n : n + 1])
            assert answer(connection) == (200, "close")
        assert server.wait() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_never_goes_on_is_cut_by_the_second_ctrl_c(model, workers):
    with ServerProcess(model=model, drain_delay=600, workers=workers) as server:
        server.wait_ready()
        with connected(server) as connection:
            connection.sendall(HEAD)
            server.wait_until(lambda: counters(server)["in_flight"] == 1)
            server.signal(signal.SIGINT)
            server.wait_until(lambda: refused(server))
            server.signal(signal.SIGINT)
            assert server.wait() == 0


def test_a_head_without_end_is_refused_by_size_and_by_time(model):
    with ServerProcess(model=model, timeout=0.5) as server:
        server.wait_ready()
        with connected(server) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nx: " + b"a" * (65 << 10))
            assert connection.recv(12) == b"HTTP/1.1 431"
        with connected(server) as connection:
            connection.sendall(HEAD[:30])
            assert connection.recv(1) == b""
        with connected(server) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * (60 << 10) + b"\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_sigterm_before_there_is_anything_to_drain_ends_the_process():
    code = (
        "import os, signal, headgate_server.__main__ as m, headgate_server.settings as s\n"
        "s.load = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "m.main([])"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


async def test_bytes_that_have_arrived_and_are_not_read_yet_begin_a_request_and_no_reset():
    """The event loop comes to the end of its connections before it comes to what is in their buffers."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()
    kind = connections.protocol(0, 60)
    server = await loop.create_server(lambda: kind(config, state, {}), "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname(), timeout=60) as client:
        while not state.connections:  # noqa: ASYNC110 - the server's side comes with one of the next turns
            await asyncio.sleep(0)
        client.sendall(HEAD + ROW)
        for connection in state.connections:
            connection.shutdown()
        assert await asyncio.to_thread(answer, client) == (204, "close")
    server.close()


def test_half_a_head_behind_a_request_that_is_under_way_does_not_cut_it(spinner):
    with ServerProcess(model=spinner, timeout=0.4, threads=1) as server:
        server.wait_ready()
        body = b'{"features": {"spins": 1000000000000, "index": 0}}'
        head = HEAD.replace(b"34", str(len(body)).encode())
        with connected(server) as connection:
            connection.sendall(head + body + HEAD[:30])
            assert answer(connection)[0] == 504
            assert connection.recv(1) == b"", "and then the half is given up"
