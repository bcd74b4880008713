"""Clients that mean harm by how they connect and what they send for HTTP: each is bounded, the others are served."""

import pytest

import model_dirs
from hostile import MIB, ROW, Connection, connections, descriptors, good, grown, request
from server_process import ServerProcess

GET = b"GET /livez HTTP/1.1\r\nhost: x\r\n"
BEHIND = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"1e\r\n" + ROW + b"\r\n0\r\n"
TRANSFER = "transfer-encoding: chunked"


@pytest.fixture(scope="module")
def spinner(tmp_path_factory):
    return model_dirs.save_onnx(tmp_path_factory.mktemp("model") / "spinner", model_dirs.onnx_spinner())


@pytest.fixture(scope="module")
def impatient(model):
    with ServerProcess(model=model, timeout=1) as server:
        yield server.wait_ready()


def gauge(server, name):
    return server.request("GET", "/counters", port=server.ops_port).json[name]


# -- many connections -------------------------------------------------------------------------------------------


def test_ten_thousand_idle_connections_are_carried_and_a_good_request_is_answered(server):
    count = min(10_000, descriptors(10_500) - 500)
    with grown(server, at_most=count * 20 / 1024), connections(server, count):
        server.wait_until(lambda: gauge(server, "open_connections") == count)
        assert good(server) == (200, 200)
    server.wait_until(lambda: gauge(server, "open_connections") == 0)


def test_more_connections_than_there_is_room_for_end_those_that_wait_the_longest(model):
    with ServerProcess(model=model, descriptors=200) as server:
        server.wait_ready()
        with connections(server, 300) as crowd:
            for connection in crowd[::2]:
                connection.say(GET)  # without an end: such a head is no request
            assert good(server) == (200, 200)
            assert crowd[0].rest() == b""
            assert crowd[-2].say(b"\r\n")
            assert crowd[-2].status() == 200
            assert gauge(server, "open_connections") <= 100


def test_where_every_connection_has_a_request_one_more_is_503_and_probes_are_answered(model):
    with ServerProcess(model=model, descriptors=200) as server, connections(server, 100) as busy:
        server.wait_ready()
        for connection in busy:
            connection.say(request(ROW[:5], length=len(ROW)))
        server.wait_until(lambda: gauge(server, "in_flight") == 100)
        with Connection(server) as late:
            assert b"503" in late.rest()
        assert server.request("GET", "/livez", port=server.ops_port).status == 200
        for connection in busy:
            connection.say(ROW[5:])
        assert {connection.status() for connection in busy} == {200}


def test_heads_and_bodies_that_come_byte_by_byte_hold_nobody_up_and_are_ended_in_time(impatient):
    with connections(impatient, 200) as heads, connections(impatient, 200) as bodies:
        for connection in bodies:
            connection.say(request(b"{", length=len(ROW)))
        for n in range(3):
            for connection in heads:
                connection.say(GET[n : n + 1])
            for connection in bodies:
                connection.say(b" ")
            assert good(impatient) == (200, 200)
        assert {connection.status() for connection in bodies} == {408}
        assert {connection.status() for connection in heads} == {0}
    assert good(impatient) == (200, 200)


def test_probes_are_answered_while_the_model_runs_and_64_requests_wait_for_it(spinner):
    ages = request(b'{"features": {"spins": 1000000000000, "index": 0}}')
    with ServerProcess(model=spinner, timeout=60) as server, connections(server, 64) as waiting:
        server.wait_ready()
        for connection in waiting:
            connection.say(ages)
        server.wait_until(lambda: gauge(server, "in_flight") == 64)
        for _ in range(20):
            for path in ("/livez", "/readyz"):
                assert server.request("GET", path, port=server.ops_port).status == 200
        assert gauge(server, "in_flight") == 64  # it was busy all the while


# -- heads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flood",
    [
        GET.replace(b"/livez", b"/livez?" + b"a" * MIB) + b"\r\n",
        GET.replace(b"/livez", b"/" + b"a" * MIB) + b"\r\n",
        GET + b"x: " + b"a" * MIB,
        GET + b"x" * MIB,
        GET + b"a:\r\n" * 300,
        GET + b"a:\r\n" * MIB,
        request(CHUNKED, TRANSFER, length=-1) + b"x: y\r\n" * MIB,
        request(CHUNKED, TRANSFER, length=-1) + b"x: " + b"a" * MIB,
        request(b"1e;" + b"x" * MIB, TRANSFER, length=-1),
    ],
    ids=["query", "path", "value", "name", "fields", "many-fields", "trailers", "trailer", "extension"],
)
def test_a_flood_of_head_is_431_and_takes_no_memory(server, flood):
    with grown(server, at_most=60):
        for _ in range(5):
            with Connection(server) as connection:
                connection.say(flood)
                assert connection.status() == 431
                assert connection.rest() == b""
        assert good(server) == (200, 200)


def test_many_heads_without_end_share_one_bound(server):
    with grown(server, at_most=80), connections(server, 400) as flooding:
        for connection in flooding:
            connection.say(GET + b"x: " + b"a" * 60_000)  # each within its own bound, together 24 MB
        last = flooding[-1]
        assert last.status() == 503
        assert good(server) == (200, 200)
    assert good(server) == (200, 200)
    with Connection(server) as connection:
        connection.say(GET + b"x: " + b"a" * 60_000)
        assert connection.say(b"\r\n\r\n")
        assert connection.status() == 200


def test_trailers_are_no_part_of_the_head(server):
    with Connection(server) as connection:
        connection.say(request(CHUNKED + b"content-encoding: gzip\r\nx-request-id: t\r\n\r\n", TRANSFER, length=-1))
        assert connection.status() == 200


# -- one request that is two ------------------------------------------------------------------------------------

AMBIGUOUS = {
    "length and chunks": request(CHUNKED + b"\r\n", TRANSFER),
    "chunks and length": request(CHUNKED + b"\r\n", TRANSFER, "content-length: 3", length=-1),
    "two lengths": request(ROW, "content-length: 3"),
    "one length twice": request(ROW, f"content-length: {len(ROW)}"),
    "a list of lengths": request(ROW, f"content-length: {len(ROW)}, {len(ROW)}", length=-1),
    "a length with a sign": request(ROW, f"content-length: +{len(ROW)}", length=-1),
    "a length below zero": request(ROW, "content-length: -1", length=-1),
    "a length beyond 64 bits": request(ROW, "content-length: 99999999999999999999999", length=-1),
    "a length in hex": request(ROW, "content-length: 0x1e", length=-1),
    "chunks not last": request(CHUNKED + b"\r\n", "transfer-encoding: chunked, identity", length=-1),
    "chunks twice": request(CHUNKED + b"\r\n", TRANSFER, "transfer-encoding: identity", length=-1),
    "another coding": request(CHUNKED + b"\r\n", "transfer-encoding: xchunked", length=-1),
    "a space before the colon": request(CHUNKED + b"\r\n", "transfer-encoding : chunked", length=-1),
    "a folded line": request(ROW, "x: a\r\n content-length: 3"),
    "bare line feeds": request(ROW).replace(b"\r\n", b"\n"),
    "a bare carriage return": request(ROW, "x: a\rcontent-length: 3"),
    "a nul": request(ROW, "x: a\0b"),
    "a chunk of no number": request(b"zz\r\n", TRANSFER, length=-1),
    "a chunk below zero": request(b"-1\r\n", TRANSFER, length=-1),
    "a chunk beyond 64 bits": request(b"fffffffffffffffff\r\n", TRANSFER, length=-1),
    "a chunk that is longer": request(b"1\r\n" + ROW + b"\r\n0\r\n\r\n", TRANSFER, length=-1),
    "a path of bytes": BEHIND.replace(b"/smuggled", b"/\xff\xfe"),
    "no path": BEHIND.replace(b"/smuggled", b"http://x"),
    "a tunnel": b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 100,
}


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_two_readers_may_read_differently_is_400_and_the_end_of_the_connection(server, sent):
    with Connection(server) as connection:
        connection.say(sent + BEHIND)
        assert connection.status() == 400
        assert connection.rest() == b"", "and nothing behind it is a request"
    assert good(server) == (200, 200)


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_request_to_change_the_protocol_keeps_its_body(server, upgrade, pieces):
    """Java's client asks for HTTP/2 with its first request. What is in the body is no request."""
    body = b'{"features":[5.1,3.5,1.4,0.2]' + b" " * 20 + b"}"
    whole = request(body, "connection: Upgrade, HTTP2-Settings", f"upgrade: {upgrade}", "http2-settings: AAMAAABk")
    with Connection(server) as connection:
        for _ in range(2):
            if pieces == 2:
                connection.say(whole[: -len(body)])
                server.wait_until(lambda: gauge(server, "in_flight") == 1)
                connection.say(body)
            else:
                connection.say(whole)
            assert connection.status() == 200


def test_a_request_in_the_body_of_one_that_asks_for_another_protocol_is_none(server):
    sent = request(BEHIND, "connection: upgrade", "upgrade: h2c")
    with Connection(server) as connection:
        connection.say(sent[: -len(BEHIND)])
        server.wait_until(lambda: gauge(server, "in_flight") == 1)
        connection.say(BEHIND)
        assert connection.status() == 400  # it is no JSON
        connection.say(request(ROW, "connection: close"))
        assert connection.status() == 200
        assert connection.rest() == b""


# -- ahead of the answers ---------------------------------------------------------------------------------------


def test_requests_sent_ahead_are_answered_in_order(server):
    paths = [f"/v2/models/{n}" for n in range(20)]
    with Connection(server) as connection:
        connection.say(b"".join(GET.replace(b"/livez", path.encode()) + b"\r\n" for path in ["/livez", *paths]))
        assert [connection.status() for _ in range(21)] == [200] + [404] * 20


def test_a_flood_of_requests_sent_ahead_is_answered_in_part_and_ended(server):
    with grown(server, at_most=60):
        for _ in range(5):
            with Connection(server) as connection:
                connection.say((GET + b"\r\n") * 100_000)
                got = connection.rest()
                assert 1 <= got.count(b"HTTP/1.1 200") <= 100
                assert got.count(b"HTTP/1.1 ") == got.count(b"HTTP/1.1 200")
        assert good(server) == (200, 200)


def test_what_is_no_http_behind_a_request_under_way_is_no_answer_to_it(spinner):
    body = b'{"features": {"spins": 1000000, "index": 0}}'
    with ServerProcess(model=spinner) as server:
        server.wait_ready()
        with Connection(server) as connection:
            connection.say(request(body) + b"no HTTP at all\r\n\r\n")
            assert connection.status() == 200
            assert connection.rest() == b""


# -- clients that go on for ever --------------------------------------------------------------------------------


def test_the_rest_of_a_body_that_was_answered_before_it_was_there_must_come_in_time(impatient):
    with Connection(impatient) as connection:
        connection.say(request(b"{", path="/nowhere", length=100))
        assert connection.status() == 404
        connection.say(b" ")
        assert connection.rest() == b""


def test_an_answer_that_nobody_reads_is_given_up(impatient):
    asked = (
        b'{"id": "' + b"a" * (8_000_000) + b'", "inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": '
    )
    sent = request(asked + b"[5.1,3.5,1.4,0.2]}]}", path="/v2/models/iris/infer")
    with Connection(impatient, receive_buffer=4096) as connection:
        connection.say(sent * 3)
        impatient.wait_until(lambda: gauge(impatient, "open_connections") == 0)
        assert gauge(impatient, "in_flight") == 0
    assert good(impatient) == (200, 200)


def test_an_answer_that_is_read_slowly_is_read_to_its_end(impatient):
    asked = (
        b'{"id": "' + b"a" * (8_000_000) + b'", "inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": '
    )
    with Connection(impatient, receive_buffer=4096) as connection:
        connection.say(request(asked + b"[5.1,3.5,1.4,0.2]}]}", path="/v2/models/iris/infer"))
        assert connection.status() == 200
