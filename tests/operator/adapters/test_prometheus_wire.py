"""Prometheus over the wire: only whole answers of allowed addresses count, and no answer's body is repeated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from headgate_operator import prometheus
from headgate_operator.core.observed import Pod
from headgate_operator.egress import AllowList
from headgate_operator.feeds.series import Sample
from headgate_operator.prometheus import Prometheus, Trouble
from tiny_api import Said, TinyApi, tiny_api


def asking(*addresses: str, seconds: float = 5.0) -> Prometheus:
    return Prometheus(AllowList(None, addresses, what="Prometheus", flag="--allow-prometheus"), seconds=seconds)


@pytest.fixture
async def api() -> AsyncIterator[TinyApi]:
    async with tiny_api() as api:
        yield api


@pytest.fixture
async def source(api: TinyApi) -> AsyncIterator[Prometheus]:
    source = asking(api.uri)
    yield source
    await source.close()


def success(*values: str, **more: Any) -> dict[str, Any]:
    result = [{"metric": {"n": str(n)}, "value": [1.5, value]} for n, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}, **more}


async def test_a_query_is_posted_as_it_is(api: TinyApi, source: Prometheus) -> None:
    api.say(Said(200, success("2", "NaN")))
    answer = await source.instant(None, 'sum(a{b=~"c|d"}) + 1')
    assert isinstance(answer, tuple)
    assert answer[0] == Sample({"n": "0"}, 2.0, 1.5)
    assert str(answer[1].value) == "nan"
    assert (api.last.method, api.last.path) == ("POST", "/api/v1/query")
    assert parse_qs(api.last.body) == {"query": ['sum(a{b=~"c|d"}) + 1'], "timeout": ["5s"]}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Said(200, {"status": "success"}), "answers, but not as a Prometheus"),
        (Said(200, {"status": "success", "data": []}), "answers, but not as a Prometheus"),
        (Said(200, success("x")), "answers, but not as a Prometheus"),
        (Said(200, []), "answers, but not as a Prometheus"),
        (Said(200, "<html>"), "answers, but not as a Prometheus"),
        (Said(200, "[" * 200_000), "answers, but not as a Prometheus"),
        (
            Said(200, {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": 1}]}}),
            "answers, but not as a Prometheus",
        ),
        (Said(200, success("1", warnings=["a store is away"])), "says that its answer may not be whole (a warning)"),
        (Said(200, {"status": "error", "errorType": "secret", "error": "x"}), "answers, but not as a Prometheus"),
        (
            Said(400, {"status": "error", "errorType": "bad_data", "error": "secret"}),
            "does not run the query (bad_data)",
        ),
        (Said(503, {"status": "error", "errorType": "timeout", "error": "x"}), "does not run the query (timeout)"),
        (Said(401, "secret"), "answers HTTP 401"),
        (Said(502, "<html>secret"), "answers HTTP 502"),
        (
            Said(307, success("1"), headers={"location": "http://169.254.169.254/"}),
            "redirects (HTTP 307), which is not followed",
        ),
        (Said(drop=True), "does not accept connections, or breaks off in mid answer"),
    ],
)
async def test_anything_else_is_trouble_and_no_number(api: TinyApi, source: Prometheus, said: Said, why: str) -> None:
    api.say(said)
    assert await source.instant(None, "q") == Trouble(f"{api.uri} {why}")
    assert len(api.asked) == 1


async def test_an_answer_of_any_size_is_read_no_further_than_is_sensible(
    api: TinyApi, source: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "LARGEST", 100)
    api.say(Said(200, success("1") | {"more": "x" * 100}))
    assert await source.instant(None, "q") == Trouble(f"{api.uri} answers more than is sensible")


async def test_an_address_that_is_not_listed_is_not_asked(api: TinyApi, source: Prometheus) -> None:
    answer = await source.instant("http://other:9090", "q")
    assert isinstance(answer, Trouble)
    assert "--allow-prometheus" in answer.why
    assert api.asked == []


async def test_a_listed_name_that_leads_to_this_machine_is_not_asked(api: TinyApi) -> None:
    address = api.uri.replace("127.0.0.1", "localhost")
    source = asking(address)
    assert await source.instant(address, "q") == Trouble(
        f"{address} has a host name that cannot be resolved, or not to an address that is allowed"
    )
    await source.close()
    assert api.asked == []


async def test_nobody_there_is_trouble() -> None:
    source = asking("http://127.0.0.1:1")
    assert await source.instant(None, "q") == Trouble(
        "http://127.0.0.1:1 does not accept connections, or breaks off in mid answer"
    )
    assert isinstance(await source.count(None, "ml", [], ["aaaa"]), Trouble)
    await source.close()


async def test_who_takes_too_long_is_not_waited_for(api: TinyApi) -> None:
    source = asking(api.uri, seconds=0.0001)
    api.say(Said(200, success("1")))
    assert await source.instant(None, "q") == Trouble(f"{api.uri} does not answer in time")
    await source.close()


async def test_only_the_pods_of_the_two_revisions_are_counted(api: TinyApi, source: Prometheus) -> None:
    api.say(Said(200, success()))
    pods = [Pod(name=name, uid=name, revision=name, address=None, ready=True) for name in ("aaaa", "bbbb", "cccc")]
    answer = await source.count(None, "ml", pods, ["aaaa", "bbbb"])
    assert isinstance(answer, tuple)
    assert [(pod.name, pod.traffic) for pod in answer] == [("aaaa", None), ("bbbb", None)]
    assert "aaaa|bbbb" in parse_qs(api.last.body)["query"][0]
