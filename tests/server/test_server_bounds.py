"""The bound that incomplete heads share holds for those that fill it alone, and idle connections end, no others."""

import asyncio

import pytest

import model_dirs
from headgate_server import connections
from headgate_server.bounds import MAX_PENDING_BYTES, SPARED_BYTES, Pending
from listening import listening

ROW = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
LINE = b"POST /predict HTTP/1.1\r\n"
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 34\r\n"


@pytest.fixture
async def server(tmp_path, monkeypatch):
    monkeypatch.setattr(Pending, "total", MAX_PENDING_BYTES)
    async with listening(model_dirs.onnx_iris(tmp_path / "iris")) as server:
        yield server


async def test_a_small_request_that_comes_in_parts_is_answered_while_others_fill_it(server):
    [answer] = await server.say(HEAD, b"\r\n", ROW[:9], ROW[9:])
    assert answer.status == 200
    assert Pending.total == MAX_PENDING_BYTES


async def test_who_is_refused_takes_no_more_room_while_the_refusal_is_read(server):
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(HEAD + b"x: " + b"a" * SPARED_BYTES)
    async with asyncio.timeout(60):
        assert (await reader.readline()).split()[1] == b"503"
    assert len(server.sockets.connections) == 1, "it lingers"
    assert Pending.total == MAX_PENDING_BYTES
    writer.close()
    await writer.wait_closed()


# -- idle -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", HEAD + b"\r\n" + ROW, b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n"])
async def test_a_connection_without_a_request_ends(tmp_path, monkeypatch, said):
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.05)
    async with listening(model_dirs.onnx_iris(tmp_path / "iris")) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(said)
        async with asyncio.timeout(60):
            assert (b" 200 OK" in await reader.read()) is (len(said) > 2)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("first", [b"", HEAD + b"\r\n" + ROW])
@pytest.mark.parametrize("part", [LINE, HEAD, HEAD + b"\r\n", HEAD + b"\r\n" + ROW[:9]])
async def test_a_request_that_began_when_the_connection_was_to_end_is_answered(server, first, part):
    reader, writer = await asyncio.open_connection(*server.address)
    async with asyncio.timeout(60):
        if first:
            writer.write(first)
            assert await reader.readuntil(b"}")
        expected = server.read + len(part)
        writer.write(part)
        while server.read < expected:  # noqa: ASYNC110
            await asyncio.sleep(0)
        [connection] = server.sockets.connections
        connection._since -= 2 * connection.idle
        connection._look_idle()
        writer.write((HEAD + b"\r\n" + ROW)[len(part) :])
        assert b" 200 OK" in await reader.readuntil(b"\r\n")
    writer.close()
    await writer.wait_closed()
