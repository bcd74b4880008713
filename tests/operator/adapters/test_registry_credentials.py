"""Which registries are asked, with whose credentials, and what an address may lead to."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_mlflow import FakeMlflow
from headgate_operator.api.reasons import Reason
from headgate_operator.ports import ModelRequest, Obj, UnavailableError
from headgate_operator.registry import Folder
from registry_lab import CHAMPION, IRIS, asking, reason_of, version_of


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
