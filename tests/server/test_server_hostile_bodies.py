"""Bodies that mean harm: each is refused in its path's shape and in bounded memory, and the next is answered."""

import gzip
import json
import struct

import pytest

from asgi_client import AsgiClient
from headgate_server.protocols.failures import RequestFailed
from headgate_server.shelf import LEAST, SMALL, Place, Shelf
from hostile import MIB, ROW, Connection, connections, good, grown, memory, request
from server_process import ServerProcess

INFER = "/v2/models/iris/infer"
PATHS = ["/predict", "/predict/batch", "/invocations", INFER, "/v1/models/iris:predict"]
LIMIT = 8 * MIB


@pytest.fixture(scope="module")
def small_server(model):
    """Bodies of 2 MiB, and 16 MiB of them together."""
    with ServerProcess(model=model, timeout=20, max_body_bytes=2 * MIB) as server:
        yield server.wait_ready()


def chunked(size, piece):
    chunk = b"%x\r\n" % piece + b" " * piece + b"\r\n"
    return request(b"", "transfer-encoding: chunked", length=-1) + chunk * (size // piece) + b"0\r\n\r\n"


# -- size -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [request(b" " * 64 * MIB), request(b"[" * 64 * MIB), chunked(64 * MIB, MIB), chunked(LIMIT + MIB, 16)],
    ids=["length", "brackets", "chunks", "small chunks"],
)
def test_a_body_of_64_mib_is_413_and_not_kept(server, sent):
    with grown(server, at_most=80):
        with Connection(server) as connection:
            connection.say(sent)
            assert connection.status() == 413
        assert good(server) == (200, 200)


def test_a_length_beyond_reason_is_413_at_once(server):
    with Connection(server) as connection:
        connection.say(request(b"{", length=1 << 50))
        assert connection.status() == 413


@pytest.mark.parametrize("level", [1, 9])
@pytest.mark.parametrize("size", [MIB, 512 * MIB])
def test_a_body_that_inflates_beyond_the_limit_is_413_and_not_made(server, size, level):
    bomb = gzip.compress(b"[" * (size if size > LIMIT else LIMIT + size), level)
    with grown(server, at_most=80):
        for path in PATHS:
            reply = server.post(path, bomb, headers={"content-encoding": "gzip"})
            assert (path, reply.status) == (path, 413)
        assert good(server) == (200, 200)


@pytest.mark.parametrize(
    "piece",
    [b"[],", b"{},", b"1.5,", b'"a",', b"[[[]]],", b'"",'],
    ids=["lists", "objects", "numbers", "texts", "nested", "empty texts"],
)
def test_bodies_that_are_many_times_as_large_once_they_are_read_are_read_one_at_a_time(server, piece):
    body = b'{"inputs":[' + piece * ((LIMIT - 20) // len(piece)) + b"0]}"
    with grown(server, at_most=450):
        with connections(server, 6) as asking:
            for connection, path in zip(asking, PATHS + PATHS, strict=False):
                connection.say(request(body, path=path))
            assert {connection.status() for connection in asking} <= {400, 413}
        assert good(server) == (200, 200)


@pytest.mark.parametrize("piece", [b'"",', b'"', b"NaN,"], ids=["texts", "quotes", "NaN"])
def test_bodies_that_hold_nan_take_no_more(server, piece):
    body = b'{"inputs":[' + piece * ((LIMIT - 20) // len(piece)) + b"NaN]}"
    with grown(server, at_most=450):
        assert server.post("/invocations", body).status in {400, 413}
        assert good(server) == (200, 200)


@pytest.mark.parametrize("line", [b"\n", b"1\n", b",\n", b'"\n"\n'])
def test_csv_of_millions_of_lines_is_refused_before_they_are_kept(server, line):
    body = b"sl,sw,pl,pw\n" + line * ((LIMIT - 20) // len(line))
    with grown(server, at_most=120):
        reply = server.post("/invocations", body, headers={"content-type": "text/csv"})
        assert reply.status in {400, 413}
        assert good(server) == (200, 200)


def test_what_large_bodies_took_is_given_back(model):
    with ServerProcess(model=model, timeout=20) as server:
        server.wait_ready()
        before = memory(server)
        for piece in (b"[],", b'"a",', b"1.5,"):
            body = b'{"inputs":[' + piece * ((LIMIT - 20) // len(piece)) + b"0]}"
            with connections(server, 6) as asking:
                for connection in asking:
                    connection.say(request(body))
                assert {connection.status() for connection in asking} <= {400, 413}
        assert memory(server) - before < 45


# -- many at once -----------------------------------------------------------------------------------------------


def test_large_bodies_at_once_have_one_bound_and_small_ones_are_answered_beside_them(small_server):
    body = b'{"features":[5.1,3.5,1.4,0.2]' + b" " * (2 * MIB - 40) + b"}"
    with grown(small_server, at_most=100):
        with connections(small_server, 40) as holding:
            for connection in holding:
                connection.say(request(body)[:-1])
            assert good(small_server) == (200, 200)
            refused = small_server.post("/predict", body)
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            assert "all room" in str(refused.json)
            for connection in holding:
                connection.say(b"}")
            answers = [connection.status() for connection in holding]
            assert set(answers) == {200, 429}
            assert 7 <= answers.count(200) <= 8
        assert small_server.post("/predict", body).status == 200, "and the room is given back"


def test_whoever_promises_large_bodies_and_sends_none_takes_no_room(small_server):
    with connections(small_server, 40) as promising:
        for connection in promising:
            connection.say(request(b"{", length=2 * MIB))
        body = b'{"features":[5.1,3.5,1.4,0.2]' + b" " * MIB + b"}"
        assert small_server.post("/predict", body).status == 200


def test_a_body_that_is_refused_for_want_of_room_is_refused_in_each_shape(small_server):
    body = b" " * (2 * MIB)
    with connections(small_server, 10) as holding:
        for connection in holding:
            connection.say(request(body)[:-1])
        assert good(small_server) == (200, 200)
        for path in PATHS:
            reply = small_server.post(path, body)
            assert reply.status == 429
            assert set(reply.json) == ({"error_code", "message"} if path == "/invocations" else {"error"})


def test_the_shelf_is_bounded_and_given_back():
    shelf = Shelf(10)
    with Place(shelf) as place:
        place.take(SMALL)
        place.take(LEAST)
        assert (shelf.small, shelf.large) == (SMALL, LEAST)
        with Place(shelf) as other:
            other.take(SMALL)
            with pytest.raises(RequestFailed):
                other.take(1)
            other.expect(0)
        with pytest.raises(RequestFailed):
            place.expect(1)
    assert (shelf.small, shelf.large) == (0, 0)


# -- contents ---------------------------------------------------------------------------------------------------


def infer(data=(1, 2, 3, 4), shape=(1, 4), datatype="FP32", **more):
    return {"inputs": [{"name": "X", "shape": shape, "datatype": datatype, "data": data, **more}]}


ABSURD = {
    "invalid UTF-8": b'{"features": ["\xff\xfe"]}',
    "an overlong form": b'{"features": ["\xc0\x80"]}',
    "half a pair": b'{"features": ["\\ud800"]}',
    "NaN": b'{"features": [NaN, 1, 1, 1], "instances": [[NaN]], "inputs": [[NaN]]}',
    "infinity": b'{"features": [Infinity, 1, 1, 1]}',
    "1e999": b'{"features": [1e999, 1, 1, 1]}',
    "a number of a million digits": b'{"features": [' + b"9" * 1_000_000 + b", 1, 1, 1]}",
    "a fraction of a million digits": b'{"features": ["0.' + b"9" * 1_000_000 + b'", 1, 1, 1]}',
    "nesting": b'{"features": ' + b" " * 70_000 + b"[" * 30_000,
    "closed nesting": b'{"features": ' + b"[" * 900 + b"]" * 900 + b"}",
    "nested objects": b'{"features": ' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "100,000 names": json.dumps({f"k{n}": n for n in range(100_000)}).encode(),
    "100,000 columns": json.dumps({"features": {f"k{n}": n for n in range(100_000)}}).encode(),
    "100,000 inputs": json.dumps({"inputs": infer()["inputs"] * 100_000}).encode(),
    "rows of names of their own": json.dumps({"instances": [{f"k{n}": n} for n in range(20_000)]}).encode(),
    "a nul": b"\x00",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"features": [1, 2, 3, 4]}'.encode("utf-16"),
    "nothing": b"",
    "a text": b'"text"',
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", ABSURD.values(), ids=ABSURD)
async def test_absurd_contents_are_400_in_the_shape_of_the_path(client, path, body):
    reply = await client.request("POST", path, body)
    assert reply.status == (413 if body is ABSURD["100,000 inputs"] else 400)
    assert set(reply.json) == ({"error_code", "message"} if path == "/invocations" else {"error"})
    assert len(reply.body) < 4096


@pytest.fixture(scope="module")
def client(model):
    with AsgiClient(model) as client:
        yield client


BIG = 1 << 62


@pytest.mark.parametrize(
    "body",
    [
        infer(shape=[BIG, BIG, 4]),
        infer(shape=[1 << 32, 1 << 32]),
        infer(shape=[1 << 33, 1 << 31], data=[]),
        infer(shape=[BIG, 0], data=[]),
        infer(shape=[0, 4], data=[]),
        infer(shape=[-1, -4]),
        infer(shape=[1, -1]),
        infer(shape=[1.0, 4.0]),
        infer(shape=[True, 4]),
        infer(shape=["1", "4"]),
        infer(shape=[2] * 1000),
        infer(shape=[]),
        infer(shape=[1, 4, 1]),
        infer(shape=10**19),
        infer(data=[[[[1], 2], 3], 4, 5]),
        infer(data=[1e39, 1, 1, 1]),
        infer(data={"a": 1}),
        infer(data="1234"),
        infer(datatype="FP128"),
        infer(datatype=["FP32"]),
        infer(name={"a": 1}),
        infer(parameters={"binary_data_size": 16}),
        infer(parameters=[1]),
        {"inputs": [None]},
        {"inputs": {"name": "X"}},
        infer() | {"outputs": [{"name": "X"}] * 1000},
        infer() | {"outputs": [[]]},
        infer() | {"id": {"a": 1}},
        infer() | {"parameters": {"binary_data_output": 1}},
    ],
)
async def test_absurd_tensors_are_400(client, body):
    reply = await client.request("POST", INFER, body)
    assert (reply.status, list(reply.json)) == (400, ["error"])


def binary(size, tail, shape=(1, 4), datatype="FP32", length=None):
    head = json.dumps(
        {"inputs": [{"name": "X", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}]}
    ).encode()
    said = len(head) if length is None else length
    return head + tail, {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(said),
    }


FLOATS = struct.pack("<4f", 5.1, 3.5, 1.4, 0.2)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        binary(16, FLOATS[:-1]),
        binary(15, FLOATS),
        binary(17, FLOATS),
        binary(-16, FLOATS),
        binary(1 << 60, FLOATS),
        binary(True, b"a"),
        binary("16", FLOATS),
        binary(16, FLOATS + b"a"),
        binary(16, FLOATS, shape=[BIG, 4]),
        binary(0, b"", shape=[0, 4]),
        binary(0, b"", shape=[BIG, 0]),
        binary(16, FLOATS, length=0),
        binary(16, FLOATS, length=10**9),
        binary(16, FLOATS, length=-1),
        binary(16, FLOATS, length="9" * 5000),
        binary(16, FLOATS, length="0x10"),
        binary(8, b"\xff" * 8, shape=[1], datatype="BYTES"),
        binary(4, b"\xff" * 4, shape=[1, 4], datatype="BOOL"),
        binary(4, b"\0" * 4, shape=[1 << 40], datatype="BYTES"),
    ],
)
async def test_binary_tensors_whose_sizes_lie_are_400(client, body, headers):
    reply = await client.request("POST", INFER, body, headers)
    assert (reply.status, list(reply.json)) == (400, ["error"])


async def test_of_a_name_that_stands_there_twice_the_last_is_taken_as_everywhere(client):
    reply = await client.request("POST", "/predict", b'{"features": [9, 9, 9, 9], "features": [5.1, 3.5, 1.4, 0.2]}')
    assert reply.status == 200
    assert reply.json["prediction"] == (await client.request("POST", "/predict", ROW)).json["prediction"]
