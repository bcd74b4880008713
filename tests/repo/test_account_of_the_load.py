"""The load of the cluster tests names what became of a request by what happened to its connection."""

import asyncio
import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest

STEADY = Path(__file__).parents[1] / "cluster" / "load" / "steady.py"
PLAN = {"path": "/predict", "at": ["prediction"], "rounds": [{"body": {}, "answer": {"1": 0}}]}
Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("steady_under_test", STEADY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


async def lost_to(steady: ModuleType, server: Server, requests: int = 2) -> set[str]:
    """What each of some requests ended with, over kept-alive and fresh connections."""
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        return await lost_at(steady, port, requests)
    finally:
        listening.close()


async def lost_at(steady: ModuleType, port: int, requests: int = 2) -> set[str]:
    load = steady.Steady(f"http://127.0.0.1:{port}", PLAN, rate=100, timeout=10, seconds=requests / 100, slow=0)
    await load.run()
    assert len(load.answers) == load.sent
    return {lost for *_, lost in load.answers}


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def hang_up_by_force(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def hang_up_in_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nx-model-version: 1\r\ncontent-length: 100\r\n\r\n{")
    writer.close()


@pytest.mark.parametrize("server", [hang_up, hang_up_by_force, hang_up_in_the_answer])
async def test_a_connection_that_ends_anywhere_under_a_request_is_a_reset(steady: ModuleType, server: Server) -> None:
    assert {lost.partition(":")[0] for lost in await lost_to(steady, server)} == {"reset"}


def test_a_connection_that_ends_before_the_request_is_written_is_a_reset(steady: ModuleType) -> None:
    error = aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    assert steady.kind_of(error) == "reset: ClientConnectionResetError"


async def test_where_nobody_listens_a_request_is_refused(steady: ModuleType) -> None:
    gone = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = gone.sockets[0].getsockname()[1]
    gone.close()
    await gone.wait_closed()

    assert await lost_at(steady, port) == {"refused"}


async def test_another_status_is_told_with_its_words(steady: ModuleType) -> None:
    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"error": {"code": "MODEL_NOT_READY"}}).encode()
        writer.write(b"HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    assert await lost_to(steady, busy) == {'http 503: {"error": {"code": "MODEL_NOT_READY"}}'}
