"""The few MLflow REST calls that loading needs, and what their failures mean.

Failures are told apart by MLflow's `error_code`, not by the status alone; bodies of 401 and 403 are not JSON and are
never parsed. Nothing of a body reaches a message: it may come from somewhere else than MLflow.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp

from headgate_server.reasons import LoadError, Reason
from headgate_server.registry.credentials import Credentials
from headgate_server.settings import Reference

API: Final = "/api/2.0/mlflow"
ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
HOST_REJECTED: Final = "Invalid Host header"
FIRST_BYTE_FACTOR: Final = 12  # a proxy over an object store stages the whole file before its first byte


@dataclass(frozen=True)
class Registered:
    """A version as the registry tells it; the fields that make it the same version tomorrow."""

    name: str
    version: str
    source: str
    created: int
    run_id: str


@dataclass(frozen=True)
class Body:
    """A file under way: its bytes from `offset` on, and what names its content, where the server says so."""

    stream: aiohttp.StreamReader
    offset: int
    etag: str


class Missing(Exception):  # noqa: N818 - the caller says what the absence means
    """RESOURCE_DOES_NOT_EXIST."""


@asynccontextmanager
async def connected(uri: str, credentials: Credentials, timeout: float, limit: int) -> AsyncIterator["Rest"]:
    """With at most so many connections at a time."""
    # Fresh ones: MLflow with several workers answers a kept-alive one only after 44 ms.
    connector = aiohttp.TCPConnector(force_close=True, limit=limit)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield Rest(session, uri, credentials, timeout)


class Rest:
    """GET calls to one MLflow server."""

    def __init__(self, session: aiohttp.ClientSession, uri: str, credentials: Credentials, timeout: float) -> None:
        self._session = session
        self._uri = uri
        self._credentials = credentials
        self._timeout = timeout

    async def resolved(self, reference: Reference) -> Registered:
        """The version that a reference names at this moment, or ModelNotFound."""
        return await self.version(reference.name, reference.version or await self._moving(reference))

    async def _moving(self, reference: Reference) -> str:
        """The version under an alias, or the newest one of a stage."""
        name = reference.name
        try:
            # The call for an alias tells an unset one as a bad parameter; this one tells aliases and stages alike.
            answer = await self._json(f"{API}/registered-models/get", {"name": name})
            model = answer["registered_model"]
            aliases = {entry["alias"]: entry["version"] for entry in model.get("aliases", [])}
            stages = {entry["current_stage"].lower(): entry["version"] for entry in model.get("latest_versions", [])}
        except Missing:
            raise LoadError(Reason.MODEL_NOT_FOUND, f"the registry has no model {name}") from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise not_mlflow() from None
        if reference.alias and reference.alias not in aliases:
            raise LoadError(Reason.MODEL_NOT_FOUND, f"{name} has no alias {reference.alias}")
        if reference.stage and reference.stage.lower() not in stages:
            raise LoadError(Reason.MODEL_NOT_FOUND, f"{name} has no version in the stage {reference.stage}")
        return str(aliases[reference.alias] if reference.alias else stages[reference.stage.lower()])

    async def version(self, name: str, version: str) -> Registered:
        """The registered version, or ModelNotFound."""
        try:
            answer = await self._json(f"{API}/model-versions/get", {"name": name, "version": version})
            found = answer["model_version"]
            return Registered(
                name=str(found["name"]),
                version=str(found["version"]),
                source=str(found.get("source") or ""),
                created=int(found.get("creation_timestamp") or 0),
                run_id=str(found.get("run_id") or ""),
            )
        except Missing:
            raise LoadError(Reason.MODEL_NOT_FOUND, f"the registry has no version {version} of {name}") from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise not_mlflow() from None

    async def download_uri(self, name: str, version: str) -> str:
        try:
            answer = await self._json(f"{API}/model-versions/get-download-uri", {"name": name, "version": version})
        except Missing:
            raise LoadError(Reason.MODEL_NOT_FOUND, f"the registry has no version {version} of {name}") from None
        uri = answer.get("artifact_uri")
        if not isinstance(uri, str) or not uri:
            raise not_mlflow()
        return uri

    async def run_artifact_uri(self, run_id: str) -> str:
        try:
            answer = await self._json(f"{API}/runs/get", {"run_id": run_id})
            return str(answer["run"]["info"]["artifact_uri"])
        except Missing:
            raise LoadError(Reason.ARTIFACT_MISSING, "the run that holds the model is gone") from None
        except (KeyError, TypeError):
            raise not_mlflow() from None

    async def listing(self, path: str) -> list[Mapping[str, Any]]:
        """One level of the artifact tree; a missing path is an empty listing."""
        try:
            answer = await self._json(ARTIFACTS, {"path": path})
        except Missing:
            return []
        files = answer.get("files", [])
        if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
            raise not_mlflow()
        return files

    @asynccontextmanager
    async def file(self, path: str, offset: int = 0, etag: str = "") -> AsyncIterator[Body]:
        """The bytes of one artifact, as they come; from `offset` on if it still is the file of that ETag."""
        wanted = {"Range": f"bytes={offset}-", "If-Range": etag} if offset and etag else {}
        async with self._get(f"{ARTIFACTS}/{quote(path)}", {}, FIRST_BYTE_FACTOR, wanted) as response:
            if response.status == 206 and wanted:
                if not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                    raise not_mlflow()
                yield Body(response.content, offset, etag)
                return
            await _raise_for(response)
            yield Body(response.content, 0, response.headers.get("ETag", ""))

    async def _json(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        async with self._get(path, query, 1) as response:
            await _raise_for(response)
            body = await response.read()
        try:
            answer = json.loads(body)
        except ValueError:
            raise not_mlflow() from None
        if not isinstance(answer, dict):
            raise not_mlflow()
        return answer

    @asynccontextmanager
    async def _get(
        self, path: str, query: Mapping[str, str], patience: int, wanted: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = dict(wanted)
        if self._credentials.authorization:
            headers["Authorization"] = self._credentials.authorization
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=self._timeout * patience)
        tls: Any = self._credentials.tls or True
        try:
            async with self._session.get(
                self._uri + path,
                params=query,
                headers=headers,
                timeout=timeout,
                ssl=tls,
                # A redirect is never followed with our credentials, and MLflow's own calls make none.
                allow_redirects=False,
            ) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error, aiohttp.ClientPayloadError):
                raise LoadError(Reason.ARTIFACT_TRUNCATED, "the connection ended in the middle of a file") from None
            host = urlsplit(self._uri).netloc.rpartition("@")[2]
            raise LoadError(Reason.REGISTRY_UNREACHABLE, f"{host}: {_cause(error)}") from None


async def _raise_for(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    body = await response.content.read(64 << 10)
    if status == 401:
        raise LoadError(Reason.REGISTRY_UNAUTHORIZED, "the registry wants credentials, or other ones (401)")
    if status == 403:
        if HOST_REJECTED.encode() in body:
            message = f"{HOST_REJECTED}: add {response.url.authority} to --allowed-hosts of the MLflow server"
            raise LoadError(Reason.REGISTRY_HOST_REJECTED, message)
        raise LoadError(Reason.REGISTRY_UNAUTHORIZED, "the registry does not permit reading this model (403)")
    code = _error_code(body)
    # INVALID_PARAMETER_VALUE: a name or version that MLflow could not even have.
    if code == "RESOURCE_DOES_NOT_EXIST" or (status == 400 and code == "INVALID_PARAMETER_VALUE"):
        raise Missing
    detail = f"{status} {code}".strip()
    raise LoadError(Reason.REGISTRY_UNREACHABLE, f"the registry answered {detail} to {response.url.path}")


def _error_code(body: bytes) -> str:
    try:
        code = json.loads(body).get("error_code", "")
    except (ValueError, AttributeError):
        return ""
    return code if isinstance(code, str) and code.replace("_", "").isalnum() and len(code) < 64 else ""


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name does not resolve"
    return type(error).__name__


def not_mlflow() -> LoadError:
    return LoadError(Reason.REGISTRY_UNREACHABLE, "the answer is not MLflow's")
