"""The only door to the Kubernetes API: dict in, dict out, errors that say what a person can do.

Uses the official client for configuration, TLS and authentication only; its typed models drop fields they do not know.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kubernetes.client.api_client import ApiClient
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import list_kube_config_contexts, new_client_from_config
from urllib3.exceptions import HTTPError

TIMEOUT_SECONDS = 15.0
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

Obj = dict[str, Any]


class ClusterError(Exception):
    """The API server could not be asked, or refused; the message is for the person at the terminal.

    `status` is the HTTP status, 0 where there was no answer; `causes` are fields and what is wrong with them.
    """

    def __init__(self, message: str, *, status: int = 0, causes: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.causes = causes


@dataclass(frozen=True)
class Resource:
    """A kind and where it lives."""

    prefix: str
    plural: str

    def path(self, namespace: str | None, name: str = "", sub: str = "") -> str:
        parts = [self.prefix]
        if namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, sub) if part]
        return "/".join(parts)


MODEL_DEPLOYMENTS = Resource("/apis/headgate.dev/v1alpha1", "modeldeployments")
SERVICES = Resource("/api/v1", "services")


class Cluster:
    """One API server as one context of a kubeconfig names it. Methods raise ClusterError."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    @classmethod
    def connect(cls, *, kubeconfig: Path | None = None, context: str | None = None) -> "Cluster":
        """Read the kubeconfig (`kubeconfig`, else $KUBECONFIG, else ~/.kube/config). Contacts nobody yet."""
        file = str(kubeconfig) if kubeconfig else None
        try:
            client = new_client_from_config(config_file=file, context=context)  # type: ignore[no-untyped-call]
            contexts, active = list_kube_config_contexts(config_file=file)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError, ValueError) as error:
            raise ClusterError(
                f"no usable kubeconfig: {str(error).rstrip('.')}. Set KUBECONFIG or say --kubeconfig FILE "
                "(without a cluster: headgate local up)"
            ) from None
        # A person waits: one attempt, and the error says the rest. The default is three with a warning for each.
        client.configuration.retries = False
        chosen = next((c for c in contexts if c["name"] == context), active) if context else active
        return cls(client, chosen["context"].get("namespace") or "default")

    def close(self) -> None:
        """End the connections that were kept alive."""
        pools = self._client.rest_client.pool_manager.pools
        for key in pools.keys():  # noqa: SIM118 - not a dict: it cannot be iterated over
            pools[key].close()  # clear() would leave that to the garbage collector

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        """None where the object does not exist."""
        try:
            return self._call("GET", resource.path(namespace, name))
        except ClusterError as error:
            if error.status == 404 and _names_an_object(error):
                return None
            raise

    def items(self, resource: Resource, namespace: str | None) -> list[Obj]:
        """All objects of a namespace, or of all namespaces where it is None."""
        items: list[Obj] = self._call("GET", resource.path(namespace)).get("items", [])
        return items

    def apply(self, resource: Resource, obj: Obj, *, manager: str) -> Obj:
        """Server-side apply without force."""
        meta = obj["metadata"]
        path = resource.path(meta["namespace"], meta["name"])
        return self._call("PATCH", path, body=obj, content_type=APPLY, query=[("fieldManager", manager)])

    def merge(self, resource: Resource, namespace: str, name: str, patch: Obj, *, manager: str) -> Obj:
        """Merge patch; metadata.resourceVersion in it makes it conditional (409 where it is stale)."""
        path = resource.path(namespace, name)
        return self._call("PATCH", path, body=patch, content_type=MERGE, query=[("fieldManager", manager)])

    def try_out(self, resource: Resource, namespace: str, obj: Obj) -> Obj:
        """Creates it in a dry run: every check of the server, and nothing is stored."""
        query = [("dryRun", "All"), ("fieldValidation", "Strict")]
        return self._call("POST", resource.path(namespace), body=obj, query=query)

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Obj | None = None,
        content_type: str = "application/json",
        query: list[tuple[str, str]] | None = None,
    ) -> Obj:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        request = self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=query or [],
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        host = self._client.configuration.host
        try:
            answer = self._client.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
            data = answer.read()  # type: ignore[no-untyped-call]
        except (HTTPError, OSError) as error:
            raise ClusterError(f"the cluster at {host} cannot be reached: {_reason(error)}") from None
        try:
            parsed: Obj = json.loads(data)
        except ValueError:
            parsed = {}
        if answer.status >= 400:
            raise ClusterError(_refusal(host, answer.status, parsed), status=answer.status, causes=_causes(parsed))
        if not isinstance(parsed, dict) or not parsed:
            raise ClusterError(f"the server at {host} does not answer as a Kubernetes API server")
        return parsed


NO_CRD = "this cluster does not know ModelDeployments; install the CRD: kubectl apply -f crds/"


def _refusal(host: str, status: int, body: Obj) -> str:
    message = body.get("message") or f"HTTP {status}"
    if status == 401:
        return f"the cluster at {host} does not accept these credentials: {message}"
    # A missing object is 404 with its name in details; a missing kind is 404 without.
    if status == 404 and not body.get("details", {}).get("name"):
        return NO_CRD
    return str(message)


def _causes(body: Obj) -> tuple[tuple[str, str], ...]:
    causes = (body.get("details") or {}).get("causes") or []
    return tuple((str(one.get("field") or ""), str(one.get("message") or "")) for one in causes)


def _names_an_object(error: ClusterError) -> bool:
    return str(error) != NO_CRD


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    return str(cause).split(": ", 1)[-1]
