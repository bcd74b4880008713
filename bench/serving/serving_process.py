"""One server as processes on core 0: started, asked, paused while others are measured, weighed and ended.

A paused server (SIGSTOP) takes no part of the core, so all of them can stay up between the rounds.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from serving_contenders import Command

SERVER_CORE, LOAD_CORE = 0, 1
START_SECONDS, END_SECONDS, SETTLE_SECONDS = 120.0, 15.0, 90.0
LOOK_SECONDS = 0.01
# One core: a library that takes more threads than that only gets in its own way.
ALIKE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class ServerFailed(Exception):  # noqa: N818 - the text of what went wrong
    pass


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes


class Server:
    def __init__(
        self, name: str, command: Command, log: Path, path: Path, port: int, core: int | None = SERVER_CORE
    ) -> None:
        self.name, self.port, self._log = name, port, log
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HEADGATE_")}
        environment = inherited | ALIKE | {"PATH": f"{path}:{os.environ['PATH']}"} | dict(command.environment)
        pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
        self._began = time.monotonic()
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [*pinned, *command.argv],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                start_new_session=True,
            )

    def wait_ready(self, path: str, port: int) -> float:
        """Seconds from the start of the process to the first 200."""
        while time.monotonic() - self._began < START_SECONDS:
            if self._process.poll() is not None:
                raise ServerFailed(f"it ended with {self._process.returncode} while starting: {self.said()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if ask(port, "GET", path).status == 200:
                    return time.monotonic() - self._began
            time.sleep(LOOK_SECONDS)
        raise ServerFailed(f"it was not ready within {START_SECONDS:g} s: {self.said()}")

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(encoding="utf-8", errors="replace").strip()[-600:]

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process.poll() is not None:
            raise ServerFailed(f"it has ended with {self._process.returncode}: {self.said()}")
        self._signal(signal.SIGCONT)

    def settle(self) -> None:
        """Until it does nothing any more: what wrk has left behind must not be paid for in the next run."""
        until = time.monotonic() + SETTLE_SECONDS
        last = self._ticks()
        while time.monotonic() < until:
            time.sleep(0.1)
            now = self._ticks()
            if now - last <= 1:
                return
            last = now

    def weight(self) -> tuple[float, float]:
        """RSS and PSS of all its processes, in MiB."""
        resident = shared = 0
        for pid in self._members():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
                    word, _, rest = line.partition(":")
                    if word == "Rss":
                        resident += int(rest.split()[0])
                    elif word == "Pss":
                        shared += int(rest.split()[0])
        return resident / 1024, shared / 1024

    def end(self) -> None:
        """It, and all that it has started: nothing of it may run beside the next."""
        self._signal(signal.SIGCONT)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        until = time.monotonic() + END_SECONDS
        while self._members() and time.monotonic() < until:
            self._signal(signal.SIGKILL)
            time.sleep(LOOK_SECONDS)
        self._process.wait()

    def _signal(self, which: signal.Signals) -> None:
        for pid in self._members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)

    def _members(self) -> list[int]:
        return [pid for pid, session, _ in _processes() if session == self._process.pid]

    def _ticks(self) -> int:
        return sum(ticks for _, session, ticks in _processes() if session == self._process.pid)


def _processes() -> Iterator[tuple[int, int, int]]:
    """Of every process that has not ended: id, session, clock ticks used."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name may hold spaces and brackets; what follows its last bracket does not.
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                if fields[0] not in "XZ":
                    yield int(entry.name), int(fields[3]), int(fields[11]) + int(fields[12])


def ask(port: int, method: str, path: str, body: bytes = b"", patience: float = 60.0) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    headers: Mapping[str, str] = {"Content-Type": "application/json"} if body else {}
    try:
        connection.request(method, path, body or None, headers=dict(headers))
        answer = connection.getresponse()
        return Reply(answer.status, answer.read())
    finally:
        connection.close()


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
