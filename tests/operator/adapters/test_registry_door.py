"""What the operator makes of a registry's answers and of its bad days."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from conditions import until
from fake_mlflow import FakeMlflow
from headgate_operator.api.model import ByAlias, ByVersion, ModelRef
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Example, Resolution, Resolved, Unresolved
from headgate_operator.ports import Key, ModelRequest, Obj, UnavailableError
from headgate_operator.registry import AllowList, Folder, RegistryDoor
from headgate_operator.registry.source import Poll
from tiny_api import Said, tiny_api

IRIS = Key("ml", "iris")
CHAMPION = ByAlias("champion")


@pytest.fixture
def mlflow() -> Iterator[FakeMlflow]:
    with FakeMlflow() as registry:
        registry.register("iris", {"MLmodel": b"flavors: {}"}, aliases=["champion"])
        registry.register("iris", {"MLmodel": b"flavors: {}"}, aliases=["next"])
        yield registry


class Watched:
    """A door, the keys it woke, and a clock that a test moves."""

    def __init__(self, uri: str, **options: Any) -> None:
        self.woken: list[Key] = []
        self.polls: list[Poll] = []
        self.secrets: dict[str, Obj | None] = {}
        self.time = 1000.0
        self.door = RegistryDoor(
            AllowList(uri, options.pop("others", ())),
            options.pop("own", Folder(None)),
            read_secret=options.pop("read_secret", self._secret),
            wake=self.woken.append,
            interval=options.pop("interval", 0.02),
            clock=options.pop("clock", lambda: self.time),
            polled=lambda _uri, poll: self.polls.append(poll),
            **options,
        )

    async def _secret(self, namespace: str, name: str) -> Obj | None:
        return self.secrets.get(f"{namespace}/{name}")

    async def ask(self, ref: ModelRef = CHAMPION, name: str = "iris", **where: Any) -> Resolution:
        return await self.door.resolve(ModelRequest(namespace="ml", name=name, ref=ref, **where))

    async def follow(self, key: Key = IRIS, ref: ModelRef = CHAMPION, name: str = "iris") -> Resolution:
        request = ModelRequest(namespace=key.namespace, name=name, ref=ref)
        answer = await self.door.resolve(request)
        self.door.follow(key, request, answer)
        return answer

    async def polled_again(self, times: int = 1) -> None:
        enough = len(self.polls) + times + 1  # the one under way may have begun before
        await until(lambda: len(self.polls) >= enough, "polls")


@asynccontextmanager
async def running(watched: Watched) -> AsyncIterator[Watched]:
    task = asyncio.ensure_future(watched.door.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def asking(uri: str, **options: Any) -> AsyncIterator[Watched]:
    watched = Watched(uri, **options)
    try:
        yield watched
    finally:
        await watched.door.close()


def version_of(answer: Resolution) -> str:
    assert isinstance(answer, Resolved), answer
    return answer.identity.version


def reason_of(answer: Resolution | Example) -> Reason:
    assert isinstance(answer, Unresolved), answer
    return answer.reason


# --- one question ------------------------------------------------------------------------------------------------


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


# --- polling -----------------------------------------------------------------------------------------------------


async def test_a_moved_alias_wakes_its_deployments_and_no_others(mlflow: FakeMlflow) -> None:
    watched = Watched(mlflow.uri)
    async with running(watched):
        await watched.follow(IRIS)
        await watched.follow(Key("ml", "pinned"), ByVersion("1"))
        await watched.follow(Key("ml", "other"), ByAlias("next"))
        await watched.polled_again()
        assert watched.woken == []
        mlflow.set_alias("iris", "champion", "2")
        await until(lambda: IRIS in watched.woken, "the deployment is woken")
        assert version_of(await watched.ask()) == "2"
        assert set(watched.woken) == {IRIS}


async def test_a_deployment_that_saw_the_new_answer_is_left_in_peace(mlflow: FakeMlflow) -> None:
    watched = Watched(mlflow.uri)
    async with running(watched):
        await watched.follow(IRIS)
        mlflow.set_alias("iris", "champion", "2")
        await until(lambda: bool(watched.woken), "the deployment is woken")
        await watched.follow(IRIS)
        await watched.polled_again()
        watched.woken.clear()
        await watched.polled_again(3)
        assert watched.woken == []


async def test_a_deployment_that_is_gone_is_asked_for_no_longer(mlflow: FakeMlflow) -> None:
    watched = Watched(mlflow.uri)
    async with running(watched):
        await watched.follow(IRIS)
        await watched.follow(Key("ml", "other"), ByAlias("next"))
        watched.door.forget(IRIS)
        await watched.polled_again()
        mlflow.set_alias("iris", "champion", "2")
        await watched.polled_again()
        assert watched.woken == []
        watched.door.forget(Key("ml", "other"))
        await until(lambda: not list(watched.door.ages()), "the poller ends")
        await watched.follow(IRIS)
        await watched.polled_again()  # and begins anew


@pytest.mark.parametrize("ref", [CHAMPION, ByVersion("1")])
async def test_a_model_registered_anew_under_the_same_number_is_another_identity(
    mlflow: FakeMlflow, ref: ModelRef
) -> None:
    watched = Watched(mlflow.uri)
    async with running(watched):
        before = await watched.follow(IRIS, ref)
        mlflow.delete_model("iris")
        mlflow.register("iris", aliases=["champion"])
        await until(lambda: IRIS in watched.woken, "the deployment is woken")
        await watched.polled_again()
        after = await watched.ask(ref)
        assert version_of(before) == version_of(after) == "1"
        assert before != after


async def test_a_deleted_version_takes_its_aliases_along(mlflow: FakeMlflow) -> None:
    watched = Watched(mlflow.uri)
    async with running(watched):
        await watched.follow(IRIS)
        await watched.follow(Key("ml", "pinned"), ByVersion("1"))
        mlflow.delete_version("iris", "1")
        await until(lambda: len(set(watched.woken)) == 2, "both are woken")
        await watched.polled_again()
        assert reason_of(await watched.ask()) is Reason.ALIAS_NOT_FOUND
        assert reason_of(await watched.ask(ByVersion("1"))) is Reason.VERSION_NOT_FOUND


async def test_one_failed_poll_is_no_news_and_the_second_is(mlflow: FakeMlflow) -> None:
    async with asking(mlflow.uri) as registry:
        await registry.ask()
        (source,) = registry.door._sources.values()
        mlflow.fail("503")
        assert (await source.poll([("iris", CHAMPION)])).trouble is not None
        assert version_of(await registry.ask()) == "1"
        await source.poll([("iris", CHAMPION)])
        assert reason_of(await registry.ask()) is Reason.REGISTRY_UNREACHABLE
        mlflow.heal()
        assert (await source.poll([("iris", CHAMPION)])).trouble is None
        assert version_of(await registry.ask()) == "1"


async def test_a_lost_and_found_registry_wakes_its_deployments_twice_in_all(mlflow: FakeMlflow) -> None:
    watched = Watched(mlflow.uri)
    async with running(watched):
        await watched.follow(IRIS)
        mlflow.fail("reset")
        await until(lambda: watched.woken == [IRIS], "woken by the loss")
        assert reason_of(await watched.follow(IRIS)) is Reason.REGISTRY_UNREACHABLE
        mlflow.heal()
        await until(lambda: len(watched.woken) >= 2, "woken by the return")
        assert version_of(await watched.follow(IRIS)) == "1"
        await watched.polled_again()
        watched.woken.clear()
        await watched.polled_again(2)
        assert watched.woken == []


async def test_a_poll_of_many_models_is_a_few_requests(mlflow: FakeMlflow) -> None:
    for number in range(450):
        mlflow.register(f"model-{number}", aliases=["champion"])
    async with asking(mlflow.uri) as registry:
        await registry.ask()
        (source,) = registry.door._sources.values()
        mlflow.requests.clear()
        questions = [(f"model-{n}", CHAMPION) for n in range(450)]
        assert (await source.poll(questions)).trouble is None
        assert version_of(await source.answer(("model-449", CHAMPION))) == "1"
    assert len(mlflow.requests) == 6
    assert all(len(r.query["filter"]) < 4000 for r in mlflow.requests)


async def test_a_dead_registry_costs_one_time_limit_not_one_for_each_model(mlflow: FakeMlflow) -> None:
    mlflow.fail("503")
    async with asking(mlflow.uri) as registry:
        await registry.ask()
        (source,) = registry.door._sources.values()
        mlflow.requests.clear()
        await source.poll([(f"model-{n}", CHAMPION) for n in range(1000)])
    assert len(mlflow.requests) == 1


async def test_the_age_of_a_registry_grows_while_it_does_not_answer(mlflow: FakeMlflow) -> None:
    watched = Watched(mlflow.uri)
    async with running(watched):
        await watched.follow(IRIS)
        await watched.polled_again()
        assert list(watched.door.ages()) == [(mlflow.uri, 0.0)]
        mlflow.fail("500")
        await watched.polled_again()
        watched.time += 60
        assert list(watched.door.ages()) == [(mlflow.uri, 60.0)]


# --- credentials and egress --------------------------------------------------------------------------------------


def secret(name: str = "creds", use: str | None = "registry", **values: str) -> Obj:
    labels = {"headgate.dev/use": use} if use else {}
    data = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": name, "labels": labels}, "data": data}


@pytest.fixture
def guarded() -> Iterator[FakeMlflow]:
    with FakeMlflow(username="op", password="s3cret") as registry:
        registry.register("iris", aliases=["champion"])
        yield registry


async def test_the_operators_own_credentials_come_from_a_folder_and_are_read_anew(
    guarded: FakeMlflow, tmp_path: Path
) -> None:
    async with asking(guarded.uri, own=Folder(tmp_path)) as registry:
        assert reason_of(await registry.ask()) is Reason.REGISTRY_UNAUTHORIZED
        (tmp_path / "username").write_text("op\n")
        (tmp_path / "password").write_text("s3cret\n")
        registry.time += 100
        assert version_of(await registry.ask()) == "1"


async def test_a_labelled_secret_opens_the_registry(guarded: FakeMlflow) -> None:
    async with asking(guarded.uri) as registry:
        registry.secrets["ml/creds"] = secret(username="op", password="s3cret")
        assert version_of(await registry.ask(secret_name="creds")) == "1"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "does not exist"),
        (secret(use=None, username="op", password="s3cret"), "lacks the label"),
        (secret(use="webhook", username="op", password="s3cret"), "lacks the label"),
        (secret(other="x"), "has none of the keys"),
        ({**secret(), "data": {"token": "%%%"}}, "not text"),
        (secret(ca_crt="no certificate"), "no certificate"),
    ],
)
async def test_a_secret_that_is_not_meant_or_not_usable_is_named_and_not_shown(
    guarded: FakeMlflow, given: Obj | None, says: str
) -> None:
    async with asking(guarded.uri) as registry:
        registry.secrets["ml/creds"] = given
        answer = await registry.ask(secret_name="creds")
        assert reason_of(answer) is Reason.SECRET_NOT_USABLE
        assert says in str(answer)
        assert "s3cret" not in str(answer)
        assert guarded.requests == []


async def test_an_unreachable_api_server_is_told_as_such(guarded: FakeMlflow) -> None:
    async def down(namespace: str, name: str) -> Obj | None:
        raise UnavailableError("timeout")

    async with asking(guarded.uri, read_secret=down) as registry:
        assert "could not be read: timeout" in str(await registry.ask(secret_name="creds"))


async def test_the_operators_credentials_never_go_to_another_registry(guarded: FakeMlflow, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("operators-own")
    with FakeMlflow() as other:
        other.register("iris", aliases=["champion"])
        async with asking(guarded.uri, own=Folder(tmp_path), others=[other.uri]) as registry:
            assert version_of(await registry.ask(uri=other.uri)) == "1"
        assert all("authorization" not in r.headers for r in other.requests)


async def test_a_registry_that_is_not_listed_is_not_contacted(mlflow: FakeMlflow) -> None:
    with FakeMlflow() as other:
        async with asking(mlflow.uri) as registry:
            answer = await registry.ask(uri=other.uri)
            registry.door.follow(IRIS, ModelRequest(namespace="ml", name="iris", ref=CHAMPION, uri=other.uri), answer)
        assert reason_of(answer) is Reason.REGISTRY_NOT_ALLOWED
        assert other.requests == []


async def test_a_listed_name_that_leads_to_this_machine_is_refused_at_the_connection(mlflow: FakeMlflow) -> None:
    local = f"http://localhost:{mlflow.port}"
    async with asking("http://registry.invalid", others=[local]) as registry:
        assert reason_of(await registry.ask(uri=local)) is Reason.REGISTRY_UNREACHABLE
    assert mlflow.requests == []


async def test_credentials_do_not_show_when_printed(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0psecret")
    assert "t0psecret" not in repr(Folder(tmp_path).read())


# --- the golden's example ----------------------------------------------------------------------------------------


def mlmodel(path: str | None) -> bytes:
    return yaml.safe_dump({"saved_input_example_info": {"serving_input_path": path} if path else None}).encode()


async def example(registry: Watched, ref: ModelRef = CHAMPION) -> Example | Unresolved:
    answer = await registry.ask(ref)
    assert isinstance(answer, Resolved)
    return await registry.door.example(ModelRequest(namespace="ml", name="iris", ref=ref), answer.identity)


async def test_the_example_is_read_once_for_an_identity() -> None:
    body = b'{"inputs": [[1.0]]}'
    with FakeMlflow() as mlflow:
        files = {"MLmodel": mlmodel("serving_input_example.json"), "serving_input_example.json": body}
        mlflow.register("iris", files, aliases=["champion"])
        async with asking(mlflow.uri) as registry:
            assert await example(registry) == Example(body)
            asked = len(mlflow.requests)
            assert await example(registry) == Example(body)
        assert len(mlflow.requests) == asked


@pytest.mark.parametrize("path", [None, "../../../etc/passwd", "/etc/passwd", "named-but-missing.json"])
async def test_a_model_without_an_example_has_none(path: str | None) -> None:
    with FakeMlflow() as mlflow:
        mlflow.register("iris", {"MLmodel": mlmodel(path)}, aliases=["champion"])
        async with asking(mlflow.uri) as registry:
            assert await example(registry) == Example(None)


@pytest.mark.parametrize("fault", ["401", "503", "reset", "truncate"])
async def test_an_example_that_cannot_be_read_now_is_no_verdict(mlflow: FakeMlflow, fault: str) -> None:
    async with asking(mlflow.uri) as registry:
        await registry.ask()
        mlflow.fail(fault, where="get-artifact")
        assert not isinstance(await example(registry), Example)
        mlflow.heal()
        assert isinstance(await example(registry), Example)


async def test_the_example_of_a_successor_under_the_same_number_is_not_used(mlflow: FakeMlflow) -> None:
    async with asking(mlflow.uri, interval=1000) as registry:
        await registry.ask()
        mlflow.delete_model("iris")
        mlflow.register("iris", {"MLmodel": mlmodel(None)}, aliases=["champion"])
        assert reason_of(await example(registry)) is Reason.VERSION_NOT_FOUND
