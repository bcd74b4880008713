"""One registry over HTTP: the few read calls we make, and what each kind of bad answer means.

Errors are told by MLflow's `error_code`, not by the status; bodies of 401, 403 and of proxies are not JSON and are
never parsed blindly nor repeated in a message, since messages end up in a tenant's status. No redirects are followed:
they lead to addresses that nobody allowed.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp

from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Unresolved
from headgate_operator.egress import GuardedResolver
from headgate_operator.registry.credentials import Credentials

API = "/api/2.0/mlflow/"
TIMEOUT = aiohttp.ClientTimeout(total=20, connect=5)
LARGEST = 8 * 1024 * 1024  # it is parsed between two renewals of the lease
REJECTED_HOST = "Invalid Host header"


class RegistryError(Exception):
    """No usable answer; `answer` says why in the words of the API."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.answer = Unresolved(reason, message)


class NotFoundError(Exception):
    """The registry says for certain that there is no such model, version or file."""


class Rest:
    """`guarded` = refuse names that resolve to this machine (every registry but the operator's own)."""

    def __init__(self, uri: str, *, guarded: bool) -> None:
        self.uri = uri
        self._guarded = guarded
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, path: str, query: Mapping[str, str], credentials: Credentials) -> dict[str, Any]:
        """A JSON answer of the API."""
        raw = await self._get(f"{API}{path}", query, credentials, largest=LARGEST)
        try:
            parsed = json.loads(raw)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise self._unreachable("answers, but not as an MLflow registry")
        return parsed

    async def artifact(self, name: str, version: str, path: str, credentials: Credentials, *, largest: int) -> bytes:
        """A file of a model version, whatever store it lies in. The route is the UI's: not under /api."""
        query = {"name": name, "version": version, "path": path}
        return await self._get("/model-versions/get-artifact", query, credentials, largest=largest)

    async def _get(self, path: str, query: Mapping[str, str], credentials: Credentials, *, largest: int) -> bytes:
        authorization = credentials.authorization
        headers = {"Accept": "application/json"} | ({"Authorization": authorization} if authorization else {})
        try:
            async with self._open().get(
                f"{self.uri}{path}?{urlencode(query)}",
                headers=headers,
                ssl=credentials.tls(),
                allow_redirects=False,
            ) as response:
                body = await response.content.read(largest + 1)
                while len(body) <= largest and (more := await response.content.read(largest + 1 - len(body))):
                    body += more
        except TimeoutError:
            raise self._unreachable("does not answer in time") from None
        except aiohttp.ClientSSLError:
            raise self._unreachable("shows a certificate that is not trusted (ca.crt)") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(_plainly(error)) from None
        if response.status == 200 and len(body) <= largest:
            return body
        raise self._failure(response.status, body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Kept-alive connections to `mlflow server` with several workers cost 44 ms an answer, fresh ones 5.
            connector = aiohttp.TCPConnector(
                limit=4, force_close=True, resolver=GuardedResolver() if self._guarded else None
            )
            self._session = aiohttp.ClientSession(
                connector=connector, trust_env=False, timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    def _failure(self, status: int, body: bytes) -> Exception:
        code = _error_code(body)
        if code == "RESOURCE_DOES_NOT_EXIST":
            return NotFoundError()
        if status == 403 and body.decode("utf-8", "replace").startswith(REJECTED_HOST):
            message = f"{self.uri} refuses our Host header: add its host name to MLflow's --allowed-hosts"
            return RegistryError(Reason.REGISTRY_HOST_REJECTED, message)
        if status in {401, 403} or code in {"UNAUTHENTICATED", "PERMISSION_DENIED"}:
            what = "wants other credentials" if status == 401 else "denies permission"
            return RegistryError(Reason.REGISTRY_UNAUTHORIZED, f"{self.uri} {what} (HTTP {status})")
        if 300 <= status < 400:
            return self._unreachable(f"redirects (HTTP {status}), which is not followed")
        if status == 200:
            return self._unreachable("answers more than is sensible")
        return self._unreachable(f"answers HTTP {status}")

    def _unreachable(self, what: str) -> RegistryError:
        return RegistryError(Reason.REGISTRY_UNREACHABLE, f"{self.uri} {what}")


def _error_code(body: bytes) -> str:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(parsed.get("error_code", "")) if isinstance(parsed, dict) else ""


def _plainly(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "has a host name that cannot be resolved, or not to an address that is allowed"
        case aiohttp.ClientConnectorError():
            return "does not accept connections"
        case _:
            return "breaks off in mid answer"
