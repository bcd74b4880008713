"""The queue's promises: no key twice at once, no wake-up lost, back-off per key."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_operator.workqueue import BackOff, QueueClosedError, WorkQueue


def queue(chance: float = 0.5) -> WorkQueue[str]:
    return WorkQueue(clock=asyncio.get_running_loop().time, chance=lambda: chance)


async def take(q: WorkQueue[str]) -> str:
    async with asyncio.timeout(1000):
        return await q.get()


async def test_a_key_added_many_times_is_given_out_once() -> None:
    q = queue()
    for _ in range(3):
        q.add("a")
    assert await q.get() == "a"
    q.done("a")
    assert len(q) == 0


async def test_a_key_added_while_held_comes_back_only_when_its_worker_is_done() -> None:
    q = queue()
    q.add("a")
    await q.get()
    q.add("a")
    q.add("a")
    assert len(q) == 0
    q.done("a")
    assert await q.get() == "a"
    q.done("a")
    assert len(q) == 0


async def test_a_key_that_nobody_added_again_does_not_come_back() -> None:
    q = queue()
    q.add("a")
    await q.get()
    q.done("a")
    q.add("b")
    assert await q.get() == "b"


@pytest.mark.looptime
async def test_of_several_delays_the_earliest_counts() -> None:
    q, loop = queue(), asyncio.get_running_loop()
    q.add_after("a", 30)
    q.add_after("a", 5)
    q.add_after("a", 60)
    began = loop.time()
    assert await take(q) == "a"
    assert loop.time() - began == pytest.approx(5)
    q.done("a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(100):
            await q.get()


@pytest.mark.looptime
async def test_a_pass_makes_an_older_wish_for_a_later_look_void() -> None:
    q = queue()
    q.add_after("a", 30)
    q.add("a")
    assert await take(q) == "a"
    q.add_after("a", 50)
    q.done("a")
    began = asyncio.get_running_loop().time()
    assert await take(q) == "a"
    assert asyncio.get_running_loop().time() - began == pytest.approx(50)


@pytest.mark.looptime
async def test_a_failing_key_waits_twice_as_long_each_time_and_another_key_does_not() -> None:
    q, loop = queue(chance=0.5), asyncio.get_running_loop()
    waits = []
    for _ in range(9):
        q.retry("bad")
        began = loop.time()
        assert await take(q) == "bad"
        waits.append(loop.time() - began)
        q.done("bad")
    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, 32, 60, 60])
    assert q.retry("other") == pytest.approx(0.5)
    q.reset("bad")
    assert q.retry("bad") == pytest.approx(0.5)


async def test_a_server_that_asks_for_a_longer_wait_gets_it() -> None:
    q = queue()
    assert q.retry("a", at_least=17) == 17
    q.close()


async def test_workers_that_wait_are_told_when_the_queue_closes() -> None:
    q = queue()
    waiting = [asyncio.ensure_future(q.get()) for _ in range(3)]
    await asyncio.sleep(0)
    q.add_after("a", 10)
    q.close()
    q.add("b")
    for task in waiting:
        with pytest.raises(QueueClosedError):
            await task


@pytest.mark.looptime
async def test_age_says_how_long_the_oldest_key_has_waited_and_the_slowest_worker_worked() -> None:
    q = queue()
    q.add("a")
    await asyncio.sleep(7)
    q.add("b")
    assert q.oldest_seconds() == pytest.approx(7)
    await q.get()
    await asyncio.sleep(3)
    assert q.oldest_seconds() == pytest.approx(3)
    assert q.longest_held_seconds() == pytest.approx(3)


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_back_off_stays_within_its_bounds(failures: int, chance: float) -> None:
    seconds = BackOff().seconds(failures, chance)
    assert 0.4 <= seconds <= 72


@pytest.mark.looptime
@pytest.mark.parametrize("workers", [1, 3])
async def test_every_wake_up_is_followed_by_a_pass_that_began_after_it_and_never_two_at_once(workers: int) -> None:
    q, loop = queue(), asyncio.get_running_loop()
    holding: Counter[str] = Counter()
    last_began: dict[str, float] = {}
    last_added: dict[str, float] = {}

    async def worker(pause: float) -> None:
        while True:
            key = await q.get()
            holding[key] += 1
            assert holding[key] == 1
            last_began[key] = loop.time()
            await asyncio.sleep(pause)
            holding[key] -= 1
            q.done(key)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(worker(0.3 + 0.17 * n)) for n in range(workers)]
        for step in range(200):
            key = "abcde"[(step * step + step // 3) % 5]
            q.add(key)
            last_added[key] = loop.time()
            await asyncio.sleep(0.07)
        await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
    assert all(last_began[key] >= last_added[key] for key in last_added)
