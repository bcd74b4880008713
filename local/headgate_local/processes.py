"""Finding and ending the plane's processes from outside, without ever touching somebody else's.

A pid file alone may name a recycled pid, so it carries the process's start time; and every process of a pod carries a
mark in its environment, which also finds what a killed plane or a pod's own children left behind.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARKER = "HEADGATE_LOCAL_PLANE"
POD_MARKER = "HEADGATE_LOCAL_POD"
_START_TIME_FIELD = 19  # of /proc/<pid>/stat, counted after the command name
_STATE_FIELD = 0


@dataclass(frozen=True)
class ProcessId:
    pid: int
    started: int


def identify(pid: int) -> ProcessId | None:
    """The process as pid and kernel start time; None when there is none, or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    if fields[_STATE_FIELD] in ("Z", "X"):
        return None
    return ProcessId(pid, int(fields[_START_TIME_FIELD]))


def write_pid_file(path: Path, pid: int) -> None:
    found = identify(pid)
    if found:
        path.write_text(f"{found.pid} {found.started}\n")


def read_pid_file(path: Path) -> ProcessId | None:
    """The process the file speaks of, if it is still that one."""
    try:
        pid, started = (int(word) for word in path.read_text().split())
    except (OSError, ValueError):
        return None
    found = identify(pid)
    return found if found == ProcessId(pid, started) else None


def marked(state: Path, *, pods_only: bool = False) -> list[ProcessId]:
    """Every process that carries the mark of this state folder: its pods', and what a demo started beside them."""
    mark, pod_mark = f"{MARKER}={state}".encode(), f"{POD_MARKER}=".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue
            variables = environ.split(b"\0")
            if mark in variables and (not pods_only or any(v.startswith(pod_mark) for v in variables)):
                process = identify(int(entry.name))
                if process:
                    found.append(process)
    return found


def send(process: ProcessId, number: int) -> None:
    """Signal exactly this process: the pidfd is checked against the start time, so a recycled pid is safe."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        if identify(process.pid) == process:
            with suppress(OSError):
                signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)


def wait_gone(
    processes: Iterable[ProcessId], seconds: float, *, sleep: Callable[[float], None] = time.sleep
) -> list[ProcessId]:
    """Wait for these to end; returns those that have not."""
    left = list(processes)
    deadline = time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        sleep(0.02)
        left = [process for process in left if identify(process.pid) == process]
    return left
