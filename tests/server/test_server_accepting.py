"""Workers share one queue of connections: each takes its part, and nobody waits for one that does not come."""

import asyncio
import contextlib
import socket
import time

import pytest

from headgate_server.accepting import GULP, LOOKS, Accepting
from headgate_server.block import ACCEPTING, OPEN_CONNECTIONS, Block
from headgate_server.worker import Worker


class Noted(asyncio.Protocol):
    """Connections that were begun, by all of them."""

    made: list[asyncio.BaseTransport] = []

    def connection_made(self, transport):
        self.made.append(transport)


@pytest.fixture
async def queue():
    """A listening socket and a way to connect to it; what was begun is in `Noted.made`."""
    Noted.made = []
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = listening.getsockname()
        yield listening, lambda: stack.enter_context(socket.create_connection(address, timeout=60))
        for transport in Noted.made:
            transport.close()
        await asyncio.sleep(0)  # the event loop's part of it


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_its_part_is_taken_at_once(queue):
    listening, connect = queue
    asked = []
    accepting = Accepting(listening, Noted, lambda coming: not asked.append(coming))
    connect()
    await until(lambda: Noted.made)
    assert len(asked) <= 2
    accepting.close()
    await accepting.wait_closed()


async def test_more_than_its_part_is_left_for_another_for_a_moment_and_then_taken(queue):
    listening, connect = queue
    asked = []
    accepting = Accepting(listening, Noted, lambda coming: asked.append(coming))
    connect()
    await until(lambda: Noted.made)
    assert len(asked) >= LOOKS
    asked.clear()
    for _ in range(GULP + 1):
        connect()
    await until(lambda: len(Noted.made) == GULP + 2)
    assert len(asked) >= LOOKS
    accepting.close()
    await accepting.wait_closed()


async def test_what_another_takes_meanwhile_is_that_ones(queue):
    listening, connect = queue
    taken = []

    def another_one_does(_):
        with contextlib.suppress(BlockingIOError):
            taken.append(listening.accept()[0])
        return False

    accepting = Accepting(listening, Noted, another_one_does)
    for n in range(3):
        connect()
        await until(lambda so_many=n + 1: len(taken) == so_many)
    accepting.close()
    await accepting.wait_closed()
    assert Noted.made == []
    for connection in taken:
        connection.close()


async def test_what_waits_in_the_queue_at_the_end_is_begun_before_the_end(queue):
    listening, connect = queue
    accepting = Accepting(listening, Noted, lambda _: False)
    for _ in range(5):
        connect()
    accepting.close()
    assert accepting.coming == 5
    await accepting.wait_closed()
    assert len(Noted.made) == 5
    accepting.close()  # said twice, as uvicorn does


@pytest.mark.parametrize(
    ("mine", "others", "fair"),
    [
        (0, [0], True),
        (1, [0], False),
        (1, [1], True),
        (5, [4], True),
        (6, [4], False),
        (6, [4, 20], False),
        (6, [None], True),
        (6, [None, 6], True),
    ],
)
def test_a_part_is_hardly_more_than_the_least_of_those_that_accept(mine, others, fair):
    block = Block(1 + len(others))
    for slot, number in zip(block.slots, [mine, *others], strict=True):
        slot.gauges[ACCEPTING] = number is not None
        slot.gauges[OPEN_CONNECTIONS] = number or 0
    worker = Worker(block, 0, time.monotonic(), "id")
    assert worker.fair(0) is fair
    assert worker.fair(100) is (others == [None])
