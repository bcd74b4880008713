"""Model directories on disk by digest: downloaded once, checked at every use, safe for several processes.

    <root>/trees/<64 hex>/...     a complete model directory
    <root>/versions/<64 hex>      the digest of a registered version, named by the hash of its identity
    <root>/incoming-...           a download under way, renamed when it is complete

A directory appears by rename, so no process ever sees half of one. It is hashed again before use: a volume that
others can write to is no better than the registry.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from headgate_server import logs
from headgate_server.contract import DIGEST_PREFIX
from headgate_server.digest import tree_digest
from headgate_server.reasons import LoadError
from headgate_server.registry.rest import Registered


class Store:
    """The cache folder; without one, a temporary folder that ends with the process."""

    def __init__(self, root: Path) -> None:
        self._trees = root / "trees"
        self._versions = root / "versions"
        self._root = root
        for folder in (self._trees, self._versions):
            folder.mkdir(parents=True, exist_ok=True)

    def tree(self, digest: str) -> Path | None:
        """The stored directory of that digest, if it is there and still is what it was."""
        path = self._trees / digest.removeprefix(DIGEST_PREFIX)
        if not path.is_dir():
            return None
        try:
            if tree_digest(path) == digest:
                return path
        except (LoadError, OSError):
            logs.warning("a stored model cannot be read", digest=digest)
        logs.warning("a stored model was changed and is dropped", digest=digest)
        aside = Path(tempfile.mkdtemp(prefix="dropped-", dir=self._root))
        with contextlib.suppress(OSError):  # another process dropped it first
            path.rename(aside / "tree")
        shutil.rmtree(aside, ignore_errors=True)
        return None

    def digest_of(self, uri: str, registered: Registered) -> str | None:
        """The digest that this very version had when it was downloaded here."""
        path = self._versions / identity(uri, registered)
        text = path.read_text().strip() if path.is_file() else ""
        return text if re.fullmatch(r"sha256:[0-9a-f]{64}", text) else None

    async def add(self, uri: str, registered: Registered, fetch: Callable[[Path], Awaitable[int]]) -> tuple[str, Path]:
        """Download into the store; (digest, directory)."""
        incoming = Path(tempfile.mkdtemp(prefix="incoming-", dir=self._root))
        try:
            await fetch(incoming)
            digest = await asyncio.to_thread(tree_digest, incoming)
            return digest, await asyncio.to_thread(self._keep, incoming, digest, identity(uri, registered))
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def _keep(self, incoming: Path, digest: str, version: str) -> Path:
        path = self._trees / digest.removeprefix(DIGEST_PREFIX)
        try:
            incoming.rename(path)
        except OSError:
            if self.tree(digest) is None:  # not another process's finished copy: replace what is there
                incoming.rename(path)
        _sync(self._trees)
        note = tempfile.NamedTemporaryFile("w", dir=self._versions, prefix="new-", delete=False)  # noqa: SIM115
        with note:
            note.write(digest)
            note.flush()
            os.fsync(note.fileno())
        Path(note.name).rename(self._versions / version)
        return path


def identity(uri: str, registered: Registered) -> str:
    """One word for (registry, name, version, source, creation time): numbers restart when a model is made anew."""
    parts = [uri, registered.name, registered.version, registered.source, registered.created]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
