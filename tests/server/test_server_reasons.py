"""Every reason that /readyz can give, reached by what causes it, in process: registry, files and model are real."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import model_dirs
from fake_mlflow import FakeMlflow
from headgate_server.bringing_up import bring_up
from headgate_server.digest import tree_digest
from headgate_server.reasons import TRANSIENT, Reason
from headgate_server.registry.source import Source
from headgate_server.state import State
from server_settings import server_settings


@dataclass
class Case:
    registry: FakeMlflow
    folder: Path

    def model(self, name: str = "onnx") -> Path:
        return model_dirs.onnx_iris(self.folder / name)


def registered(arrange: Callable[[Case], Any], **given: Any) -> Callable[[Case], dict[str, Any]]:
    """A good model in the registry, then `arrange`."""

    def prepare(case: Case) -> dict[str, Any]:
        case.registry.register("iris", case.model())
        settings = {"model": "models:/iris/1", "registry_uri": case.registry.uri, "registry_timeout": 0.5, **given}
        arrange(case)
        return settings

    return prepare


def folder(make: Callable[[Path], Any], **given: Any) -> Callable[[Case], dict[str, Any]]:
    """A model directory made by `make`."""

    def prepare(case: Case) -> dict[str, Any]:
        make(case.folder / "model")
        return {"model": str(case.folder / "model"), **given}

    return prepare


def nothing(_: Case) -> None:
    """The registry and the model are as they should be."""


def truncated_graph(path: Path) -> None:
    model_dirs.onnx_iris(path)
    (path / "model.onnx").write_bytes((path / "model.onnx").read_bytes()[:-20])


def without(name: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        model_dirs.onnx_iris(path)
        (path / name).unlink()

    return make


def with_text(name: str, text: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        model_dirs.onnx_iris(path)
        (path / name).write_text(text)

    return make


def unknown_operator(path: Path) -> None:
    model_dirs.save_onnx(path, model_dirs.onnx_elementwise("NoSuchOperator"))


def not_finite(path: Path) -> None:
    signature = model_dirs.tensor("float32", [-1, 1])
    model_dirs.save_onnx(path, model_dirs.onnx_elementwise("Log"), inputs=signature, example={"inputs": [[-1.0]]})


def example_that_does_not_fit(path: Path) -> None:
    model_dirs.onnx_iris(path, example={"inputs": [[1.0, 2.0]]})


def untrusted(path: Path) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=2).fit([[0.0], [1.0]] * 20, [0, 1] * 20)
    model_dirs.save_estimator(path, model)


CASES: list[tuple[str, Reason, Callable[[Case], dict[str, Any]]]] = [
    ("the registry answers 500", Reason.REGISTRY_UNREACHABLE, registered(lambda c: c.registry.fail("500"))),
    ("a proxy answers HTML", Reason.REGISTRY_UNREACHABLE, registered(lambda c: c.registry.fail("html"))),
    ("the registry is silent", Reason.REGISTRY_UNREACHABLE, registered(lambda c: c.registry.fail("hang"))),
    ("the connection is cut", Reason.REGISTRY_UNREACHABLE, registered(lambda c: c.registry.fail("reset"))),
    ("the registry is down", Reason.REGISTRY_UNREACHABLE, registered(lambda c: c.registry.stop())),
    ("no name resolves", Reason.REGISTRY_UNREACHABLE, registered(nothing, registry_uri="http://mlflow.invalid")),
    ("credentials are wanted", Reason.REGISTRY_UNAUTHORIZED, registered(lambda c: c.registry.fail("401"))),
    ("permission is refused", Reason.REGISTRY_UNAUTHORIZED, registered(lambda c: c.registry.fail("403"))),
    (
        "the credentials folder is not there",
        Reason.REGISTRY_UNAUTHORIZED,
        registered(nothing, registry_credentials="/nowhere/at/all"),
    ),
    ("the Host header is refused", Reason.REGISTRY_HOST_REJECTED, registered(lambda c: c.registry.fail("host"))),
    ("no such version", Reason.MODEL_NOT_FOUND, registered(nothing, model="models:/iris/7")),
    ("no such model", Reason.MODEL_NOT_FOUND, registered(nothing, model="models:/nope/1")),
    ("a name that cannot be", Reason.MODEL_NOT_FOUND, registered(lambda c: c.registry.fail("400"))),
    ("no files", Reason.ARTIFACT_MISSING, registered(lambda c: c.registry.files.clear())),
    (
        "files elsewhere",
        Reason.ARTIFACT_MISSING,
        registered(lambda c: setattr(c.registry, "artifact_root", "s3://bucket")),
    ),
    ("no MLmodel", Reason.ARTIFACT_MISSING, folder(without("MLmodel"))),
    ("no model file", Reason.ARTIFACT_MISSING, folder(without("model.onnx"))),
    ("no folder", Reason.ARTIFACT_MISSING, folder(lambda path: None)),
    ("bytes are lost", Reason.ARTIFACT_TRUNCATED, registered(lambda c: c.registry.fail("truncate", "model.onnx"))),
    (
        "no room on the disk",
        Reason.STORAGE_FULL,
        registered(lambda c: c.registry.extra_listing.append({"path": "huge", "is_dir": False, "file_size": 1 << 60})),
    ),
    ("MLmodel is not YAML", Reason.ARTIFACT_INVALID, folder(with_text("MLmodel", "a: [b"))),
    ("MLmodel is a list", Reason.ARTIFACT_INVALID, folder(with_text("MLmodel", "[]"))),
    ("the graph is cut", Reason.ARTIFACT_INVALID, folder(truncated_graph)),
    ("other files than expected", Reason.DIGEST_MISMATCH, registered(nothing, model_digest="sha256:" + "0" * 64)),
    ("types nobody trusts", Reason.UNTRUSTED_TYPES, folder(untrusted)),
    ("a pickle", Reason.PICKLE_REFUSED, folder(lambda path: model_dirs.pickled(path, {"any": "thing"}))),
    (
        "another flavor",
        Reason.UNSUPPORTED_FLAVOR,
        folder(with_text("MLmodel", model_dirs.mlmodel({"pytorch": {"model_data": "data"}}))),
    ),
    (
        "another scikit-learn",
        Reason.REQUIREMENT_MISMATCH,
        folder(lambda path: model_dirs.iris(path, sklearn_version="0.24.2")),
    ),
    ("an unknown operator", Reason.LOAD_FAILED, folder(unknown_operator)),
    ("a golden prediction that is not finite", Reason.GOLDEN_FAILED, folder(not_finite)),
    ("an example that does not fit", Reason.GOLDEN_FAILED, folder(example_that_does_not_fit)),
]


@pytest.fixture
def case(tmp_path: Path):
    with FakeMlflow(chunked=True) as registry:
        yield Case(registry, tmp_path)


@asynccontextmanager
async def bringing_up(**given: Any) -> AsyncIterator[tuple[State, "asyncio.Task[None]"]]:
    state = State(server_settings(**given))
    source = Source(state.config)
    with ThreadPoolExecutor(1) as executor:
        task = asyncio.create_task(bring_up(state, source, executor))
        try:
            yield state, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            source.close()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the code under test tells by plain attributes
            await asyncio.sleep(0.01)


def told(state: State) -> Reason | None:
    return state.not_ready.reason if state.not_ready else None


@pytest.mark.parametrize(("reason", "prepare"), [(r, p) for _, r, p in CASES], ids=[name for name, _, _ in CASES])
async def test_the_cause_gives_its_reason(case: Case, reason: Reason, prepare: Callable[[Case], dict[str, Any]]):
    async with bringing_up(**prepare(case)) as (state, task):
        await until(lambda: told(state) not in {Reason.LOADING, Reason.WARMING_UP})
        assert told(state) == reason
        if reason.permanent:
            await until(task.done)  # it has given up, and nothing was raised
            assert task.exception() is None
        else:
            assert not task.done()  # it will try again


async def test_loading_is_told_while_the_registry_is_silent(case: Case):
    case.registry.register("iris", case.model())
    case.registry.fail("hang")
    async with bringing_up(model="models:/iris/1", registry_uri=case.registry.uri) as (state, _):
        await until(lambda: case.registry.requests)
        assert told(state) == Reason.LOADING


async def test_warming_up_is_told_before_the_first_prediction_is_done(case: Case, monkeypatch: pytest.MonkeyPatch):
    seen: list[Reason] = []
    step = State.step
    monkeypatch.setattr(State, "step", lambda self, reason, text: (seen.append(reason), step(self, reason, text))[1])
    async with bringing_up(model=str(case.model())) as (state, task):
        await until(task.done)
        assert told(state) is None
    assert seen == [Reason.WARMING_UP]


async def test_draining_is_told_even_by_a_server_that_could_answer(case: Case):
    async with bringing_up(model=str(case.model())) as (state, task):
        await until(task.done)
        state.draining = True
        assert told(state) == Reason.DRAINING


def test_every_reason_is_reached_here():
    reached = {reason for _, reason, _ in CASES} | {Reason.LOADING, Reason.WARMING_UP, Reason.DRAINING}
    assert reached == set(Reason)
    assert {r for r in Reason if not r.permanent} == TRANSIENT


Mend = Callable[[Case], Awaitable[None] | None]


@pytest.mark.parametrize("kind", ["500", "401", "host", "html", "reset", "truncate"])
async def test_a_transient_cause_that_ends_lets_the_model_serve(case: Case, kind: str):
    version = case.registry.register("iris", case.model())
    case.registry.fail(kind, where="model.onnx" if kind == "truncate" else "")
    async with bringing_up(model=f"models:/iris/{version}", registry_uri=case.registry.uri) as (state, task):
        await until(lambda: told(state) != Reason.LOADING)
        case.registry.heal()
        await until(task.done)
        assert told(state) is None


async def test_the_reason_never_holds_what_the_registry_sent(case: Case):
    case.registry.register("iris", case.model())
    case.registry.fail("html")
    async with bringing_up(model="models:/iris/1", registry_uri=case.registry.uri) as (state, _):
        await until(lambda: told(state) != Reason.LOADING)
        assert "Sign in" not in json.dumps(state.not_ready.message if state.not_ready else "")


async def test_the_expected_digest_lets_the_right_files_through(case: Case):
    path = case.model()
    async with bringing_up(model=str(path), model_digest=tree_digest(path)) as (state, task):
        await until(task.done)
        assert told(state) is None


async def test_what_was_made_until_the_model_serves_is_not_looked_through_for_garbage_again(case: Case):
    gc.unfreeze()
    try:
        async with bringing_up(model=str(case.model())) as (state, task):
            await until(task.done)
            assert told(state) is None
            assert gc.get_freeze_count() > 10 * len(gc.get_objects())
    finally:
        gc.unfreeze()
