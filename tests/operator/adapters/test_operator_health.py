"""Health says the truth: what a restart mends, and nothing else; and a watch is judged by what it missed."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from headgate_operator.freshness import Freshness
from headgate_operator.health import Lag, Seen, application, faults, serving

WELL = Seen(
    waiting="",
    leading=True,
    loop_lag=0.1,
    longest_pass=3.0,
    behind={"Pod": 0.0},
    queue_depth=2,
    queue_oldest=0.5,
    registries={"http://mlflow": 3.0, "http://dead": None},
)


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (WELL, ""),
        (replace(WELL, leading=False, behind={}), ""),
        (replace(WELL, waiting="the API server does not answer"), ""),
        (replace(WELL, registries={"http://dead": 90000.0}), ""),
        (replace(WELL, queue_depth=5000, queue_oldest=900.0), ""),
        (replace(WELL, loop_lag=11), "the event loop lags by 11 s"),
        (replace(WELL, longest_pass=301), "a pass has been under way for 301 s"),
        (replace(WELL, behind={"Pod": 61.0, "Service": 0.0}), "the watch of Pod lost an event 61 s ago"),
        (replace(WELL, behind={"Pod": 59.0}), ""),
    ],
)
async def test_livez_fails_only_where_a_restart_helps(seen: Seen, fault: str) -> None:
    assert faults(seen) == ([fault] if fault else [])
    async with TestClient(TestServer(application(lambda: seen, lambda: b""))) as client:
        answer = await client.get("/livez")
        assert answer.status == (503 if fault else 200)
        assert await answer.json() == {"alive": not fault, "faults": [fault] if fault else []}


async def test_readyz_tells_what_it_waits_for_and_how_the_parts_are() -> None:
    seen = WELL
    async with TestClient(TestServer(application(lambda: seen, lambda: b"x 1\n"))) as client:
        answer = await client.get("/readyz")
        assert answer.status == 200
        assert await answer.json() == {
            "ready": True,
            "reason": "",
            "leading": True,
            "queue": {"depth": 2, "oldestSeconds": 0.5},
            "watchBehindSeconds": {"Pod": 0.0},
            "registryAgeSeconds": {"http://mlflow": 3.0, "http://dead": None},
        }
        seen = replace(WELL, waiting="no CRD")
        answer = await client.get("/readyz")
        assert (answer.status, (await answer.json())["reason"]) == (503, "no CRD")
        metrics = await client.get("/metrics")
        assert (metrics.content_type, await metrics.text()) == ("text/plain", "x 1\n")


async def test_a_port_in_use_is_an_error_and_not_silence() -> None:
    app = application(lambda: WELL, lambda: b"")
    async with serving(app, "127.0.0.1", 0) as port:
        with pytest.raises(OSError, match="in use"):
            async with serving(application(lambda: WELL, lambda: b""), "127.0.0.1", port):
                pass


async def test_a_blocked_event_loop_is_noticed() -> None:
    now = 0.0
    lag = Lag(lambda: now)
    task = asyncio.ensure_future(lag.run())
    await asyncio.sleep(0)
    assert lag.seconds() == 0
    now = 12.0
    assert lag.seconds() == 11
    task.cancel()


def live(name: str, version: str) -> dict[str, object]:
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": version}}


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_a_watch_that_told_everything_is_up_to_date() -> None:
    clock = Clock()
    fresh = Freshness(["Pod"], clock=clock)
    fresh.heard("Pod", ("ns", "a"), "5")
    clock.time += 9000
    fresh.compare("Pod", [live("a", "5")], since=clock.time)
    assert fresh.behind_seconds("Pod") == 0
    assert fresh.silent_seconds("Pod") == 9000


def test_an_event_that_never_comes_makes_the_watch_late() -> None:
    clock = Clock()
    fresh = Freshness(["Pod"], clock=clock)
    fresh.heard("Pod", ("ns", "a"), "5")
    clock.time += 1
    fresh.compare("Pod", [live("a", "6"), live("b", "7")], since=clock.time)
    clock.time += 30
    fresh.compare("Pod", [live("a", "8"), live("b", "7")], since=clock.time)
    clock.time += 40
    assert fresh.behind_seconds("Pod") == 70
    fresh.heard("Pod", ("ns", "a"), "8")
    assert fresh.behind_seconds("Pod") == 70
    fresh.heard("Pod", ("ns", "b"), "9")
    assert fresh.behind_seconds("Pod") == 0


def test_an_event_under_way_is_not_late_once_it_came() -> None:
    clock = Clock()
    fresh = Freshness(["Pod"], clock=clock)
    fresh.compare("Pod", [live("a", "6")], since=clock.time)
    fresh.heard("Pod", ("ns", "a"), "6")
    assert fresh.behind_seconds("Pod") == 0


def test_what_was_deleted_owes_nothing() -> None:
    clock = Clock()
    fresh = Freshness(["Pod"], clock=clock)
    fresh.compare("Pod", [live("a", "6")], since=clock.time)
    clock.time += 100
    fresh.compare("Pod", [], since=clock.time)
    assert fresh.behind_seconds("Pod") == 0
    fresh.heard("Pod", ("ns", "b"), "7")
    fresh.heard("Pod", ("ns", "b"), "8", gone=True)
    clock.time += 1
    fresh.compare("Pod", [], since=clock.time)
    assert fresh.behind_seconds("Pod") == 0


@pytest.mark.parametrize("gone", [False, True])
def test_an_event_that_overtakes_a_list_is_no_debt(gone: bool) -> None:
    clock = Clock()
    fresh = Freshness(["Pod"], clock=clock)
    fresh.heard("Pod", ("ns", "a"), "5", listed=True)
    clock.time += 1
    since, snapshot = fresh.now(), [live("a", "5")]
    clock.time += 1
    fresh.heard("Pod", ("ns", "a"), "6", gone=gone)
    fresh.heard("Pod", ("ns", "new"), "7")
    fresh.compare("Pod", snapshot, since=since)
    clock.time += 61
    assert fresh.behind_seconds("Pod") == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["change", "delete", "tell", "list", "compare"]))))
def test_a_watch_that_owes_nothing_is_never_judged_late(steps: list[tuple[str, str]]) -> None:
    """Objects change, events are told late and in order, and a list is compared some time after it was asked for."""
    clock = Clock()
    fresh = Freshness(["Pod"], clock=clock)
    objects: dict[str, str] = {}
    late: list[tuple[str, str, bool]] = []
    listed: tuple[float, list[dict[str, object]]] | None = None
    for number, (name, step) in enumerate(steps):
        clock.time += 7
        version = str(number)
        if step == "change" or (step == "delete" and name in objects):
            objects[name] = version
            late.append((name, version, step == "delete"))
            if step == "delete":
                del objects[name]
        elif step == "tell":
            for told, at, gone in late:
                fresh.heard("Pod", ("ns", told), at, gone=gone)
            late.clear()
        elif step == "list":
            listed = (clock.time, [live(n, v) for n, v in objects.items()])
        elif step == "compare" and listed is not None:
            fresh.compare("Pod", listed[1], since=listed[0])
            listed = None
        if not late:
            assert fresh.behind_seconds("Pod") == 0
