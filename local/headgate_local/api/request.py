"""What goes into the API server and what comes out: plain values, so that no transport is needed to use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate_local.access.users import User
from headgate_local.api.watching import Watch


@dataclass(frozen=True)
class Request:
    """A request; header names are in lower case, the path starts with a slash and is already unquoted."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    # Who asks; nobody where one of the plane's own parts does.
    user: User | None = None

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def user_agent(self) -> str:
        return self.headers.get("user-agent", "")

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("true", "1")


@dataclass(frozen=True)
class Response:
    """An answer: `body` is JSON data or text; a stream instead comes as `watch` (events) or `stream` (bytes)."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    watch: Watch | None = None
    stream: AsyncIterator[bytes] | None = None
