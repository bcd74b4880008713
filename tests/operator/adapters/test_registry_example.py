"""The input example of a version, read from its registry."""

import pytest
import yaml

from fake_mlflow import FakeMlflow
from headgate_operator.api.model import ModelRef
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Example, Resolved, Unresolved
from headgate_operator.ports import ModelRequest
from registry_lab import CHAMPION, Watched, asking, reason_of


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
