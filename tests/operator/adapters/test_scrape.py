"""What pods say is believed only where it is said plainly, and silence is never a verdict."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from headgate_operator.core.observed import (
    Counters,
    GoldenFailed,
    GoldenPassed,
    GoldenUnknown,
    PodAddress,
    PodNotReady,
    PodReady,
    PodSilent,
)
from headgate_operator.scrape import PodProbe
from tiny_api import Said, TinyApi, tiny_api

NOBODY = PodAddress("127.0.0.1", 1, 1)
READY = {
    "ready": True,
    "model": "iris",
    "version": "3",
    "revision": "0123456789",
    "digest": "sha256:" + "a" * 64,
    "golden": "passed",
}

INFINITE = '{"in_flight": Infinity, "open_connections": 0, "last_request_age_seconds": null}'


class Pod:
    def __init__(self, api: TinyApi, probe: PodProbe) -> None:
        self.api, self.probe = api, probe
        port = urlsplit(api.uri).port or 0
        self.address = PodAddress("127.0.0.1", port, port)

    def says(self, status: int, body: Any = None, **headers: str) -> "Pod":
        told = {key.replace("_", "-"): value for key, value in headers.items()}
        self.api.say(Said(status, body if body is not None else {}, headers=told))
        return self


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    async with tiny_api() as api:
        probe = PodProbe()
        yield Pod(api, probe)
        await probe.close()


async def test_a_ready_pod_says_what_it_serves(pod: Pod) -> None:
    pod.says(200, READY)
    assert await pod.probe.readiness(pod.address) == PodReady(
        model="iris", version="3", revision="0123456789", digest="sha256:" + "a" * 64, golden="passed"
    )
    assert pod.api.last.path == "/readyz"


@pytest.mark.parametrize("permanent", [True, False])
async def test_a_pod_that_is_not_ready_says_why(pod: Pod, permanent: bool) -> None:
    pod.says(503, {"ready": False, "reason": "LoadFailed", "permanent": permanent, "message": "no"})
    assert await pod.probe.readiness(pod.address) == PodNotReady(reason="LoadFailed", permanent=permanent, message="no")


async def test_permanent_is_believed_only_where_it_is_said_plainly(pod: Pod) -> None:
    pod.says(503, {"ready": False, "reason": "LoadFailed", "permanent": "true", "message": "no"})
    told = await pod.probe.readiness(pod.address)
    assert isinstance(told, PodNotReady)
    assert not told.permanent


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<html>a mesh's own page</html>"),
        (200, {}),
        (200, {**READY, "ready": "yes"}),
        (200, {"ready": False, "permanent": True}),
        (503, READY),
        (503, "upstream connect error"),
        (302, READY),
        (500, {"error": "x"}),
        (404, [1]),
        (200, {**READY, "digest": ""}),
        (200, {**READY, "digest": "d" * 100}),
        (503, "[" * 200_000),
    ],
)
async def test_anything_else_is_silence(pod: Pod, status: int, body: Any) -> None:
    assert isinstance(await pod.says(status, body).probe.readiness(pod.address), PodSilent)


async def test_a_pod_that_does_not_listen_is_silent() -> None:
    probe = PodProbe()
    assert isinstance(await probe.readiness(NOBODY), PodSilent)
    assert await probe.counters(NOBODY) is None
    assert isinstance(await probe.golden(NOBODY, b"{}", version="3"), GoldenUnknown)
    await probe.close()


@pytest.mark.parametrize("age", [None, 0.25])
async def test_counters_tell_what_draining_needs(pod: Pod, age: float | None) -> None:
    pod.says(200, {"in_flight": 2, "open_connections": 5, "last_request_age_seconds": age, "requests": []})
    counters = await pod.probe.counters(pod.address)
    assert counters == Counters(in_flight=2, open_connections=5, last_request_age_seconds=age)


@pytest.mark.parametrize(
    "body", [{}, {"in_flight": 0}, [], {"in_flight": "x", "open_connections": 0}, "text", INFINITE]
)
async def test_counters_that_are_not_ours_count_for_nothing(pod: Pod, body: Any) -> None:
    assert await pod.says(200, body).probe.counters(pod.address) is None


async def test_what_came_of_each_scrape_is_told(pod: Pod) -> None:
    told: list[str] = []
    probe = PodProbe(scraped=told.append)
    idle = {"in_flight": 0, "open_connections": 0, "last_request_age_seconds": None}
    whole = {"start_id": "a", "revision": "r", "version": "1", "bucket_upper_bounds_seconds": [1.0], "requests": []}
    said = ((200, idle | whole), (200, idle), (200, []), (503, idle | whole))
    pod.api.say(*(Said(status, body) for status, body in said))
    for _ in said:
        await probe.counters(pod.address)
    await probe.counters(NOBODY)
    await probe.close()
    assert told == ["ok", "unreadable", "unreadable", "unreadable", "no_answer"]


async def test_the_golden_request_is_the_example_as_it_was_logged(pod: Pod) -> None:
    pod.says(200, {"predictions": [1, 2.5, {"label": "a", "p": [0.1]}]}, x_model_version="3")
    assert await pod.probe.golden(pod.address, b'{"inputs": [[1.0]]}', version="3") == GoldenPassed()
    sent = pod.api.last
    assert (sent.method, sent.path, sent.body) == ("POST", "/invocations", {"inputs": [[1.0]]})
    assert sent.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "body", "version"),
    [
        (400, {"error_code": "INVALID_PARAMETER_VALUE"}, "3"),
        (500, {"error_code": "x"}, "3"),
        (200, {"predictions": [1]}, "2"),
        (200, {"predictions": [1, None]}, "3"),
        (200, '{"predictions": [NaN]}', "3"),
        (200, '{"predictions": {"a": [1, -Infinity]}}', "3"),
        (200, {"something": "else"}, "3"),
        (200, "[1]", "3"),
        (200, "[" * 200_000, "3"),
        (200, '{"predictions": ' + "[" * 900 + "NaN" + "]" * 900 + "}", "3"),
    ],
)
async def test_a_wrong_answer_fails_the_golden(pod: Pod, status: int, body: Any, version: str) -> None:
    pod.says(status, body, x_model_version=version)
    assert isinstance(await pod.probe.golden(pod.address, b"{}", version="3"), GoldenFailed)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_pod_that_cannot_answer_now_gives_no_verdict(pod: Pod, status: int) -> None:
    assert isinstance(await pod.says(status).probe.golden(pod.address, b"{}", version="3"), GoldenUnknown)


async def test_an_answer_without_a_version_fails_the_golden(pod: Pod) -> None:
    pod.says(200, {"predictions": [1]})
    assert isinstance(await pod.probe.golden(pod.address, b"{}", version="3"), GoldenFailed)


@pytest.mark.parametrize("reason", ["R" * 65, "two words", "", None, 7])
async def test_a_reason_that_status_cannot_hold_is_unknown(pod: Pod, reason: Any) -> None:
    pod.says(503, {"ready": False, "reason": reason, "permanent": True, "message": "no"})
    assert await pod.probe.readiness(pod.address) == PodNotReady(reason="Unknown", permanent=True, message="no")
