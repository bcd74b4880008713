"""What goes over the wire to an API server, and what its answers mean. Golden: a new client must not change it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.client.configuration import Configuration

from headgate_operator.kube import ClientTransport, Kube, Reply, connect, error_of
from headgate_operator.ports import ConflictError, RefusedError, UnavailableError
from tiny_api import Said, TinyApi, tiny_api

Obj = dict[str, Any]
SERVICE: Obj = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"namespace": "ml", "name": "iris", "uid": "u-1", "resourceVersion": "7"},
    "spec": {"selector": {"headgate.dev/deployment": "iris"}},
}
MDEP: Obj = {
    "apiVersion": "headgate.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"namespace": "ml", "name": "iris", "resourceVersion": "7"},
    "status": {"observedGeneration": 1},
}


def status(code: int, reason: str, message: str = "no", **details: Any) -> Said:
    return Said(code, {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "details": details})


@asynccontextmanager
async def door(**options: Any) -> AsyncIterator[tuple[Kube, TinyApi]]:
    async with tiny_api() as api:
        configuration = Configuration(host=api.uri, api_key={"BearerToken": "Bearer t0ken"})
        transport = ClientTransport(configuration)
        try:
            yield Kube(transport, **options), api
        finally:
            await transport.close()


@pytest.fixture
async def wire() -> AsyncIterator[tuple[Kube, TinyApi]]:
    async with door(timeout=0.5) as opened:
        yield opened


Write = Callable[[Kube], Awaitable[object]]
REQUESTS: list[tuple[Write, tuple[str, str, dict[str, str], str, Any]]] = [
    (
        lambda k: k.get("Deployment", "ml", "iris-0123456789"),
        ("GET", "/apis/apps/v1/namespaces/ml/deployments/iris-0123456789", {}, "application/json", None),
    ),
    (
        lambda k: k.list("Pod", "ml", {"headgate.dev/revision": "r", "headgate.dev/deployment": "iris"}),
        (
            "GET",
            "/api/v1/namespaces/ml/pods",
            {"limit": "500", "labelSelector": "headgate.dev/deployment=iris,headgate.dev/revision=r"},
            "application/json",
            None,
        ),
    ),
    (
        lambda k: k.list("ModelDeployment", None, {}),
        ("GET", "/apis/headgate.dev/v1alpha1/modeldeployments", {"limit": "500"}, "application/json", None),
    ),
    (
        lambda k: k.apply(SERVICE, force=True),
        (
            "PATCH",
            "/api/v1/namespaces/ml/services/iris",
            {"fieldManager": "headgate", "force": "true"},
            "application/apply-patch+yaml",
            SERVICE,
        ),
    ),
    (
        lambda k: k.apply(SERVICE, force=False),
        (
            "PATCH",
            "/api/v1/namespaces/ml/services/iris",
            {"fieldManager": "headgate", "force": "false"},
            "application/apply-patch+yaml",
            SERVICE,
        ),
    ),
    (
        lambda k: k.apply(MDEP, force=True, sub="status"),
        (
            "PATCH",
            "/apis/headgate.dev/v1alpha1/namespaces/ml/modeldeployments/iris/status",
            {"fieldManager": "headgate", "force": "true"},
            "application/apply-patch+yaml",
            MDEP,
        ),
    ),
    (
        lambda k: k.replace_status(MDEP),
        (
            "PUT",
            "/apis/headgate.dev/v1alpha1/namespaces/ml/modeldeployments/iris/status",
            {"fieldManager": "headgate"},
            "application/json",
            MDEP,
        ),
    ),
    (
        lambda k: k.create(SERVICE),
        ("POST", "/api/v1/namespaces/ml/services", {"fieldManager": "headgate"}, "application/json", SERVICE),
    ),
    (
        lambda k: k.replace(SERVICE),
        ("PUT", "/api/v1/namespaces/ml/services/iris", {"fieldManager": "headgate"}, "application/json", SERVICE),
    ),
    (
        lambda k: k.delete("EndpointSlice", "ml", "iris-x", uid="u-1", resource_version="7"),
        (
            "DELETE",
            "/apis/discovery.k8s.io/v1/namespaces/ml/endpointslices/iris-x",
            {},
            "application/json",
            {
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Background",
                "preconditions": {"uid": "u-1", "resourceVersion": "7"},
            },
        ),
    ),
]


@pytest.mark.parametrize(("call", "golden"), REQUESTS)
async def test_requests_look_exactly_like_this(
    wire: tuple[Kube, TinyApi], call: Write, golden: tuple[str, str, dict[str, str], str, Any]
) -> None:
    kube, api = wire
    api.say(Said(200, {"metadata": {}}))
    await call(kube)
    sent = api.last
    assert (sent.method, sent.path, sent.query, sent.headers["content-type"], sent.body) == golden
    assert sent.headers["authorization"] == "Bearer t0ken"
    assert sent.headers["accept"] == "application/json"
    assert sent.headers["user-agent"].startswith("headgate-operator")


async def test_a_list_follows_its_pages_to_the_end(wire: tuple[Kube, TinyApi]) -> None:
    kube, api = wire
    api.say(
        Said(200, {"metadata": {"continue": "t/1="}, "items": [{"metadata": {"name": "a"}}]}),
        Said(200, {"metadata": {"continue": "t2"}, "items": [{"metadata": {"name": "b"}}]}),
        Said(200, {"metadata": {}, "items": [{"metadata": {"name": "c"}}]}),
    )
    items = await kube.list("Deployment", "ml", {})
    assert [i["metadata"]["name"] for i in items] == ["a", "b", "c"]
    assert {(i["apiVersion"], i["kind"]) for i in items} == {("apps/v1", "Deployment")}
    assert [a.query.get("continue") for a in api.asked] == [None, "t/1=", "t2"]


async def test_a_list_whose_snapshot_expired_begins_again_and_mixes_nothing(wire: tuple[Kube, TinyApi]) -> None:
    kube, api = wire
    api.say(
        Said(200, {"metadata": {"continue": "t1"}, "items": [{"metadata": {"name": "old"}}]}),
        status(410, "Expired"),
        Said(200, {"metadata": {}, "items": [{"metadata": {"name": "new"}}]}),
    )
    assert [i["metadata"]["name"] for i in await kube.list("Pod", "ml", {})] == ["new"]


async def test_an_empty_list_may_come_as_null(wire: tuple[Kube, TinyApi]) -> None:
    kube, api = wire
    api.say(Said(200, {"metadata": {}, "items": None}))
    assert await kube.list("Pod", "ml", {}) == []


async def test_a_missing_object_is_none_and_a_missing_kind_is_not(wire: tuple[Kube, TinyApi]) -> None:
    kube, api = wire
    api.say(
        status(404, "NotFound", name="iris", kind="services"),
        Said(404, "404 page not found\n", "text/plain"),
        status(404, "NotFound"),
    )
    assert await kube.get("Service", "ml", "iris") is None
    for _ in range(2):
        with pytest.raises(RefusedError):
            await kube.get("ModelDeployment", "ml", "iris")


async def test_deleting_what_is_gone_is_success(wire: tuple[Kube, TinyApi]) -> None:
    kube, api = wire
    api.say(status(404, "NotFound", name="iris", kind="services"))
    await kube.delete("Service", "ml", "iris", uid="u", resource_version="1")


async def test_an_object_that_vanished_under_a_write_is_a_conflict(wire: tuple[Kube, TinyApi]) -> None:
    kube, api = wire
    api.say(status(404, "NotFound", name="iris", kind="modeldeployments", group="headgate.dev"))
    with pytest.raises(ConflictError):
        await kube.replace_status(MDEP)


async def test_a_missing_namespace_is_a_refusal(wire: tuple[Kube, TinyApi]) -> None:
    kube, api = wire
    api.say(status(404, "NotFound", 'namespaces "ml" not found', name="ml", kind="namespaces"))
    with pytest.raises(RefusedError, match='namespaces "ml" not found'):
        await kube.apply(SERVICE, force=False)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, RefusedError),
        (401, UnavailableError),
        (403, RefusedError),
        (405, RefusedError),
        (409, ConflictError),
        (410, UnavailableError),
        (413, RefusedError),
        (415, RefusedError),
        (422, RefusedError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
        (504, UnavailableError),
        (302, UnavailableError),
    ],
)
def test_errors_are_named_by_what_the_caller_does(code: int, error: type[Exception]) -> None:
    assert type(error_of(Reply(code, {"message": "why"}))) is error
    assert str(error_of(Reply(code, {"message": "why"}))) == "why"
    assert str(error_of(Reply(code, "<html>a proxy</html>"))) == f"HTTP {code}"


@pytest.mark.parametrize(
    ("message", "quota"),
    [
        ('pods "iris-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=5, limited: pods=5', True),
        ('pods "iris-x" is forbidden: failed quota: small: must specify limits.cpu for: server', True),
        ('pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 2', True),
        ('deployments.apps is forbidden: User "headgate" cannot create resource "deployments"', False),
    ],
)
def test_a_quota_is_told_from_a_missing_permission(message: str, quota: bool) -> None:
    error = error_of(Reply(403, {"message": message}))
    assert isinstance(error, RefusedError)
    assert error.quota is quota


def test_a_server_may_say_how_long_to_wait() -> None:
    by_header = error_of(Reply(429, "slow down", {"retry-after": "7"}))
    by_body = error_of(Reply(429, {"message": "slow down", "details": {"retryAfterSeconds": 3}}))
    by_nonsense = error_of(Reply(503, "", {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}))
    assert [getattr(e, "retry_after", 0) for e in (by_header, by_body, by_nonsense)] == [7, 3, None]


@pytest.mark.parametrize(
    "said",
    [
        Said(drop=True),
        Said(200, "<html>sign in</html>", "text/html"),
        Said(200, "{cut off", "application/json"),
        Said(200, "[1]", "application/json"),
    ],
)
async def test_no_answer_or_nonsense_means_try_again(wire: tuple[Kube, TinyApi], said: Said) -> None:
    kube, api = wire
    api.say(said)
    with pytest.raises(UnavailableError):
        await kube.get("Service", "ml", "iris")


async def test_a_server_that_does_not_listen_means_try_again() -> None:
    transport = ClientTransport(Configuration(host="http://127.0.0.1:1"))
    with pytest.raises(UnavailableError):
        await Kube(transport).list("Pod", "ml", {})
    await transport.close()


class Silent:
    async def request(self, *_: Any, **__: Any) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.looptime
async def test_no_call_lasts_longer_than_its_timeout_even_over_a_transport_that_hangs() -> None:
    began = asyncio.get_running_loop().time()
    with pytest.raises(UnavailableError):
        await Kube(Silent(), timeout=10).get("Service", "ml", "iris")
    assert asyncio.get_running_loop().time() - began == pytest.approx(11)


async def test_nothing_is_written_by_a_process_that_may_not_lead_but_reading_goes_on() -> None:
    async with door(write_seconds=lambda: 0.0) as (kube, api):
        api.say(Said(200, {"metadata": {}, "items": []}))
        for _, call in enumerate(REQUESTS):
            method = call[1][0]
            if method == "GET":
                await call[0](kube)
            else:
                with pytest.raises(UnavailableError, match="not the leader"):
                    await call[0](kube)
        assert {a.method for a in api.asked} == {"GET"}


async def test_every_call_is_counted_by_verb_kind_and_outcome() -> None:
    counts: Counter[tuple[str, str, int]] = Counter()

    def count(verb: str, kind: str, code: int) -> None:
        counts[verb, kind, code] += 1

    async with door(counted=count) as (kube, api):
        api.say(Said(200, {}), status(409, "Conflict"), Said(drop=True))
        await kube.get("Service", "ml", "iris")
        with pytest.raises(ConflictError):
            await kube.apply(SERVICE, force=True)
        with pytest.raises(UnavailableError):
            await kube.get("Service", "ml", "iris")
    assert counts == {("get", "Service", 200): 1, ("apply", "Service", 409): 1, ("get", "Service", 0): 1}


async def test_names_are_quoted_in_paths(wire: tuple[Kube, TinyApi]) -> None:
    kube, api = wire
    api.say(Said(200, {}))
    await kube.get("Secret", "ml", "../../namespaces/kube-system/secrets/x")
    assert api.last.path == "/api/v1/namespaces/ml/secrets/..%2F..%2Fnamespaces%2Fkube-system%2Fsecrets%2Fx"


async def test_a_proxy_of_the_environment_is_not_used(
    wire: tuple[Kube, TinyApi], monkeypatch: pytest.MonkeyPatch
) -> None:
    kube, api = wire
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    api.say(Said(200, {}))
    assert await kube.get("Service", "ml", "iris")


def kubeconfig(folder: Path, server: str) -> Path:
    file = folder / "config"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [{"name": "k", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "from-file"}}],
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            }
        )
    )
    return file


async def test_a_kubeconfig_names_server_and_token(tmp_path: Path) -> None:
    async with tiny_api() as api:
        transport = await connect(str(kubeconfig(tmp_path, api.uri)))
        told = await transport.access()
        assert (told.server, told.authorization) == (api.uri, "Bearer from-file")
        api.say(Said(200, {}))
        await Kube(transport).get("Service", "ml", "iris")
        await transport.close()
        assert api.last.headers["authorization"] == "Bearer from-file"


async def test_no_kubeconfig_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no way to an API server"):
        await connect(str(tmp_path / "missing"))
