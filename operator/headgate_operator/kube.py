"""The only door to the API server: dict in, dict out, every read live, every list complete, every write fenced.

The typed client costs 33 MiB and drops fields that it does not know, so only its ApiClient (addresses, TLS,
authentication) is used, behind a `Transport` that tests replace. Errors become the three of `ports`, named by what the
caller does about them. Nothing here decides anything.
"""

import asyncio
import json
import math
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.incluster_config import load_incluster_config
from kubernetes.aio.config.kube_config import load_kube_config

from headgate_operator import contract
from headgate_operator.ports import ConflictError, KubeError, Obj, RefusedError, UnavailableError

TIMEOUT_SECONDS = 10.0
PAGE = 500
JSON = "application/json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Kind:
    """A kind and where it lives."""

    api_version: str
    plural: str

    def path(self, namespace: str | None, name: str = "", sub: str = "") -> str:
        prefix = "/apis/" if "/" in self.api_version else "/api/"
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
        rest = "".join(f"/{quote(part, safe='')}" for part in (name, sub) if part)
        return f"{prefix}{self.api_version}{scope}/{self.plural}{rest}"


KINDS: Mapping[str, Kind] = {
    contract.KIND: Kind(contract.API_VERSION, contract.PLURAL),
    "ControllerRevision": Kind("apps/v1", "controllerrevisions"),
    "Deployment": Kind("apps/v1", "deployments"),
    "ConfigMap": Kind("v1", "configmaps"),
    "Service": Kind("v1", "services"),
    "Pod": Kind("v1", "pods"),
    "Secret": Kind("v1", "secrets"),
    "Event": Kind("v1", "events"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "EndpointSlice": Kind("discovery.k8s.io/v1", "endpointslices"),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
}


# --- the wire -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    """An answer: parsed JSON where it was JSON, else text. `headers` have lower-case names."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class TransportError(Exception):
    """No answer, or none that could be read. The request may have been carried out."""


class Transport(Protocol):
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        content_type: str,
        body: Obj | None,
        timeout: float,
    ) -> Reply: ...


class ClientTransport:
    """The production transport."""

    def __init__(self, configuration: Configuration) -> None:
        # Proxy settings of the environment are meant for the internet, not for the API server beside us.
        configuration.client_session_kwargs = {"trust_env": False}
        configuration.retries = None
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._client.user_agent = "headgate-operator"

    async def access(self) -> "Access":
        """Reads a rotated token file anew, and runs a credentials plugin where the kubeconfig names one."""
        told, settings = self._configuration, await self._configuration.auth_settings()
        return Access(
            server=told.host,
            ca_path=told.ssl_ca_cert,
            verify=told.verify_ssl,
            cert_path=told.cert_file,
            key_path=told.key_file,
            authorization=settings.get("BearerToken", {}).get("value"),
        )

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        content_type: str,
        body: Obj | None,
        timeout: float,
    ) -> Reply:
        try:
            request = await self._client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params={"Accept": JSON, "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(*request, _request_timeout=timeout)
            raw = await response.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, OSError, ConfigException) as error:  # the last: a token file in mid rotation
            raise TransportError(str(error) or type(error).__name__) from error
        headers = {key.lower(): value for key, value in response.headers.items()}
        text = raw.decode("utf-8", "replace")
        if not headers.get("content-type", "").startswith(JSON):
            return Reply(response.status, text, headers)
        try:
            return Reply(response.status, json.loads(text), headers)
        except ValueError as error:
            raise TransportError("an answer that is not JSON") from error


@dataclass(frozen=True)
class Access:
    """How to reach the API server: what the watch needs to connect by itself. Files and tokens of this moment."""

    server: str
    ca_path: str | None
    verify: bool
    cert_path: str | None
    key_path: str | None
    authorization: str | None


async def connect(kubeconfig: str | None) -> ClientTransport:
    """From `kubeconfig` or KUBECONFIG, else as a pod in a cluster, else from ~/.kube/config."""
    configuration = Configuration()
    try:
        if kubeconfig is None and not os.environ.get("KUBECONFIG"):
            try:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
                return ClientTransport(configuration)
            except ConfigException:
                pass
        await load_kube_config(config_file=kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError, ValueError) as error:
        raise RefusedError(f"no way to an API server: {error}", status=0) from error
    return ClientTransport(configuration)


# --- the door -------------------------------------------------------------------------------------------------------


def _always() -> float:
    return math.inf


def _ignore(verb: str, kind: str, status: int) -> None:
    """Nobody counts."""


class Kube:
    """See `ports.Kube`. `write_seconds` says before each write how long it may take; 0 = we lead no longer."""

    def __init__(
        self,
        transport: Transport,
        *,
        write_seconds: Callable[[], float] = _always,
        counted: Callable[[str, str, int], None] = _ignore,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._transport, self._counted, self._timeout = transport, counted, timeout
        self._write_seconds = write_seconds

    async def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        reply = await self._call("get", kind, "GET", KINDS[kind].path(namespace, name))
        if _object_is_missing(reply, KINDS[kind].plural):
            return None
        return _complete(_expect(reply), kind)

    async def list(self, kind: str, namespace: str | None, labels: Mapping[str, str]) -> list[Obj]:
        """`namespace` None = of the whole cluster."""
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        items: list[Obj] = []
        following = ""
        restarted = False
        while True:
            query = {"limit": str(PAGE)}
            query |= {"labelSelector": selector} if selector else {}
            query |= {"continue": following} if following else {}
            reply = await self._call("list", kind, "GET", KINDS[kind].path(namespace), query=query)
            if reply.status == 410 and following and not restarted:
                # The snapshot we were paging through is gone: begin again, a list of two snapshots is no list.
                items, following, restarted = [], "", True
                continue
            body = _expect(reply)
            items += [_complete(item, kind) for item in body.get("items") or []]
            following = (body.get("metadata") or {}).get("continue") or ""
            if not following:
                return items

    async def apply(self, obj: Obj, *, force: bool, sub: str = "") -> Obj:
        query = {"fieldManager": contract.FIELD_MANAGER, "force": "true" if force else "false"}
        return await self._write("apply", "PATCH", obj, sub=sub, query=query, content_type=APPLY)

    async def create(self, obj: Obj) -> Obj:
        """409 where the name is taken."""
        return await self._write("create", "POST", obj, query={"fieldManager": contract.FIELD_MANAGER}, named=False)

    async def replace(self, obj: Obj) -> Obj:
        """409 unless `obj` carries the present resourceVersion."""
        return await self._write("update", "PUT", obj, query={"fieldManager": contract.FIELD_MANAGER})

    async def replace_status(self, obj: Obj) -> Obj:
        query = {"fieldManager": contract.FIELD_MANAGER}
        return await self._write("update_status", "PUT", obj, sub="status", query=query)

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str, resource_version: str) -> None:
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
        }
        path = KINDS[kind].path(namespace, name)
        reply = await self._call("delete", kind, "DELETE", path, body=options, seconds=self._fence())
        if reply.status != 404:
            _expect(reply)

    async def _write(
        self,
        verb: str,
        method: str,
        obj: Obj,
        *,
        query: Mapping[str, str],
        sub: str = "",
        content_type: str = JSON,
        named: bool = True,
    ) -> Obj:
        kind, meta = obj["kind"], obj["metadata"]
        path = KINDS[kind].path(meta["namespace"], meta["name"] if named else "", sub)
        reply = await self._call(
            verb, kind, method, path, query=query, body=obj, content_type=content_type, seconds=self._fence()
        )
        if _object_is_missing(reply, KINDS[kind].plural):
            raise ConflictError(f"{kind} {meta['name']} was deleted meanwhile")
        return _complete(_expect(reply), kind)

    def _fence(self) -> float:
        """Seconds that a write may take."""
        left = self._write_seconds()
        if left <= 0:
            raise UnavailableError("not the leader: nothing is written")
        return min(self._timeout, left)

    async def _call(
        self,
        verb: str,
        kind: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Obj | None = None,
        content_type: str = JSON,
        seconds: float | None = None,
    ) -> Reply:
        seconds = self._timeout if seconds is None else seconds
        sent = self._transport.request(
            method, path, query=query or {}, content_type=content_type, body=body, timeout=seconds
        )
        status = 0
        try:
            reply = await _within(seconds + 1, sent)
            status = reply.status
        except (TransportError, OSError) as error:  # TimeoutError is an OSError
            raise UnavailableError(f"{method} {path}: {str(error) or type(error).__name__}") from error
        finally:
            self._counted(verb, kind, status)
        return reply


async def _within(seconds: float, sent: Awaitable[Reply]) -> Reply:
    # A transport keeps its own time; this is for one that does not.
    async with asyncio.timeout(seconds):
        return await sent


# --- what an answer means -------------------------------------------------------------------------------------------

QUOTA = re.compile(
    r"exceeded quota|failed quota|(maximum|minimum) .{1,80} usage per|must specify limits", re.IGNORECASE
)
RETRIABLE = frozenset({401, 408, 425, 429})


def _expect(reply: Reply) -> Obj:
    if 200 <= reply.status < 300:
        if not isinstance(reply.body, dict):
            raise UnavailableError("the answer is not that of a Kubernetes API server")
        return reply.body
    raise error_of(reply)


def error_of(reply: Reply) -> KubeError:
    """Named by what the caller does about it."""
    message = _message(reply)
    if reply.status == 409:
        return ConflictError(message)
    if reply.status in RETRIABLE or reply.status >= 500 or reply.status < 400 or reply.status == 410:
        return UnavailableError(message, retry_after=_retry_after(reply))
    return RefusedError(message, status=reply.status, quota=reply.status == 403 and bool(QUOTA.search(message)))


def _object_is_missing(reply: Reply, plural: str) -> bool:
    """404 of the object itself. Of its namespace or of the whole kind it is another trouble, which no retry mends."""
    if reply.status != 404 or not isinstance(reply.body, dict):
        return False
    details = reply.body.get("details") or {}
    return bool(details.get("name")) and details.get("kind") in {plural, None}


def _message(reply: Reply) -> str:
    if isinstance(reply.body, dict) and reply.body.get("message"):
        return str(reply.body["message"])[:1024]
    return f"HTTP {reply.status}"


def _retry_after(reply: Reply) -> float | None:
    details = reply.body.get("details") if isinstance(reply.body, dict) else None
    told = (details or {}).get("retryAfterSeconds") or reply.headers.get("retry-after", "")
    try:
        return float(told)
    except (TypeError, ValueError):
        return None


def _complete(obj: Obj, kind: str) -> Obj:
    # The items of a list come without apiVersion and kind.
    return {**obj, "apiVersion": KINDS[kind].api_version, "kind": kind}
