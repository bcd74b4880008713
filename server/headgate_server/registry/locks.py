"""File locks of the cache: whoever dies lets go of them, so nothing has to be cleaned up after a killed process.

A file system without locks (some network volumes) is told once: then nothing is ever dropped, since nobody knows what
another process uses, and two processes may download the same version at once, which costs time and harms nothing.
"""

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from headgate_server import logs

UNSUPPORTED: Final = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
LOOK_SECONDS: Final = 0.1


class NoLocks(Exception):  # noqa: N818 - a fact of the volume that the callers decide about
    """The file system has no locks."""


class Held:
    """A lock that is held until it is released, or until the process ends."""

    def __init__(self, path: Path, how: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._file, how)
        except OSError as error:
            os.close(self._file)
            if error.errno in UNSUPPORTED:
                raise NoLocks from None
            raise

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def shared(path: Path) -> Held | None:
    """Held together with others that use the same; waits only for one that is just dropping it."""
    try:
        return Held(path, fcntl.LOCK_SH)
    except NoLocks:
        logs.warning("the cache's file system has no locks: nothing is dropped from it")
        return None


def alone(path: Path) -> Held | None:
    """Held by nobody else, or None at once."""
    try:
        return Held(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (NoLocks, BlockingIOError):
        return None


@asynccontextmanager
async def turn(path: Path, waiting: str) -> AsyncIterator[None]:
    """One process after the other; `waiting` is logged when it is not our turn yet."""
    held: Held | None = None
    told = False
    while True:
        try:
            held = Held(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except NoLocks:
            pass
        except BlockingIOError:
            if not told:
                logs.event(waiting)
            told = True
            await asyncio.sleep(LOOK_SECONDS)
            continue
        break
    try:
        yield
    finally:
        if held is not None:
            held.release()
