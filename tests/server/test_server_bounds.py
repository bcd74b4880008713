"""The bound that incomplete heads share: it holds for those that fill it, and for nobody else."""

import asyncio

import pytest

import model_dirs
from headgate_server.bounds import MAX_PENDING_BYTES, SPARED_BYTES, Pending
from listening import listening

ROW = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
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
