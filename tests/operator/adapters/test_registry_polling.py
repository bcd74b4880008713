"""Registries are asked again and again, and who waits for an answer is woken."""

import pytest

from conditions import until
from fake_mlflow import FakeMlflow
from headgate_operator.api.model import ByAlias, ByVersion, ModelRef
from headgate_operator.api.reasons import Reason
from headgate_operator.ports import Key
from registry_lab import CHAMPION, IRIS, Watched, asking, reason_of, running, version_of


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
