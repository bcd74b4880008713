"""The door between the kubelet and whatever runs a container: real processes, or a script in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class PodRef:
    namespace: str
    name: str
    uid: str
    ip: str


@dataclass(frozen=True)
class Launch:
    """One attempt to run one container, with everything resolved."""

    pod: PodRef
    container: str
    attempt: int
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: Mapping[str, str]
    labels: Mapping[str, str]
    working_dir: str | None = None
    # A probe's or volume's path inside the container -> where it really is.
    mounts: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Exit:
    code: int
    signal: int = 0
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class HttpGet:
    host: str
    port: int
    path: str
    scheme: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TcpSocket:
    host: str
    port: int


@dataclass(frozen=True)
class Exec:
    command: tuple[str, ...]


Check = HttpGet | TcpSocket | Exec


@dataclass(frozen=True)
class ProbeOutcome:
    success: bool
    message: str = ""


class ImageUnavailableError(Exception):
    """No command is known for an image: what a registry's "not found" is to a real node."""


class StartFailedError(Exception):
    """The process could not be started at all."""


class LogsUnavailableError(Exception):
    """There is no such log (no attempt of this container yet, or no previous one)."""


@dataclass(frozen=True)
class LogOptions:
    follow: bool = False
    previous: bool = False
    tail: int | None = None
    limit_bytes: int | None = None


class Runtime(Protocol):
    def on_exit(self, callback: Callable[[str, Exit], None]) -> None:
        """Call back with container id and exit, once for every started container."""

    def pull(self, image: str) -> None:
        """Raise ImageUnavailableError when this image cannot be run."""

    def materialise(self, pod: PodRef, volumes: Mapping[str, Mapping[str, bytes] | None]) -> Mapping[str, str]:
        """Put volumes (None = an empty folder) where the pod's processes can read them; volume -> real path."""

    def start(self, launch: Launch) -> str:
        """Start and return the container id; raises StartFailedError."""

    def signal(self, container_id: str, *, kill: bool) -> None:
        """SIGTERM, or SIGKILL; a container that has ended is left alone."""

    async def probe(self, container_id: str, check: Check, timeout: float) -> ProbeOutcome: ...

    def logs(self, pod: PodRef, container: str, attempt: int, options: LogOptions) -> AsyncIterator[bytes]:
        """Raises LogsUnavailableError before the first chunk."""

    def remove(self, pod: PodRef) -> None:
        """The pod is gone: drop its folder."""

    async def close(self) -> None:
        """End every container that is left."""
