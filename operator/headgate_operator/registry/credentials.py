"""Who we are to a registry. A folder for the operator's own registry, a labelled Secret for a tenant's.

The folder's files and a Secret's keys are the same: username and password, or token, and ca.crt for a private CA. They
are read anew, so that rotated credentials need no restart. Credentials never go to an address other than the one they
were given for.
"""

import base64
import binascii
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from headgate_operator import contract
from headgate_operator.ports import KubeError, Obj

FIELDS = ("username", "password", "token", "ca.crt")

ReadSecret = Callable[[str, str], Awaitable[Obj | None]]


class SecretNotUsableError(Exception):
    """The message is for the person who wrote the ModelDeployment; it never holds a value."""


@dataclass(frozen=True, repr=False)
class Credentials:
    username: str = ""
    password: str = ""
    token: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        return "Credentials(...)"  # must not be printed by accident

    @property
    def authorization(self) -> str | None:
        if self.token:
            return f"Bearer {self.token}"
        if self.username:
            return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return None

    def tls(self) -> ssl.SSLContext | bool:
        """True = the public authorities. ssl.SSLError where ca.crt is no certificate."""
        return _context(self.ca) if self.ca else True


@lru_cache(maxsize=32)
def _context(ca: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca)


class Folder:
    """The operator's own credentials; None = the registry wants none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self) -> Credentials:
        if self._path is None:
            return Credentials()
        found = {name: _text(self._path / name) for name in FIELDS}
        return _of(found)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _of(found: dict[str, str]) -> Credentials:
    return Credentials(found["username"], found["password"], found["token"], found["ca.crt"])


async def from_secret(read: ReadSecret, namespace: str, name: str) -> Credentials:
    """Read by name, never listed. Only a Secret that says it is meant for this."""
    try:
        secret = await read(namespace, name)
    except KubeError as error:
        raise SecretNotUsableError(f"Secret {name} could not be read: {error}") from error
    if secret is None:
        raise SecretNotUsableError(f"Secret {name} does not exist in namespace {namespace}")
    labels = (secret.get("metadata") or {}).get("labels") or {}
    if labels.get(contract.LABEL_USE) != contract.USE_REGISTRY:
        raise SecretNotUsableError(f"Secret {name} lacks the label {contract.LABEL_USE}: {contract.USE_REGISTRY}")
    values = secret.get("data") or {}
    try:
        found = {key: base64.b64decode(values.get(key) or "", validate=True).decode().strip() for key in FIELDS}
    except (binascii.Error, UnicodeDecodeError):
        raise SecretNotUsableError(f"Secret {name} holds something that is not text") from None
    if not any(found.values()):
        raise SecretNotUsableError(f"Secret {name} has none of the keys {', '.join(FIELDS)}")
    return _of(found)
