"""Golden predictions are asked beside the passes, and an answer is nobody's but the container's that gave it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from headgate_operator.core.observed import Golden, GoldenFailed, GoldenPassed, GoldenUnknown, Pod, PodAddress
from headgate_operator.goldens import AT_ONCE, AT_ONCE_OF_A_KEY, KEPT_SECONDS, Goldens
from headgate_operator.ports import Key

pytestmark = pytest.mark.looptime
IRIS, ROSE = Key("ml", "iris"), Key("ml", "rose")


class SlowPods:
    """Answers when it is let to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Golden] = {}
        self.let = asyncio.Event()
        self.under_way = 0
        self.most = 0

    async def golden(self, pod: PodAddress, body: bytes, *, version: str) -> Golden:
        self.asked.append(pod.ip)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.let.wait()
        finally:
            self.under_way -= 1
        return self.answers.get(pod.ip, GoldenPassed())


class Lab:
    def __init__(self) -> None:
        self.pods = SlowPods()
        self.woken: list[Key] = []
        self.goldens = Goldens(self.pods, wake=self.woken.append, clock=asyncio.get_running_loop().time)

    def ask(self, pod: Pod, key: Key = IRIS, body: bytes = b"{}") -> Golden:
        return self.goldens.ask(key, pod, body, version="1")

    async def answered(self, pod: Pod, key: Key = IRIS) -> Golden:
        self.ask(pod, key)
        await asyncio.sleep(1)
        return self.ask(pod, key)


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    lab = Lab()
    yield lab
    await lab.goldens.close()


def pod(number: int = 1, **different: object) -> Pod:
    found = Pod(
        name=f"p{number}",
        uid=f"u{number}",
        revision="r1",
        address=PodAddress(f"10.0.0.{number}", 8080, 8081),
        ready=True,
    )
    return replace(found, **different)  # type: ignore[arg-type]


async def test_a_pass_never_waits_and_is_woken_by_the_answer(lab: Lab) -> None:
    assert isinstance(lab.ask(pod()), GoldenUnknown)
    await asyncio.sleep(3)
    assert isinstance(lab.ask(pod()), GoldenUnknown)
    assert lab.woken == []
    lab.pods.let.set()
    await asyncio.sleep(1)
    assert lab.woken == [IRIS]
    assert lab.ask(pod()) == GoldenPassed()
    assert lab.pods.asked == ["10.0.0.1"], "asked once"


async def test_an_answer_is_nobody_elses(lab: Lab) -> None:
    lab.pods.let.set()
    assert await lab.answered(pod()) == GoldenPassed()
    lab.pods.let.clear()
    for other in (pod(uid="u9"), pod(restarts=1), pod(revision="r2")):
        assert isinstance(lab.ask(other), GoldenUnknown)
    assert isinstance(lab.ask(pod(), body=b"[]"), GoldenUnknown)
    assert isinstance(lab.goldens.ask(IRIS, pod(), b"{}", version="2"), GoldenUnknown)
    assert lab.ask(pod()) == GoldenPassed()


async def test_a_failure_stands_and_an_unknown_is_asked_again(lab: Lab) -> None:
    lab.pods.let.set()
    lab.pods.answers = {"10.0.0.1": GoldenFailed("not finite"), "10.0.0.2": GoldenUnknown("HTTP 503")}
    assert await lab.answered(pod(1)) == GoldenFailed("not finite")
    assert await lab.answered(pod(2)) == GoldenUnknown("HTTP 503")
    lab.pods.answers = {}
    await asyncio.sleep(10)
    assert lab.ask(pod(2)) == GoldenUnknown("HTTP 503"), "its last word, while it is asked once more"
    await asyncio.sleep(1)
    assert lab.ask(pod(2)) == GoldenPassed()
    assert lab.ask(pod(1)) == GoldenFailed("not finite")


async def test_an_old_answer_is_asked_for_again(lab: Lab) -> None:
    lab.pods.let.set()
    assert await lab.answered(pod()) == GoldenPassed()
    await asyncio.sleep(KEPT_SECONDS)
    assert isinstance(lab.ask(pod()), GoldenUnknown)
    await asyncio.sleep(1)
    assert lab.ask(pod()) == GoldenPassed()


async def test_one_deployment_cannot_take_every_turn(lab: Lab) -> None:
    for number in range(1, 101):
        lab.ask(pod(number))
    await asyncio.sleep(1)
    assert lab.pods.under_way == AT_ONCE_OF_A_KEY
    lab.ask(pod(101), ROSE)
    await asyncio.sleep(1)
    assert "10.0.0.101" in lab.pods.asked
    for number in range(102, 200):
        lab.ask(pod(number), Key("ml", f"m{number}"))
    await asyncio.sleep(1)
    assert lab.pods.most == AT_ONCE
    lab.pods.let.set()
    await asyncio.sleep(1)
    assert all(lab.ask(pod(number)) == GoldenPassed() for number in range(1, 101))


async def test_a_pod_without_an_address_is_not_asked(lab: Lab) -> None:
    assert isinstance(lab.ask(pod(address=None)), GoldenUnknown)
    await asyncio.sleep(1)
    assert lab.pods.asked == []


async def test_nothing_is_under_way_after_the_end(lab: Lab) -> None:
    lab.ask(pod())
    await asyncio.sleep(1)
    await lab.goldens.close()
    assert lab.pods.under_way == 0
    assert lab.woken == []
