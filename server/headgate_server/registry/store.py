"""Model directories on disk by digest: downloaded once, checked at every use, safe for several processes.

    <root>/trees/<64 hex>/...     a complete model directory
    <root>/versions/<64 hex>      the digest of a registered version, named by the hash of its identity
    <root>/incoming-.../tree      a download under way, renamed when it is complete
    <root>/locks/<64 hex>         held by every process that uses the tree; its time is when the tree was last used

A directory appears by rename, so no process ever sees half of one. It is hashed again before use: a volume that
others can write to is no better than the registry. What goes when room is needed is what was used least recently and
is held by nobody.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headgate_server import logs
from headgate_server.contract import DIGEST_PREFIX
from headgate_server.digest import tree_digest
from headgate_server.reasons import LoadError, Reason
from headgate_server.registry import disk, locks

if TYPE_CHECKING:
    from headgate_server.registry.rest import Registered


class Store:
    """The cache folder; without one, a temporary folder that ends with the process."""

    def __init__(self, root: Path, max_bytes: int = 0) -> None:
        self._trees, self._versions, self._locks = root / "trees", root / "versions", root / "locks"
        self._root = root
        self._max_bytes = max_bytes
        self._held: dict[str, locks.Held | None] = {}
        for folder in (self._trees, self._versions, self._locks):
            folder.mkdir(parents=True, exist_ok=True)
        self._sweep()

    def tree(self, digest: str) -> Path | None:
        """The stored directory of that digest, if it is there and still is what it was; held from now on."""
        path = self._path(digest)
        if not path.is_dir():
            return None
        self._hold(digest)
        try:
            if tree_digest(path) == digest:
                return path
        except (LoadError, OSError):
            logs.warning("a stored model cannot be read", digest=digest)
        self._let_go(digest)
        if path.is_dir():
            logs.warning("a stored model was changed and is dropped", digest=digest)
            self._aside(path)
        return None

    def keep_only(self, digest: str) -> None:
        """Every other tree may be dropped from now on, as far as this process is concerned."""
        for other in [held for held in self._held if held != digest]:
            self._let_go(other)

    def drop_unused(self) -> None:
        for path in list(self._trees.iterdir()):
            self._drop(path)

    def close(self) -> None:
        self.keep_only("")

    def digest_of(self, uri: str, registered: "Registered") -> str | None:
        """The digest that this very version had when it was downloaded here."""
        return self._noted(self._versions / identity(uri, registered))

    def turn(self, uri: str, registered: "Registered") -> AbstractAsyncContextManager[None]:
        """Held while a version is downloaded: the others wait, and find it here."""
        return locks.turn(
            self._locks / f"download-{identity(uri, registered)}", "another process downloads the same version"
        )

    async def add(
        self, uri: str, registered: "Registered", fetch: Callable[[Path], Awaitable[int]]
    ) -> tuple[str, Path]:
        """Download into the store; (digest, directory), which is held."""
        async with self._incoming() as incoming:
            await fetch(incoming)
            digest = await asyncio.to_thread(tree_digest, incoming)
            return digest, await asyncio.to_thread(self._keep, incoming, digest, identity(uri, registered))

    def make_room(self, coming: int) -> None:
        """Drop what was used least recently and nobody holds, until `coming` more bytes fit the limit and the disk."""
        stored = {path: _size(path) for path in self._trees.iterdir()}
        over = sum(stored.values()) + coming - self._max_bytes if self._max_bytes else 0
        lacking = coming - shutil.disk_usage(self._root).free
        for path in sorted(stored, key=self._last_used):
            if over <= 0 and lacking <= 0:
                return
            if self._drop(path):
                logs.event("dropped from the cache", digest=DIGEST_PREFIX + path.name, bytes=stored[path])
                over, lacking = over - stored[path], lacking - stored[path]
        if lacking > 0:
            raise LoadError(
                Reason.STORAGE_FULL,
                f"the model has {coming} bytes, {lacking} more than the disk of the cache has room for",
            )
        if over > 0:
            logs.warning("the models in use need more than the cache may hold", limit=self._max_bytes, over=over)

    @asynccontextmanager
    async def _incoming(self) -> AsyncIterator[Path]:
        with disk.writing(), contextlib.ExitStack() as making:
            # Others sweep away what they can lock: not before this one is.
            if gate := locks.shared(self._locks / "sweep"):
                making.callback(gate.release)
            folder = Path(tempfile.mkdtemp(prefix="incoming-", dir=self._root))
            (folder / "tree").mkdir()
            held = locks.alone(folder / "lock")
        try:
            yield folder / "tree"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if held is not None:
                held.release()

    def _keep(self, incoming: Path, digest: str, version: str) -> Path:
        path = self._path(digest)
        self._hold(digest)
        with disk.writing():
            try:
                incoming.rename(path)
            except OSError:
                if self.tree(digest) is None:  # not another process's finished copy: replace what is there
                    incoming.rename(path)
                    self._hold(digest)
            _sync(self._trees)
            note = tempfile.NamedTemporaryFile("w", dir=self._versions, prefix="new-", delete=False)  # noqa: SIM115
            with note:
                note.write(digest)
                note.flush()
                os.fsync(note.fileno())
            Path(note.name).rename(self._versions / version)
        return path

    def _path(self, digest: str) -> Path:
        return self._trees / digest.removeprefix(DIGEST_PREFIX)

    def _hold(self, digest: str) -> None:
        lock = self._locks / digest.removeprefix(DIGEST_PREFIX)
        if digest not in self._held:
            self._held[digest] = locks.shared(lock)
        with contextlib.suppress(OSError):  # a volume mounted read-only has no order of use, and is never emptied
            os.utime(lock)

    def _let_go(self, digest: str) -> None:
        if held := self._held.pop(digest, None):
            held.release()

    def _last_used(self, path: Path) -> float:
        try:
            return (self._locks / path.name).stat().st_mtime
        except OSError:
            return 0.0

    def _drop(self, path: Path) -> bool:
        """Whether the tree is gone: one that a process holds stays."""
        held = locks.alone(self._locks / path.name)
        if held is None:
            return False
        try:
            self._aside(path)
            for note in self._versions.iterdir():
                if self._noted(note) == DIGEST_PREFIX + path.name:
                    note.unlink(missing_ok=True)
        finally:
            held.release()
        return True

    def _aside(self, path: Path) -> None:
        """Out of sight in one step: nobody finds a tree that is half deleted."""
        aside = Path(tempfile.mkdtemp(prefix="dropped-", dir=self._root))
        with contextlib.suppress(OSError):  # another process dropped it first
            path.rename(aside / "tree")
        shutil.rmtree(aside, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what killed processes left behind."""
        gate = locks.alone(self._locks / "sweep")
        if gate is None:
            return
        try:
            for folder in self._root.glob("incoming-*"):
                if (held := locks.alone(folder / "lock")) is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    held.release()
            for folder in self._root.glob("dropped-*"):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            gate.release()

    def _noted(self, path: Path) -> str | None:
        try:
            text = path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return text if re.fullmatch(r"sha256:[0-9a-f]{64}", text) else None


def identity(uri: str, registered: "Registered") -> str:
    """One word for (registry, name, version, source, creation time): numbers restart when a model is made anew."""
    parts = [uri, registered.name, registered.version, registered.source, registered.created]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _size(tree: Path) -> int:
    total = 0
    for path in tree.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
