"""The HTTPS front of the API server, for kubectl and for processes that speak Kubernetes over the network.

It only carries requests in and answers out: TLS with certificates made on first use, the bearer token, streaming of
watches and logs. Every rule lives in `ApiServer.handle`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import trustme
import uvicorn
import yaml

from headgate_local.access.defaults import default_objects
from headgate_local.access.users import ADMIN, User
from headgate_local.api import discovery, negotiation
from headgate_local.api.request import Request, Response
from headgate_local.api.server import ApiServer
from headgate_local.client import LocalClient
from headgate_local.errors import ApiError

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGEST_BODY = 3 * 1024 * 1024
OPEN_PATHS = (*discovery.HEALTH, "/version")
UNAUTHORIZED = ApiError(401, "Unauthorized", "Unauthorized")
TOO_LARGE = ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LARGEST_BODY}")


@dataclass(frozen=True)
class Served:
    """Where the server answers and what a client needs to reach it."""

    url: str
    port: int
    ca: Path
    token: Path
    kubeconfig: Path


class Front:
    """The ASGI application."""

    def __init__(self, api: ApiServer, token: str) -> None:
        self._api = api
        self._token = token
        self.closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        try:
            user = self._admit(scope["path"], headers)
            body = await _body(receive)
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
            answer = self._api.handle(Request(scope["method"], scope["path"], query, headers, body, user))
        except ApiError as error:
            answer = Response(error.status, error.body())
        if answer.watch is not None or answer.stream is not None:
            await self._stream(answer, receive, send)
        else:
            await _plain(answer, headers.get("accept", ""), send)

    def _admit(self, path: str, headers: dict[str, str]) -> User | None:
        """Whose token came with the request; nobody where none is needed."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not scheme and path.startswith(OPEN_PATHS):
            return None
        if scheme.lower() != "bearer":
            raise UNAUTHORIZED
        if secrets.compare_digest(token.strip().encode(), self._token.encode()):
            return ADMIN
        user = self._api.gate.tokens.user_of(token.strip())
        if user is None:
            raise UNAUTHORIZED
        return user

    async def _stream(self, answer: Response, receive: Receive, send: Send) -> None:
        """Sends chunks as they come, until the source ends, the client goes or the server stops."""
        kind = "application/json" if answer.watch is not None else "text/plain"
        headers = {"content-type": kind, "cache-control": "no-cache, private", **answer.headers}
        await send({"type": "http.response.start", "status": answer.status, "headers": _encoded(headers)})
        pump = asyncio.create_task(_pump(answer, send), name="stream")
        gone = asyncio.create_task(_disconnected(receive), name="client")
        stop = asyncio.create_task(self.closing.wait(), name="stop")
        try:
            await asyncio.wait((pump, gone, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pump, gone, stop):
                task.cancel()
            await asyncio.gather(pump, gone, stop, return_exceptions=True)
            if answer.watch is not None:
                answer.watch.close()
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _headers(scope: Scope) -> dict[str, str]:
    """By name; of one that is given several times, such as a group to speak for, all values on lines of their own."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        several = name in found and name.startswith("impersonate-")
        found[name] = f"{found[name]}\n{text}" if several else text
    return found


async def _pump(answer: Response, send: Send) -> None:
    # An empty first chunk sends the header at once: a client waits for it before it waits for events.
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    if answer.watch is not None:
        async for event in answer.watch:
            line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
    elif answer.stream is not None:
        async for chunk in answer.stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            raise TOO_LARGE
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _plain(answer: Response, accept: str, send: Send) -> None:
    headers = {"cache-control": "no-cache, private"}
    if isinstance(answer.body, str):
        headers["content-type"], body = "text/plain; charset=utf-8", answer.body.encode()
    elif _wants_yaml(accept):
        headers["content-type"], body = "application/yaml", yaml.safe_dump(answer.body, sort_keys=False).encode()
    else:
        headers["content-type"], body = "application/json", json.dumps(answer.body, separators=(",", ":")).encode()
    headers |= {**answer.headers, "content-length": str(len(body))}
    await send({"type": "http.response.start", "status": answer.status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": body})


def _wants_yaml(accept: str) -> bool:
    try:
        return negotiation.form_of(accept).media_type == "application/yaml"
    except ApiError:
        return False


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process around us decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(api: ApiServer, *, state: Path, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Served]:
    """Serves until the block is left. Certificates and token in `state` are used again, so kubeconfigs stay valid."""
    certificate, key, token = _prepared(state, host)
    front = Front(api, token)
    for obj in default_objects():
        LocalClient(api).create(obj)
    listener = socket.create_server((host, port), backlog=256)
    url = f"https://{host}:{listener.getsockname()[1]}"
    kubeconfig = _kubeconfig(state, url, token)
    config = uvicorn.Config(
        front, ssl_certfile=certificate, ssl_keyfile=key, log_level="warning", access_log=False, lifespan="off",
        timeout_graceful_shutdown=5, server_header=False,
    )  # fmt: skip
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="https")
    try:
        await _until_ready(server, task)
        yield Served(url, listener.getsockname()[1], state / "ca.crt", state / "token", kubeconfig)
    finally:
        front.closing.set()
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
        listener.close()


def _prepared(state: Path, host: str) -> tuple[Path, Path, str]:
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return *_certificates(state, host), _token(state)


async def _until_ready(server: _Server, task: asyncio.Task[None]) -> None:
    """Returns once requests are answered; uvicorn's own failure to start is raised as it is."""
    ready = asyncio.create_task(server.ready.wait(), name="ready")
    await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if task.done():
        task.result()


def _certificates(state: Path, host: str) -> tuple[Path, Path]:
    ca_file, certificate, key = (state / name for name in ("ca.crt", "server.crt", "server.key"))
    if not (ca_file.exists() and certificate.exists() and key.exists()):
        authority = trustme.CA(organization_name="Headgate local plane")
        issued = authority.issue_cert(host, "localhost", "127.0.0.1", "kubernetes.default.svc")
        ca_file.write_bytes(authority.cert_pem.bytes())
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        _private(key, issued.private_key_pem.bytes())
    return certificate, key


def _token(state: Path) -> str:
    path = state / "token"
    if not path.exists():
        _private(path, secrets.token_urlsafe(32).encode())
    return path.read_text(encoding="utf-8").strip()


def _kubeconfig(state: Path, url: str, token: str) -> Path:
    name = "headgate-local"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority": str(state / "ca.crt")}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
    }
    path = state / "kubeconfig"
    _private(path, yaml.safe_dump(config, sort_keys=False).encode())
    return path


def _private(path: Path, content: bytes) -> None:
    """Never readable by others, not even for the moment between writing and chmod."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
