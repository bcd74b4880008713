"""Child processes of the demonstration: started with a log each, ended for certain, whatever happens."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

GRACE_SECONDS = 10.0


class ChildError(Exception):
    """A child process did not do what it was started for; the message holds the end of its log."""


class Child:
    """One long-running process in a process group of its own."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as sink:
            self._process = subprocess.Popen(  # noqa: S603 - our own command lines
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raise ChildError if the process has ended."""
        if self._process.poll() is not None:
            raise ChildError(f"{self.name} ended with code {self._process.returncode}:\n{tail(self.log)}")

    def kill(self) -> None:
        """End it as a crash would (SIGKILL), and wait for it."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end, wait, and insist after GRACE_SECONDS. Does nothing to a process that has ended."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._runs() and time.monotonic() < deadline:
            time.sleep(0.05)
        # Whatever it started in its own group goes too: MLflow's workers outlive their parent otherwise.
        self._signal(signal.SIGKILL)
        while self._others_in_group() and time.monotonic() < deadline + GRACE_SECONDS:
            time.sleep(0.02)
        self._process.wait()

    def _others_in_group(self) -> list[int]:
        """Processes that are still there besides the one that was started; the kernel needs a moment for each."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self._process.pid:
                with contextlib.suppress(OSError):
                    # After the command's name: state, parent, group.
                    state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                    if int(group) == self._process.pid and state != "Z":
                        found.append(int(entry.name))
        return found

    def _runs(self) -> bool:
        # WNOWAIT leaves the ended process in place: its pid, and so the group's name, cannot be somebody else's yet.
        if self._process.returncode is not None:
            return False
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def _signal(self, number: int) -> None:
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def run(name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, timeout: float) -> str:
    """Run a command to its end and return its standard output. Raises ChildError on failure or after `timeout` s."""
    with log.open("ab") as sink:
        try:
            done = subprocess.run(  # noqa: S603 - our own command lines
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sink,
                env={**os.environ, **(env or {})},
                timeout=timeout,
                check=False,
                text=True,
            )
        except subprocess.TimeoutExpired:
            raise ChildError(f"{name} took longer than {timeout:.0f} s:\n{tail(log)}") from None
        sink.write(done.stdout.encode())
    if done.returncode != 0:
        raise ChildError(f"{name} ended with code {done.returncode}:\n{tail(log)}")
    return done.stdout


def wait_until(ready: Callable[[], bool], child: Child, *, timeout: float) -> None:
    """Wait until `ready()`; raises ChildError if the child ends before or `timeout` seconds pass."""
    deadline = time.monotonic() + timeout
    while not ready():
        child.check()
        if time.monotonic() > deadline:
            raise ChildError(f"{child.name} was not ready within {timeout:.0f} s:\n{tail(child.log)}")
        time.sleep(0.1)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
