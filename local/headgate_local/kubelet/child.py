"""One child process in a session of its own, watched by a pidfd: no threads, no SIGCHLD handler, no polling."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from headgate_local.kubelet.runtime import Exit


class Child:
    """The whole process group ends with its first process, as a container does."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        output: IO[bytes] | int,
        ended: Callable[[Exit], None],
    ) -> None:
        # setpriv asks the kernel for SIGKILL when the plane dies, without a fork hook that threads could deadlock.
        setpriv = shutil.which("setpriv")
        dies_with_us = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        self._ended = ended
        self._process = subprocess.Popen(  # noqa: S603 - running the user's command is the purpose
            [*dies_with_us, *argv],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(self.pid)
        self._over = asyncio.Event()
        self._loop.add_reader(self._pidfd, self._reap)

    def signal(self, number: int) -> None:
        # Not reaped yet, so the group id cannot belong to anybody else.
        if not self._over.is_set():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def wait(self) -> None:
        await self._over.wait()

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        # Before the reaping: what the process leaves behind in its group goes with it, and the id is still ours.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self._process.wait()
        self._over.set()
        self._ended(Exit(code=code) if code >= 0 else Exit(code=128 - code, signal=-code))
