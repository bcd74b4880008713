"""The folder in which one plane keeps what must be found from outside: kubeconfig, pid file, logs, pods' folders."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from headgate_local.processes import ProcessId, marked, read_pid_file

ENVIRONMENT = "HEADGATE_LOCAL_STATE"


def default_state() -> Path:
    given = os.environ.get(ENVIRONMENT)
    if given:
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "headgate-local"


@dataclass(frozen=True)
class StateFolder:
    path: Path

    @classmethod
    def at(cls, path: Path) -> StateFolder:
        # One spelling of the path: it is also the mark by which the plane's processes are found again.
        return cls(path.expanduser().resolve())

    @property
    def pid_file(self) -> Path:
        return self.path / "plane.pid"

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def log(self) -> Path:
        return self.path / "logs" / "plane.log"

    @property
    def progress(self) -> Path:
        """What `up` shows while it waits: lines, the last of them `ready` or `failed: why`."""
        return self.path / "progress"

    def plane(self) -> ProcessId | None:
        """The running plane of this folder."""
        return read_pid_file(self.pid_file)

    def others(self, *, pods_only: bool = False) -> list[ProcessId]:
        """Processes that belong to this folder beside the plane itself: its pods', or a demo's too."""
        plane = self.plane()
        return [process for process in marked(self.path, pods_only=pods_only) if process != plane]

    def prepare(self) -> None:
        """A fresh folder: what an earlier plane left has no meaning, since its objects died with it."""
        self.clear()
        self.path.mkdir(parents=True, exist_ok=True)
        # It holds a token for full access to the plane, and pods' secrets.
        self.path.chmod(0o700)
        self.log.parent.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        # Only what a plane wrote: a demo keeps its own logs beside ours.
        shutil.rmtree(self.path / "pods", ignore_errors=True)
        for folder in self.log.parent.glob("*_*_*/"):
            shutil.rmtree(folder, ignore_errors=True)
        for path in (self.log, self.progress, self.kubeconfig, self.pid_file):
            path.unlink(missing_ok=True)
