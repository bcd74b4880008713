"""What comes in one piece is answered straight from the parser: in the application's words, and counted alike."""

import asyncio
import contextlib
import dataclasses
import gc
import gzip
import json
import weakref

import pytest

from headgate_server.hot import HotPath
from headgate_server.protocols.failures import RequestFailed
from listening import listening
from server_requests import ASKED, INFER, ROW, plain

PREDICT = json.dumps({"features": ROW}).encode()


def request(body=PREDICT, *fields, path="/predict", method="POST", version="1.1"):
    """As bytes; where no field tells the length, it is told."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/{version}", "host: x", *fields]
    if not any(field.lower().startswith("content-type:") for field in fields):
        lines.append("content-type: application/json")
    if not any(field.lower().startswith(("transfer-encoding", "content-length")) for field in fields):
        lines.append(f"content-length: {len(raw)}")
    return "\r\n".join([*lines, "", ""]).encode() + raw


def halves(said):
    return said[:-1], said[-1:]


def told(reply):
    status, headers, body = plain(reply)
    return status, {name: value for name, value in headers.items() if name != "date"}, body


@pytest.mark.parametrize(("path", "body"), ASKED)
async def test_the_application_would_have_answered_the_same(model, path, body):
    async with listening(model) as server:
        [straight] = await server.say(request(body, path=path))
        assert server.asked == ([path] if "a/b" in path else [])
        [other] = await server.say(*halves(request(body, path=path)))
        assert len(server.asked) == 1 + ("a/b" in path)
    assert told(straight) == told(other)
    assert (set(straight.headers), len(straight.headers["x-request-id"])) == (set(other.headers), 32)


@pytest.mark.parametrize(
    "said",
    [
        halves(request()),
        (request(b"", "content-length: 0"),),
        (request(PREDICT, path="/predict?x=1"),),
        (request(PREDICT, path="/%70redict"),),
        (request(PREDICT, version="1.0"),),
        (request(b"%x\r\n%b\r\n0\r\n\r\n" % (len(PREDICT), PREDICT), "transfer-encoding: chunked"),),
        (request(gzip.compress(PREDICT), "content-encoding: gzip"),),
        (request(b" " * 70_000 + PREDICT),),
        (request(b"", method="GET"),),
        (request(PREDICT, path="/nothing"),),
    ],
)
async def test_whatever_is_not_simple_goes_to_the_application(model, said):
    async with listening(model) as server:
        assert len(await server.say(*said)) == 1
        assert len(server.asked) == 1


async def test_a_client_that_wants_to_be_told_to_go_on_is_told(model):
    async with listening(model) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(request(PREDICT, "expect: 100-continue")[: -len(PREDICT)])
        async with asyncio.timeout(60):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(PREDICT)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("split", [False, True])
async def test_what_is_sent_ahead_is_answered_in_its_order(model, split):
    wrong = request({"features": ["a"]})
    said = request() + request(INFER, path="/v2/models/iris/infer") + request(b"", method="GET") + wrong + request()
    async with listening(model) as server:
        answers = await server.say(*(halves(said) if split else (said,)), answers=5)
        assert [a.status for a in answers] == [200, 200, 405, 400, 200]
        assert "outputs" in answers[1].json
        [rows] = [row for row in server.client.counts.as_json()["requests"] if row[:2] == ["predict", 200]]
        assert rows[2] == 2


async def test_of_requests_sent_ahead_one_is_answered_at_once_and_the_others_in_their_turns(model):
    async with listening(model) as server:
        assert [a.status for a in await server.say(request(b"{") * 5, answers=5)] == [400] * 5
        assert len(server.asked) == 4


async def test_a_connection_is_used_again_and_again_until_it_is_to_end(model):
    async with listening(model) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        for fields, ends in (((), False), ((), False), (("connection: close",), True)):
            writer.write(request(PREDICT, *fields))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            assert (b"connection: close" in head) is ends
            if not ends:
                await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        assert await asyncio.wait_for(reader.read(), 60)
        assert server.asked == []
        writer.close()
        await writer.wait_closed()


async def test_old_connections_end_with_an_answer_and_so_do_all_of_a_process_that_ends(model):
    async with listening(model, max_age=1e-6) as server:
        assert (await server.say(request()))[0].headers["connection"] == "close"
    async with listening(model) as server:
        server.client.state.drain()
        assert (await server.say(request()))[0].headers["connection"] == "close"


@pytest.mark.parametrize("version", ["3", "3\r\nx: y", "\u0664\x7f", ""])
async def test_the_version_is_told_alike_whatever_it_is(model, version):
    async with listening(model) as server:
        loaded = server.client.state.loaded
        located = dataclasses.replace(loaded.located, version=version)
        server.client.state.loaded = dataclasses.replace(loaded, located=located)
        [straight] = await server.say(request())
        [other] = await server.say(*halves(request()))
        assert len(server.asked) == 1
        assert straight.headers.get("x-model-version") == other.headers.get("x-model-version")
        assert straight.status == 200
        assert "x" not in straight.headers


@pytest.mark.parametrize(("length", "status"), [("0" * 5000 + f"{len(PREDICT)}", 200), ("9" * 19, 413)])
async def test_a_length_of_many_digits_is_read_as_any_other(model, length, status):
    async with listening(model) as server:
        [answer] = await server.say(request(PREDICT, f"content-length: {length}"))
        assert answer.status == status


async def test_before_there_is_a_model_it_says_so_and_sends_the_client_elsewhere(model):
    async with listening(model) as server:
        server.client.state.loaded = None
        [answer] = await server.say(request())
        assert (answer.status, answer.headers["connection"], answer.headers["retry-after"]) == (503, "close", "1")
        assert server.asked == []


async def test_the_callers_own_request_id_is_repeated_where_it_can_be(model):
    async with listening(model) as server:
        for given, repeated in (("abc-1.2:3/4", True), ("a b", False), ("x" * 200, False)):
            [answer] = await server.say(request(PREDICT, f"x-request-id: {given}"))
            assert (answer.headers["x-request-id"] == given) is repeated


class Broken:
    """A model as it should not be."""

    def __init__(self, model, error):
        self._model, self._error = model, error

    def __getattr__(self, name):
        return getattr(self._model, name)

    def run(self, batch, wanted):
        raise self._error


def broken(server, error):
    loaded = server.client.state.loaded
    object.__setattr__(loaded, "model", Broken(loaded.model, error))


@pytest.mark.parametrize(("path", "body"), [("/predict", PREDICT), ("/v2/models/iris/infer", INFER)])
async def test_a_model_that_fails_is_told_with_an_id_and_the_connection_goes_on(model, path, body):
    async with listening(model) as server:
        broken(server, ValueError("5.1"))
        first, second = await server.say(request(body, path=path), request(body, path=path), answers=2)
        assert (first.status, second.status, server.asked) == (500, 500, [])
        assert b"see the log for" in first.body
        assert b"5.1" not in first.body
        assert server.client.counts.errors == {"model_failure": 2}


async def test_a_mistake_of_ours_is_a_500_without_details_and_a_line_in_the_log(model, monkeypatch, caplog):
    async with listening(model) as server:
        handler = server.client.paths.find("/predict").handler
        for name in ("call", "answer"):
            with monkeypatch.context() as patch:

                def mistaken(*_):
                    raise KeyError("5.1")

                patch.setattr(handler, name, mistaken)
                first, second = await server.say(request(), request(), answers=2)
            assert (first.status, second.status) == (500, 500)
            assert b"internal error" in first.body
        assert server.asked == []
        assert server.client.counts.errors == {"internal": 4}
    assert [record.message for record in caplog.records] == ["a request failed unexpectedly"] * 4
    assert "5.1" not in caplog.text


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("mergeable", [True, False])
async def test_a_mistake_while_it_is_answered_ends_the_connection_and_is_logged(
    model, monkeypatch, caplog, inline, mergeable
):
    async with listening(model) as server:
        pace = server.client.state.loaded.pace
        pace.inline, pace.mergeable = inline, mergeable
        with monkeypatch.context() as patch:

            def mistaken(*_):
                raise KeyError("5.1")

            patch.setattr(server.client.counts, "answered", mistaken)
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(request())
            async with asyncio.timeout(60):
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
            writer.close()
        assert (await server.say(request()))[0].status == 200
    assert [record.message for record in caplog.records] == ["a request failed unexpectedly"]
    assert "5.1" not in caplog.text


async def test_a_call_that_takes_too_long_is_answered_in_time(model):
    async with listening(model, timeout=0.2) as server:
        [handler] = {id(h): h for h in server.client.paths.handlers.values() if h.group == "v1_predict"}.values()
        server.client.state.loaded.pace.inline = False
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        loaded = server.client.state.loaded

        class Slow(Broken):
            def run(self, batch, wanted):
                asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
                return self._model.run(batch, wanted)

        object.__setattr__(loaded, "model", Slow(loaded.model, None))
        [answer] = await server.say(request({"instances": [ROW]}, path="/v1/models/iris:predict"))
        assert (answer.status, answer.json) == (504, {"error": "no prediction within 0.2 s"})
        assert handler.shelf.small == 0
        gate.set()


async def test_a_client_that_does_not_wait_for_its_answer_leaves_nothing_behind(model):
    async with listening(model) as server:
        _, writer = await asyncio.open_connection(*server.address)
        loaded = server.client.state.loaded
        loaded.pace.inline = False
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        began = asyncio.Event()

        class Slow(Broken):
            def run(self, batch, wanted):
                loop.call_soon_threadsafe(began.set)
                asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
                return self._model.run(batch, wanted)

        object.__setattr__(loaded, "model", Slow(loaded.model, None))
        writer.write(request())
        await asyncio.wait_for(began.wait(), 60)
        assert server.client.state.in_flight == 1
        assert server.client.paths.find("/predict").handler.shelf.small == len(PREDICT)
        writer.transport.abort()
        async with asyncio.timeout(60):
            while server.sockets.connections:  # noqa: ASYNC110 - the server's side comes with one of the next turns
                await asyncio.sleep(0)
            gate.set()
            while server.client.state.in_flight:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert server.client.paths.find("/predict").handler.shelf.small == 0


async def test_where_too_many_wait_a_request_is_refused_before_it_is_read(model, monkeypatch):
    async with listening(model) as server:
        handler = server.client.paths.find("/predict").handler

        def full(*_):
            raise RequestFailed(429, "overloaded", "9 requests wait for the model", headers={"retry-after": "2"})

        monkeypatch.setattr(handler._predictor, "admit", full)
        [answer] = await server.say(request(b"{"))
        assert (answer.status, answer.headers["retry-after"]) == (429, "2")
        assert server.asked == []


async def test_requests_of_one_turn_share_a_call(model, monkeypatch):
    async with listening(model) as server:
        calls = []
        loaded = server.client.state.loaded
        assert loaded.pace.mergeable, "or this shows nothing"

        class Watched(Broken):
            def run(self, batch, wanted):
                calls.append(batch.rows)
                return self._model.run(batch, wanted)

        object.__setattr__(loaded, "model", Watched(loaded.model, None))
        made = [server.protocol() for _ in range(5)]
        told = [_Transport() for _ in made]
        for protocol, transport in zip(made, told, strict=True):
            protocol.connection_made(transport)
            protocol.data_received(request())
        assert calls == []
        await asyncio.sleep(0)
        assert calls == [5]
        assert all(transport.said.startswith(b"HTTP/1.1 200 OK") for transport in told)
        for protocol in made:
            protocol.connection_lost(None)


@pytest.mark.parametrize("why", [None, ConnectionResetError()])
async def test_a_connection_that_ends_leaves_nothing_for_the_collector_of_garbage(model, why):
    async with listening(model) as server:
        gc.collect()
        gc.disable()
        try:
            for said in (request(), request(b"{")):
                protocol = server.protocol()
                protocol.connection_made(_Transport())
                protocol.data_received(said)
                while not protocol.cycle.response_complete:  # noqa: ASYNC110
                    await asyncio.sleep(0)
                ended = weakref.ref(protocol)
                protocol.connection_lost(why)
                del protocol
                assert ended() is None
        finally:
            gc.enable()


@pytest.mark.parametrize("last", [request(), request(b"", method="GET")])
async def test_nothing_is_predicted_behind_the_last_answer_of_a_connection(model, last):
    async with listening(model, max_age=1e-6) as server:
        [answer] = await server.say(request(b"{") + last)  # which is refused before the next one is looked at
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert [row[:3] for row in server.client.counts.as_json()["requests"]] == [["predict", 400, 1]]


async def test_no_framework_and_no_task_stands_in_the_way(model, monkeypatch):
    def framework(*_):
        raise AssertionError("the framework was asked")

    monkeypatch.setattr(HotPath, "__call__", framework)
    async with listening(model) as server:
        for path, body in ASKED[:7]:
            assert (await server.say(request(body, path=path)))[0].status == 200


class _Transport(asyncio.Transport):
    """Takes what is said."""

    def __init__(self):
        super().__init__()
        self.said = b""

    def write(self, data):
        self.said += data

    def is_closing(self):
        return False

    def close(self):
        pass

    def get_write_buffer_size(self):
        return 0

    def resume_reading(self):
        pass
