"""Credentials for the registry from a mounted folder: username and password, or a token, and a CA.

Read when a connection is made, not kept: a rotated Secret works at the next try.
"""

import base64
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from headgate_server.reasons import LoadError, Reason


@dataclass(frozen=True)
class Credentials:
    """What to send and whom to trust; never printed."""

    authorization: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None


def read(folder: Path | None) -> Credentials:
    """The credentials in `folder`; a folder that is named and is not there is trouble someone can mend."""
    if folder is None:
        return Credentials()
    if not folder.is_dir():
        raise LoadError(Reason.REGISTRY_UNAUTHORIZED, "the folder of registry credentials is not there")
    token, username = _text(folder / "token"), _text(folder / "username")
    authorization = ""
    if token:
        authorization = f"Bearer {token}"
    elif username:
        pair = f"{username}:{_text(folder / 'password')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Credentials(authorization, _tls(folder / "ca.crt"))


def _text(path: Path) -> str:
    # Secrets made with `echo` end in a newline, which is never part of the word.
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _tls(path: Path) -> ssl.SSLContext | None:
    if not path.is_file():
        return None
    try:
        return ssl.create_default_context(cafile=str(path))
    except (ssl.SSLError, OSError):
        raise LoadError(Reason.REGISTRY_UNAUTHORIZED, "ca.crt is not a certificate") from None
