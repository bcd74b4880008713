"""What the operator makes of a registry's answers and of its bad days."""

import asyncio

import pytest

from fake_mlflow import FakeMlflow
from headgate_operator.api.model import ByAlias, ByVersion, ModelRef
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Resolved, Unresolved
from headgate_operator.ports import Key
from registry_lab import CHAMPION, IRIS, Watched, asking, reason_of, running, version_of
from tiny_api import Said, tiny_api


async def test_an_alias_and_a_number_name_the_same_identity(mlflow: FakeMlflow) -> None:
    async with asking(mlflow.uri + "/") as registry:
        by_alias, by_number = await registry.ask(CHAMPION), await registry.ask(ByVersion("1"))
    assert by_alias == by_number
    assert isinstance(by_alias, Resolved)
    identity, registered = by_alias.identity, mlflow.models["iris"].versions[1]
    assert (identity.registry, identity.name, identity.version) == (mlflow.uri, "iris", "1")
    assert identity.source == registered.source
    assert round(identity.created_at.timestamp() * 1000) == registered.created


@pytest.mark.parametrize(
    ("name", "ref", "reason"),
    [
        ("iris", ByAlias("nope"), Reason.ALIAS_NOT_FOUND),
        ("iris", ByVersion("9"), Reason.VERSION_NOT_FOUND),
        ("rose", ByAlias("champion"), Reason.MODEL_NOT_FOUND),
        ("rose", ByVersion("1"), Reason.MODEL_NOT_FOUND),
    ],
)
async def test_what_does_not_exist_is_said_for_certain(
    mlflow: FakeMlflow, name: str, ref: ModelRef, reason: Reason
) -> None:
    async with asking(mlflow.uri) as registry:
        answer = await registry.ask(ref, name)
    assert reason_of(answer) is reason
    assert isinstance(answer, Unresolved)
    assert answer.certain


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("401", Reason.REGISTRY_UNAUTHORIZED),
        ("403", Reason.REGISTRY_UNAUTHORIZED),
        ("host", Reason.REGISTRY_HOST_REJECTED),
        ("500", Reason.REGISTRY_UNREACHABLE),
        ("503", Reason.REGISTRY_UNREACHABLE),
        ("html", Reason.REGISTRY_UNREACHABLE),
        ("truncate", Reason.REGISTRY_UNREACHABLE),
        ("reset", Reason.REGISTRY_UNREACHABLE),
        ("empty", Reason.REGISTRY_UNREACHABLE),
    ],
)
@pytest.mark.parametrize("others", [0, 3])
async def test_a_bad_day_is_never_taken_for_a_missing_model(
    mlflow: FakeMlflow, fault: str, reason: Reason, others: int
) -> None:
    async with asking(mlflow.uri) as registry:
        mlflow.fail(fault)
        assert reason_of(await registry.ask()) is reason
        # The same by a poll for several models at once.
        for number in range(others):
            await registry.follow(Key("ml", f"iris-{number}"), ByAlias(f"a{number}"))
        for source in registry.door._sources.values():
            poll = await source.poll([("iris", ByAlias(f"a{n}")) for n in range(others)] or [("iris", CHAMPION)])
            assert poll.trouble is not None
            assert poll.trouble.reason is reason
            assert not poll.trouble.certain


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said(302, "", "text/html", {"Location": "http://169.254.169.254/"}), Reason.REGISTRY_UNREACHABLE),
        (Said(404, "<html>nginx", "text/html"), Reason.REGISTRY_UNREACHABLE),
        (Said(200, {"registered_model": {"aliases": [{"alias": "champion", "version": "1"}]}}), None),
        (Said(200, "[]"), Reason.REGISTRY_UNREACHABLE),
        (Said(403, {"error_code": "PERMISSION_DENIED", "message": "secret internals"}), Reason.REGISTRY_UNAUTHORIZED),
        (Said(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "x"}), Reason.MODEL_NOT_FOUND),
    ],
)
async def test_something_that_is_no_registry_is_not_believed_quoted_or_followed(
    said: Said, reason: Reason | None
) -> None:
    async with tiny_api() as api, asking(api.uri) as registry:
        api.say(said)
        answer = await registry.ask()
        assert isinstance(answer, Unresolved)
        assert answer.reason is (reason or Reason.REGISTRY_UNREACHABLE)
        assert "secret" not in answer.message
        assert "nginx" not in answer.message
        assert {a.path for a in api.asked} <= {
            "/api/2.0/mlflow/registered-models/get",
            "/api/2.0/mlflow/model-versions/get",
        }


async def test_nobody_listening_is_unreachable() -> None:
    async with asking("http://127.0.0.1:1") as registry:
        assert reason_of(await registry.ask()) is Reason.REGISTRY_UNREACHABLE


@pytest.mark.parametrize("name", ["it's", 'say "hi"', "back\\slash", "größe und mehr", "a&b=c", "x%27"])
async def test_any_name_can_be_asked_for_and_none_spoils_the_question_of_the_others(
    mlflow: FakeMlflow, name: str
) -> None:
    mlflow.register(name, aliases=["champion"])
    watched = Watched(mlflow.uri)
    async with running(watched):
        assert version_of(await watched.follow(IRIS)) == "1"
        assert version_of(await watched.follow(Key("ml", "odd"), name=name)) == "1"
        await watched.polled_again(2)
        assert watched.woken == []
        assert all(poll.trouble is None for poll in watched.polls)


async def test_answers_are_reused_while_fresh_and_asked_anew_when_not(mlflow: FakeMlflow) -> None:
    async with asking(mlflow.uri, interval=15) as registry:
        await registry.ask()
        asked = len(mlflow.requests)
        registry.time += 20
        await registry.ask()
        assert len(mlflow.requests) == asked
        mlflow.set_alias("iris", "champion", "2")
        registry.time += 20
        assert version_of(await registry.ask()) == "2"


async def test_many_who_ask_the_same_at_once_cost_one_question(mlflow: FakeMlflow) -> None:
    async with asking(mlflow.uri) as registry:
        await asyncio.gather(*(registry.ask() for _ in range(20)))
    assert len(mlflow.asked("registered-models/get")) == 1
