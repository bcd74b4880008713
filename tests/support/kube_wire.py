"""A thin HTTP client for the Kubernetes API.

The conformance suite asserts status codes, headers and bodies as they are on the wire, so nothing here interprets an
answer: no retries, no exceptions for statuses, no typed objects.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests
import yaml

JSON = "application/json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
MANAGER = "conformance"
DEADLINE = 30.0

Obj = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Cluster:
    """How to reach an API server, as its kubeconfig says."""

    kubeconfig: Path
    server: str
    ca: Path
    token: str | None
    certificate: tuple[str, str] | None
    embedded: bool


def read_kubeconfig(path: Path, scratch: Path, *, embedded: bool = False) -> Cluster:
    """`scratch` takes the certificates that the file holds inline: the TLS library wants them as files."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    context = _named(config["contexts"], config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"]

    def material(owner: Mapping[str, str], field: str) -> Path | None:
        if inline := owner.get(f"{field}-data"):
            target = scratch / f"{field}.pem"
            target.write_bytes(base64.b64decode(inline))
            target.chmod(0o600)
            return target
        return path.parent / owner[field] if field in owner else None

    token = user.get("token")
    if "tokenFile" in user:
        token = (path.parent / user["tokenFile"]).read_text(encoding="utf-8").strip()
    certificate, key = material(user, "client-certificate"), material(user, "client-key")
    ca = material(cluster, "certificate-authority")
    assert ca is not None, "the kubeconfig names no certificate authority"
    pair = (str(certificate), str(key)) if certificate and key else None
    return Cluster(path, cluster["server"], ca, token, pair, embedded)


def _named(entries: list[Obj], name: str) -> Obj:
    return next(entry for entry in entries if entry["name"] == name)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def causes(self) -> list[Obj]:
        return list(self.body.get("details", {}).get("causes", []))

    @property
    def fields(self) -> set[str]:
        """The fields that the causes of a refusal name. A real server adds a cause without a field which only says
        that the CEL rules of an object with schema errors were not looked at; one that looks anyway is as good."""
        unchecked = "some validation rules were not checked"
        return {cause["field"] for cause in self.causes if unchecked not in cause["message"]}


class Wire:
    def __init__(self, cluster: Cluster, *, anonymous: bool = False, token: str | None = None) -> None:
        self._server = cluster.server
        self._session = requests.Session()
        # Proxy settings and ~/.netrc of the machine must not reach a test.
        self._session.trust_env = False
        self._session.verify = str(cluster.ca)
        if anonymous:
            return
        bearer = token or cluster.token
        if bearer:
            self._session.headers["Authorization"] = f"Bearer {bearer}"
        if token is None and cluster.certificate:
            self._session.cert = cluster.certificate

    def close(self) -> None:
        self._session.close()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = JSON,
        accept: str = JSON,
        headers: Mapping[str, str] | None = None,
        **query: str | int | bool,
    ) -> Answer:
        # Compact and sorted, because a real server compares the data of a ControllerRevision byte by byte.
        ready = body is None or isinstance(body, bytes)
        data = body if ready else json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
        sent = {"Accept": accept, **({"Content-Type": content_type} if data is not None else {}), **(headers or {})}
        response = self._session.request(
            method, self._server + path, data=data, headers=sent, params=_texts(query), timeout=DEADLINE
        )
        is_json = response.headers.get("Content-Type", "").startswith(JSON)
        if query.get("watch") and response.ok:
            is_json = False  # an event a line, and nobody knows how many
        return Answer(response.status_code, response.headers, response.json() if is_json else response.text)

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> Answer:
        return self.request("POST", path, body, **options)

    def put(self, path: str, body: Any, **options: Any) -> Answer:
        return self.request("PUT", path, body, **options)

    def delete(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.request("DELETE", path, body, **options)

    def patch(self, path: str, body: Any, content_type: str = MERGE, **options: Any) -> Answer:
        return self.request("PATCH", path, body, content_type=content_type, **options)

    def apply(self, path: str, body: Any, *, manager: str = MANAGER, **options: Any) -> Answer:
        return self.request("PATCH", path, body, content_type=APPLY, fieldManager=manager, **options)

    def create(self, path: str, body: Obj) -> Obj:
        """A create that a check only builds on."""
        answer = self.post(path, body)
        assert answer.status == 201, answer.body
        return dict(answer.body)

    def read(self, path: str) -> Obj:
        answer = self.get(path)
        assert answer.status == 200, answer.body
        return dict(answer.body)

    @contextlib.contextmanager
    def watch(self, path: str, *, accept: str = JSON, **query: str | int | bool) -> Iterator[Iterator[Obj]]:
        """The events of a watch. `timeoutSeconds` ends a watch that a failing check would wait on for ever."""
        params = _texts({"watch": True, "timeoutSeconds": 10, **query})
        response = self._session.get(
            self._server + path, params=params, headers={"Accept": accept}, stream=True, timeout=DEADLINE
        )
        try:
            assert response.status_code == 200, response.text
            yield (json.loads(line) for line in response.iter_lines())
        finally:
            response.close()


def _texts(query: Mapping[str, str | int | bool]) -> dict[str, str]:
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in query.items()}


def eventually(look: Callable[[], T | None], what: str, deadline: float = DEADLINE) -> T:
    """The first truthy answer of `look`; controllers act when they get to it, so there is no event to wait on."""
    end = time.monotonic() + deadline
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"not within {deadline:.0f} s: {what}"
        time.sleep(0.05)
