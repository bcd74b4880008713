"""The newest version of a stage, or with tags: from a registry in memory, and from MLflow itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conditions import until
from fake_mlflow import FakeMlflow
from headgate_operator.api.model import ByLatest, ByStage, ByVersion, ModelRef
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Resolution, Resolved, Unresolved
from headgate_operator.ports import Key, ModelRequest
from headgate_operator.registry import AllowList, Folder, RegistryDoor
from headgate_operator.registry.asking import Asking
from headgate_operator.registry.credentials import Credentials
from headgate_operator.registry.rest import Rest
from real_mlflow import RealMlflow, real_mlflow

PRODUCTION, STAGING = ByStage("Production"), ByStage("Staging")
NEWEST = ByLatest()
APPROVED = ByLatest((("validation_status", "approved"),))
BOTH = ByLatest((("team", "growth"), ("validation_status", "approved")))
AWKWARD = ["it's", 'say "hi"', "back\\slash", "größe und mehr", "a&b=c", "100%"]


@asynccontextmanager
async def registry(uri: str) -> AsyncIterator[Asking]:
    rest = Rest(uri, guarded=False)
    try:
        yield Asking(rest)
    finally:
        await rest.close()


async def one(asking: Asking, ref: ModelRef, name: str = "iris") -> str:
    """The version, or the reason."""
    return said(await asking.one(name, ref, Credentials()))


def said(answer: Resolution) -> str:
    return answer.identity.version if isinstance(answer, Resolved) else str(answer.reason)


async def in_a_poll(asking: Asking, *refs: ModelRef, name: str = "iris") -> list[str]:
    answers = await asking.all([(name, ref) for ref in refs], Credentials())
    return [said(answers[name, ref]) for ref in refs]


@pytest.fixture
def mlflow() -> Iterator[FakeMlflow]:
    with FakeMlflow() as fake:
        for tags in ({"validation_status": "approved", "team": "growth"}, {"validation_status": "approved"}, {}):
            fake.register("iris", tags=tags)
        fake.set_stage("iris", "1", "Production")
        fake.set_stage("iris", "2", "Production")
        yield fake


async def test_the_newest_that_fits_is_what_one_question_and_a_poll_say_alike(mlflow: FakeMlflow) -> None:
    refs = (PRODUCTION, STAGING, ByStage("None"), NEWEST, APPROVED, BOTH, ByVersion("1"))
    expected = ["2", "NoVersionInStage", "3", "3", "2", "1", "1"]
    async with registry(mlflow.uri) as asking:
        assert [await one(asking, ref) for ref in refs] == expected
        assert await in_a_poll(asking, *refs) == expected


async def test_a_version_that_is_not_registered_to_the_end_is_not_taken(mlflow: FakeMlflow) -> None:
    mlflow.set_status("iris", "3", "PENDING_REGISTRATION")
    async with registry(mlflow.uri) as asking:
        assert await one(asking, NEWEST) == "2"
        assert await in_a_poll(asking, NEWEST, APPROVED) == ["2", "2"]


async def test_nothing_that_fits_is_said_for_certain_and_with_what_was_looked_for(mlflow: FakeMlflow) -> None:
    async with registry(mlflow.uri) as asking:
        nothing = await asking.one("iris", ByLatest((("a", "b"), ("c", "d"))), Credentials())
        assert nothing == Unresolved(Reason.NO_VERSION_WITH_TAGS, "no version of model iris has a=b, c=d")
        assert nothing.certain
        empty = await asking.one("iris", STAGING, Credentials())
        assert empty == Unresolved(Reason.NO_VERSION_IN_STAGE, "no version of model iris is in stage Staging")
        assert empty.certain
        assert await one(asking, NEWEST, "rose") == "ModelNotFound"
        assert await in_a_poll(asking, NEWEST, PRODUCTION, name="rose") == ["ModelNotFound"] * 2


@pytest.mark.parametrize("fault", ["401", "500", "html", "truncate", "reset"])
async def test_a_bad_day_is_never_taken_for_an_empty_stage(mlflow: FakeMlflow, fault: str) -> None:
    mlflow.fail(fault)
    async with registry(mlflow.uri) as asking:
        for ref in (STAGING, APPROVED):
            answer = await asking.one("iris", ref, Credentials())
            assert isinstance(answer, Unresolved)
            assert not answer.certain


async def test_of_a_thousand_versions_the_first_page_is_enough(mlflow: FakeMlflow) -> None:
    for _ in range(1000):
        mlflow.register("iris")
    async with registry(mlflow.uri) as asking:
        assert await one(asking, NEWEST) == "1003"
        assert len(mlflow.asked("model-versions/search")) == 1
        assert await one(asking, APPROVED) == "2"


async def test_a_tag_that_is_set_and_a_stage_that_changes_wake_whoever_follows(mlflow: FakeMlflow) -> None:
    woken: list[Key] = []
    keys = {Key("ml", "by-stage"): PRODUCTION, Key("ml", "by-tag"): APPROVED, Key("ml", "pinned"): ByVersion("1")}
    door = RegistryDoor(
        AllowList(mlflow.uri), Folder(None), read_secret=_no_secret, wake=woken.append, interval=0.02, clock=lambda: 0.0
    )
    try:
        for key, ref in keys.items():
            request = ModelRequest(namespace="ml", name="iris", ref=ref)
            door.follow(key, request, await door.resolve(request))
        task = asyncio.ensure_future(door.run())
        mlflow.set_tag("iris", "3", "validation_status", "approved")
        await until(lambda: Key("ml", "by-tag") in woken, "the tag is seen")
        assert Key("ml", "by-stage") not in woken
        mlflow.set_stage("iris", "3", "Production")
        await until(lambda: Key("ml", "by-stage") in woken, "the stage is seen")
        assert Key("ml", "pinned") not in woken
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    finally:
        await door.close()


async def _no_secret(namespace: str, name: str) -> None:
    return None


# --- MLflow itself -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMlflow]:
    folder: Path = tmp_path_factory.mktemp("mlflow")
    with real_mlflow(folder) as server:
        server.create("iris")
        for tags in ({"validation_status": "approved", "team": "growth"}, {"validation_status": "approved"}, {}):
            server.register("iris", tags=tags)
        for version in ("1", "2"):
            server.stage("iris", version, "production")
        for name in AWKWARD:
            server.create(name)
            server.register(name, tags={"validation_status": "approved"})
        yield server


@pytest.mark.timeout(400)
async def test_mlflow_itself_answers_as_the_one_in_memory(real: RealMlflow) -> None:
    refs = (PRODUCTION, STAGING, ByStage("None"), NEWEST, APPROVED, BOTH, ByVersion("1"))
    expected = ["2", "NoVersionInStage", "3", "3", "2", "1", "1"]
    async with registry(real.uri) as asking:
        assert [await one(asking, ref) for ref in refs] == expected
        assert await in_a_poll(asking, *refs) == expected
        assert await one(asking, NEWEST, "rose") == "ModelNotFound"
        assert await in_a_poll(asking, NEWEST, PRODUCTION, name="rose") == ["ModelNotFound"] * 2
        real.tag("iris", "3", "validation_status", "approved")
        real.stage("iris", "3", "Production")
        assert await in_a_poll(asking, PRODUCTION, APPROVED) == ["3", "3"]
        real.stage("iris", "3", "Archived")
        assert await one(asking, ByStage("Archived")) == "3"
        assert await one(asking, PRODUCTION) == "2"


@pytest.mark.parametrize("name", AWKWARD)
async def test_any_name_that_mlflow_takes_can_be_searched_for(real: RealMlflow, name: str) -> None:
    async with registry(real.uri) as asking:
        assert await one(asking, APPROVED, name) == "1"
        assert await in_a_poll(asking, APPROVED, NEWEST, ByStage("None"), name=name) == ["1", "1", "1"]
