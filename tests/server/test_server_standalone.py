"""Without the operator: names that move, a fallback, and reloads that lose no request."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import model_dirs
from fake_mlflow import FakeMlflow
from headgate_server import settings
from headgate_server.reasons import LoadError, Reason
from headgate_server.registry.source import Located, Source
from headgate_server.reloading import Reloader
from headgate_server.settings import Reference, SettingsError
from headgate_server.state import State
from server_process import ServerProcess
from server_settings import server_settings

KEY = {"x-admin-key": "s3cret"}
ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
CHAMPION = "models:/iris@champion"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[FakeMlflow]:
    """Two good versions and a third that is a pickle; the champion is the first."""
    with FakeMlflow() as made:
        for n in (1, 2):
            made.register("iris", model_dirs.onnx_iris(tmp_path / str(n), metadata={"n": n}), stage="Production")
        made.register("iris", model_dirs.pickled(tmp_path / "3", {}), stage="Staging")
        made.set_alias("iris", "champion", "1")
        yield made


def server(registry: FakeMlflow, model: str = CHAMPION, **given: Any) -> ServerProcess:
    given = {"admin_key": KEY["x-admin-key"], "registry_timeout": 1} | given
    return ServerProcess(model=model, registry_uri=registry.uri, **given)


# -- names that move ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("models:/a%40b%2Fc/7", Reference("a@b/c", version="7")),
        ("models:/my%20iris@champion", Reference("my iris", alias="champion")),
        ("models:/iris/Production", Reference("iris", stage="Production")),
        ("models:/iris/staging", Reference("iris", stage="staging")),
    ],
)
def test_a_reference_is_a_version_an_alias_or_a_stage(model, expected):
    assert settings.registry_reference(model) == expected


@pytest.mark.parametrize("model", ["models:/iris@", "models:/iris@a/b", "models:/iris/Prod", "models:/@a", "models:/"])
def test_what_is_none_of_them_is_refused(model):
    with pytest.raises(SettingsError, match="--model"):
        settings.registry_reference(model)


async def located(registry: FakeMlflow, model: str) -> Located:
    source = Source(server_settings(model=model, registry_uri=registry.uri))
    try:
        return await source.locate()
    finally:
        source.close()


@pytest.mark.parametrize(
    ("model", "version"),
    [
        (CHAMPION, "1"),
        ("models:/iris/Production", "2"),
        ("models:/iris/production", "2"),
        ("models:/iris/staging", "3"),
    ],
)
async def test_an_alias_and_a_stage_are_found(registry, model, version):
    assert (await located(registry, model)).version == version


@pytest.mark.parametrize("model", ["models:/iris@nobody", "models:/iris/Archived", "models:/nope@champion"])
async def test_a_name_that_leads_nowhere_is_told(registry, model):
    with pytest.raises(LoadError) as caught:
        await located(registry, model)
    assert caught.value.reason is Reason.MODEL_NOT_FOUND


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"model": "models:/iris/1", "registry_uri": "http://r:1", "reload_interval": "5"}, "reload-interval"),
        ({"model": "./model", "fallback": "./other"}, "fallback"),
        ({"reload_interval": "5", "workers": "2"}, "reload-interval: only with --workers=1"),
        ({"model": CHAMPION, "fallback": "./other", "workers": "2"}, "fallback: only with --workers=1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given, word):
    with pytest.raises(SettingsError, match=word):
        server_settings(**given)


def test_the_admin_key_is_never_printed():
    assert "s3cret" not in repr(server_settings(admin_key="s3cret"))


# -- fallback -----------------------------------------------------------------------------------------------------


def test_the_fallback_is_served_while_no_registry_answers_and_left_when_one_does(registry, tmp_path):
    fallback = model_dirs.onnx_iris(tmp_path / "fallback", metadata={"n": 0})
    port = registry.port
    registry.stop()
    given = {"registry_uri": f"http://127.0.0.1:{port}", "registry_timeout": 1, "fallback": fallback}
    with ServerProcess(model=CHAMPION, reload_interval="0.2s", **given) as process:
        process.wait_ready()
        info = process.get("/model/info").json
        assert (info["name"], info["source"]) == ("iris", "fallback")
        assert info["version"] == info["digest"].removeprefix("sha256:")[:8]
        health = process.get("/health").json
        assert (health["model_source"], health["registry_access"]) == ("fallback", False)
        assert process.post("/predict", ROW).json["version"] == info["version"]
        registry.start(port)
        process.wait_until(lambda: process.get("/model/info").json["version"] == "1")
        assert process.get("/health").json["registry_access"] is True


def test_a_registry_that_refuses_us_is_no_reason_for_the_fallback(registry, tmp_path):
    registry.fail("401")
    with server(registry, fallback=model_dirs.onnx_iris(tmp_path / "fallback")) as process:
        process.wait_for_reason("RegistryUnauthorized")


def test_a_registry_that_answers_is_preferred_to_the_fallback(registry, tmp_path):
    with server(registry, fallback=model_dirs.onnx_iris(tmp_path / "fallback")) as process:
        assert process.wait_ready().get("/model/info").json["version"] == "1"


# -- reload -------------------------------------------------------------------------------------------------------


def reload(process: ServerProcess, **given: Any) -> Any:
    return process.request("POST", given.get("path", "/model/reload"), headers=given.get("headers", KEY))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Basic s3cret"}, 401),
        ({"authorization": "Bearer other"}, 403),
        ({"authorization": "Bearer s3cret"}, 200),
        ({"x-admin-key": "other"}, 403),
        ({"x-admin-key": "é"}, 403),
        (KEY, 200),
    ],
)
def test_only_the_admin_key_reloads(reloadable, headers, status):
    assert reload(reloadable, headers=headers).status == status


@pytest.fixture(scope="module")
def reloadable(tmp_path_factory):
    path = model_dirs.onnx_iris(tmp_path_factory.mktemp("reload") / "model")
    with ServerProcess(model=path, admin_key="s3cret") as process:
        yield process.wait_ready()


def test_without_a_key_in_the_settings_nobody_reloads(onnx_server):
    answer = reload(onnx_server, headers={"x-admin-key": ""})
    assert (answer.status, "HEADGATE_ADMIN_KEY" in answer.json["error"]["message"]) == (403, True)


@pytest.mark.parametrize("path", ["/model/reload", "/api/model/reload"])
def test_a_reload_says_what_it_came_to(registry, path):
    with server(registry) as process:
        process.wait_ready()
        same = reload(process, path=path)
        assert (same.status, same.json["reloaded"], same.json["version"]) == (200, False, "1")
        registry.set_alias("iris", "champion", "2")
        other = reload(process, path=path).json
        assert (other["reloaded"], other["version"], other["previous_version"]) == (True, "2", "1")
        info = process.get("/model/info").json
        assert (info["version"], info["digest"]) == ("2", other["digest"])
        assert process.readyz().json["digest"] == other["digest"]


@pytest.mark.parametrize(
    ("spoil", "status", "reason"),
    [
        (lambda r: r.set_alias("iris", "champion", "3"), 409, "PickleRefused"),
        (lambda r: r.delete_alias("iris", "champion"), 409, "ModelNotFound"),
        (lambda r: r.fail("500"), 503, "RegistryUnreachable"),
    ],
    ids=["a pickle", "no alias", "no registry"],
)
def test_the_old_model_stays_when_the_new_one_cannot_be_had(
    registry, spoil: Callable[[FakeMlflow], None], status, reason
):
    with server(registry) as process:
        process.wait_ready()
        spoil(registry)
        answer = reload(process)
        assert answer.status == status
        assert answer.json["error"]["message"].startswith(reason)
        assert process.readyz().status == 200
        assert process.post("/predict", ROW).json["version"] == "1"


def test_a_reload_brings_up_what_could_not_be_loaded_at_start(registry):
    registry.set_alias("iris", "champion", "3")
    with server(registry) as process:
        process.wait_for_reason("PickleRefused")
        registry.set_alias("iris", "champion", "2")
        assert reload(process).json["previous_version"] is None
        assert process.readyz().status == 200


def test_a_folder_that_was_changed_is_loaded_again(tmp_path):
    path = model_dirs.onnx_iris(tmp_path / "model")
    with ServerProcess(model=path, admin_key="s3cret") as process:
        before = process.wait_ready().get("/model/info").json["version"]
        assert reload(process).json["reloaded"] is False
        model_dirs.onnx_iris(path, metadata={"another": 1})
        answer = reload(process).json
        assert (answer["reloaded"], answer["previous_version"]) == (True, before)


def test_an_alias_is_followed_by_itself(registry):
    with server(registry, reload_interval="0.1s") as process:
        process.wait_ready()
        registry.set_alias("iris", "champion", "3")  # which cannot be had
        process.wait_for_log("not reloaded")
        assert process.post("/predict", ROW).json["version"] == "1"
        registry.set_alias("iris", "champion", "2")
        process.wait_until(lambda: process.post("/predict", ROW).json["version"] == "2")
        assert len(registry.asked("1/models")) < 20  # files are fetched once a version, not at every look


def test_reloads_under_load_lose_no_request_and_every_answer_names_its_version(registry):
    answers: list[Any] = []
    done = threading.Event()

    def ask(process: ServerProcess) -> None:
        while not done.is_set():
            answers.append(process.post("/predict", ROW))

    with server(registry) as process:
        process.wait_ready()
        clients = [threading.Thread(target=ask, args=(process,)) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            for n in range(6):
                registry.set_alias("iris", "champion", str(2 - n % 2))
                assert reload(process).json["reloaded"] is True
        finally:
            done.set()
            for client in clients:
                client.join()
    assert {a.status for a in answers} == {200}
    assert {a.json["version"] for a in answers} == {"1", "2"}
    assert all(a.headers["x-model-version"] == a.json["version"] for a in answers)
    assert not process.log or all(line.get("message") != "a request failed unexpectedly" for line in process.log)


async def test_whatever_goes_wrong_while_a_reload_looks_is_told_and_ends_nothing():
    class Gone:
        async def again(self, before):
            raise FileNotFoundError("a Secret that is being replaced")

    with ThreadPoolExecutor() as executor, pytest.raises(LoadError) as caught:
        await Reloader(State(server_settings()), Gone(), executor).reload()
    assert caught.value.reason is Reason.LOAD_FAILED
