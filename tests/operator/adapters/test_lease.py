"""Two electors, one record: never two leaders at once, whatever fails and however the clocks jump."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headgate_operator.lease import Acquire, Elector, LeaseLostError, Renew, Timing, Wait, decide
from headgate_operator.ports import ConflictError, Key, RefusedError

EPOCH = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
Obj = dict[str, Any]


class Record:
    """The Lease on the API server, and the network in front of it (by caller)."""

    def __init__(self) -> None:
        self.lease: Obj | None = None
        self.version = 0
        self.broken: dict[str, str] = {}  # caller -> refuse | hang | lose (committed, reply lost)

    def door(self, caller: str) -> "Door":
        return Door(self, caller)

    def put(self, spec: Obj) -> Obj:
        self.version += 1
        self.lease = {"metadata": {"resourceVersion": str(self.version)}, "spec": deepcopy(spec)}
        return deepcopy(self.lease)

    @property
    def holder(self) -> str:
        return str((self.lease or {"spec": {}})["spec"].get("holderIdentity", ""))


class Door:
    def __init__(self, record: Record, caller: str) -> None:
        self._record, self._caller = record, caller

    async def _pass(self, before: bool) -> None:
        fault = self._record.broken.get(self._caller)
        if before and fault == "refuse":
            raise OSError("connection refused")
        if (before and fault == "hang") or (not before and fault == "lose"):
            await asyncio.sleep(3600)

    async def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        await self._pass(True)
        return deepcopy(self._record.lease)

    async def create(self, obj: Obj) -> Obj:
        await self._pass(True)
        if self._record.lease is not None:
            raise ConflictError
        written = self._record.put(obj["spec"])
        await self._pass(False)
        return written

    async def replace(self, obj: Obj) -> Obj:
        await self._pass(True)
        if self._record.lease is None or obj["metadata"] != self._record.lease["metadata"]:
            raise ConflictError
        written = self._record.put(obj["spec"])
        await self._pass(False)
        return written


class Wall:
    """A wall clock that may be wrong."""

    def __init__(self) -> None:
        self.offset = timedelta()
        self.began = asyncio.get_running_loop().time()

    def __call__(self) -> datetime:
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time() - self.began) + self.offset


def elector(record: Record, me: str, wall: Callable[[], datetime] | None = None) -> Elector:
    return Elector(
        record.door(me),
        lease=Key("ops", "headgate-operator"),
        me=me,
        clock=asyncio.get_running_loop().time,
        now=wall or Wall(),
    )


@asynccontextmanager
async def never_two(*electors: Elector) -> AsyncIterator[None]:
    """Looks ten times a virtual second."""

    async def look() -> None:
        while True:
            assert sum(e.may_write() for e in electors) <= 1, "two leaders"
            await asyncio.sleep(0.1)

    watch = asyncio.ensure_future(look())
    try:
        yield
    finally:
        await asyncio.sleep(0.2)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        if not watch.cancelled():
            watch.result()


async def seconds_until(done: Any, *, within: float) -> float:
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(within):
        await done
    return asyncio.get_running_loop().time() - began


def held_by(holder: str, **spec: Any) -> Obj:
    return {"metadata": {}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, **spec}}


@pytest.mark.parametrize(
    ("lease", "unchanged", "decision"),
    [
        (None, 0, Acquire()),
        (held_by(""), 0, Acquire()),
        (held_by("me"), 99, Renew()),
        (held_by("other"), 0, Wait(2.0)),
        (held_by("other"), 14, Wait(1.0)),
        (held_by("other"), 15, Acquire()),
        (held_by("other", leaseDurationSeconds=60), 30, Wait(2.0)),
        (held_by("other", leaseDurationSeconds=1), 10, Wait(2.0)),
        (held_by("other", renewTime="1999-01-01T00:00:00.000000Z"), 0, Wait(2.0)),
    ],
)
def test_the_record_decides_and_its_wall_clock_times_do_not(
    lease: Obj | None, unchanged: float, decision: Acquire | Renew | Wait
) -> None:
    assert decide(lease, "me", seen_unchanged=unchanged, timing=Timing()) == decision


def test_the_last_request_of_a_leader_ends_before_another_may_lead() -> None:
    timing = Timing()
    assert timing.renew_deadline + timing.request_timeout < timing.duration


@pytest.mark.looptime
async def test_the_first_one_makes_the_record_and_leads_at_once() -> None:
    record = Record()
    one = elector(record, "one")
    assert not one.may_write()
    assert await seconds_until(one.acquire(), within=1) == 0
    assert one.may_write()
    assert record.lease is not None
    assert record.lease["spec"] == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-21T09:00:00.000000Z",
        "renewTime": "2026-11-21T09:00:00.000000Z",
        "leaseTransitions": 0,
    }


@pytest.mark.looptime
async def test_a_leader_that_renews_is_never_replaced() -> None:
    record = Record()
    one, two = elector(record, "one"), elector(record, "two")
    await one.acquire()
    async with never_two(one, two), asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.hold()), group.create_task(two.acquire())]
        await asyncio.sleep(3600)
        assert one.may_write()
        assert record.holder == "one"
        for task in tasks:
            task.cancel()


@pytest.mark.looptime
async def test_after_a_release_a_standby_leads_within_a_period() -> None:
    record = Record()
    one, two = elector(record, "one"), elector(record, "two")
    await one.acquire()
    async with never_two(one, two):
        standby = asyncio.ensure_future(two.acquire())
        await asyncio.sleep(5)
        await one.release()
        assert not one.may_write()
        assert await seconds_until(standby, within=100) <= 2
    assert record.lease is not None
    assert record.lease["spec"]["leaseTransitions"] == 1


@pytest.mark.looptime
async def test_a_dead_leader_is_replaced_once_its_duration_is_over() -> None:
    record = Record()
    one, two = elector(record, "one"), elector(record, "two")
    await one.acquire()
    waited = await seconds_until(two.acquire(), within=100)
    assert 15 <= waited <= 17


@pytest.mark.looptime
@pytest.mark.parametrize("fault", ["refuse", "hang"])
async def test_a_leader_cut_off_stops_before_another_begins(fault: str) -> None:
    record = Record()
    one, two = elector(record, "one"), elector(record, "two")
    await one.acquire()
    async with never_two(one, two):
        standby = asyncio.ensure_future(two.acquire())
        holding = asyncio.ensure_future(one.hold())
        await asyncio.sleep(30)
        record.broken["one"] = fault
        with pytest.raises(LeaseLostError):
            await seconds_until(holding, within=14)
        assert not one.may_write()
        await seconds_until(standby, within=20)
    assert record.holder == "two"


@pytest.mark.looptime
@pytest.mark.parametrize("fault", ["refuse", "hang", "lose"])
async def test_a_leader_survives_a_short_fault(fault: str) -> None:
    record = Record()
    one, two = elector(record, "one"), elector(record, "two")
    await one.acquire()
    async with never_two(one, two):
        standby = asyncio.ensure_future(two.acquire())
        holding = asyncio.ensure_future(one.hold())
        await asyncio.sleep(9)
        record.broken["one"] = fault
        await asyncio.sleep(4)
        record.broken.clear()
        await asyncio.sleep(60)
        assert one.may_write()
        assert not standby.done()
        assert not holding.done()
        standby.cancel()
        holding.cancel()


@pytest.mark.looptime
async def test_a_creation_whose_reply_was_lost_is_recognised_as_ones_own() -> None:
    record = Record()
    one = elector(record, "one")
    record.broken["one"] = "lose"
    acquiring = asyncio.ensure_future(one.acquire())
    await asyncio.sleep(1)
    record.broken.clear()
    await seconds_until(acquiring, within=10)
    assert record.lease is not None
    assert record.lease["spec"]["leaseTransitions"] == 0


@pytest.mark.looptime
@pytest.mark.parametrize("hours", [-1, 1, 24 * 365])
async def test_wall_clocks_that_jump_change_nothing(hours: int) -> None:
    record, wall = Record(), Wall()
    one, two = elector(record, "one", wall), elector(record, "two", wall)
    await one.acquire()
    async with never_two(one, two):
        standby = asyncio.ensure_future(two.acquire())
        holding = asyncio.ensure_future(one.hold())
        await asyncio.sleep(7)
        wall.offset = timedelta(hours=hours)
        await asyncio.sleep(120)
        assert one.may_write()
        assert not standby.done()
        standby.cancel()
        holding.cancel()


@pytest.mark.looptime
async def test_a_deleted_record_is_made_anew_by_its_holder() -> None:
    record = Record()
    one = elector(record, "one")
    await one.acquire()
    holding = asyncio.ensure_future(one.hold())
    await asyncio.sleep(5)
    record.lease = None
    await asyncio.sleep(10)
    assert record.holder == "one"
    assert one.may_write()
    holding.cancel()


@pytest.mark.looptime
async def test_a_record_taken_by_somebody_ends_the_leadership_at_the_next_renewal() -> None:
    record = Record()
    one = elector(record, "one")
    await one.acquire()
    holding = asyncio.ensure_future(one.hold())
    await asyncio.sleep(5)
    record.put({"holderIdentity": "thief", "leaseDurationSeconds": 15})
    with pytest.raises(LeaseLostError):
        await seconds_until(holding, within=5)
    assert record.holder == "thief"


@pytest.mark.looptime
async def test_one_of_many_leads_and_when_it_goes_exactly_one_other_follows() -> None:
    record = Record()
    electors = [elector(record, f"e{n}") for n in range(4)]
    async with never_two(*electors):
        running = {e: asyncio.ensure_future(e.acquire()) for e in electors}
        for _ in range(4):
            await asyncio.wait(running.values(), return_when=asyncio.FIRST_COMPLETED)
            leader = next(e for e in electors if e.may_write())
            assert not any(t.done() for e, t in running.items() if e is not leader)
            del running[leader]
            await leader.release()


@pytest.mark.looptime
async def test_a_leaders_last_write_ends_before_another_may_lead() -> None:
    record, loop = Record(), asyncio.get_running_loop()
    one = elector(record, "one")
    assert one.write_seconds() == 0
    began = loop.time()
    await one.acquire()
    for _ in range(20):
        left = one.write_seconds()
        assert (left > 1) == one.may_write()
        # The door gives a transport that does not keep its own time one second more.
        assert left == 0 or loop.time() + left + 1 - began < Timing().duration
        await asyncio.sleep(1)


@pytest.mark.looptime
async def test_a_record_that_is_forbidden_is_told_once_until_it_is_permitted(caplog: pytest.LogCaptureFixture) -> None:
    class Forbidden:
        permitted = False

        async def get(self, kind: str, namespace: str, name: str) -> Obj | None:
            if not self.permitted:
                raise RefusedError('cannot get resource "leases"', status=403)
            return None

        async def create(self, obj: Obj) -> Obj:
            return {**obj, "metadata": {"resourceVersion": "1"}}

        async def replace(self, obj: Obj) -> Obj:
            return obj

    leases = Forbidden()
    clock = asyncio.get_running_loop().time
    one = Elector(leases, lease=Key("ops", "headgate-operator"), me="one", clock=clock, now=Wall())
    acquiring = asyncio.ensure_future(one.acquire())
    await asyncio.sleep(60)
    assert one.refused == 'cannot get resource "leases"'
    assert [r.message for r in caplog.records] == ["lease request failed"]
    caplog.set_level(logging.INFO, "headgate_operator.lease")
    leases.permitted = True
    await acquiring
    assert [r.message for r in caplog.records][1:] == ["lease requests succeed again", "leading"]
    assert one.refused == ""
