"""From settings to a model directory on this machine, with its digest checked.

A directory whose digest is already known and stored needs no registry: a pod that restarts while MLflow is down
still serves.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from headgate_server import logs, settings
from headgate_server.digest import tree_digest
from headgate_server.reasons import LoadError, Reason
from headgate_server.registry import credentials, disk, download
from headgate_server.registry.rest import Registered, Rest
from headgate_server.registry.store import Store
from headgate_server.settings import Settings

Clock = Callable[[], float]


@dataclass(frozen=True)
class Located:
    """A model directory on this machine."""

    path: Path
    digest: str
    name: str
    version: str
    origin: str  # "registry", "cache" or "path"
    source: str  # what the registry calls its source, or the path


class Source:
    """Finds the model that the settings name; `locate` may be called again after a transient failure."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._temporary: TemporaryDirectory[str] | None = None
        self._kept: Store | None = None

    async def locate(self) -> Located:
        if not self._config.model.startswith("models:"):
            return await asyncio.to_thread(self._local)
        name, version = settings.registry_reference(self._config.model)
        store = await asyncio.to_thread(self._store)
        expected = self._config.model_digest
        if expected and (path := await asyncio.to_thread(store.tree, expected)):
            logs.event("found in the cache by its digest", digest=expected)
            return self._located(path, expected, name, version, "cache", self._config.model)
        return await self._from_registry(store, name, version)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    async def _from_registry(self, store: Store, name: str, version: str) -> Located:
        config = self._config
        access = await asyncio.to_thread(credentials.read, config.registry_credentials)
        # Fresh connections: MLflow with several workers answers a kept-alive one only after 44 ms.
        connector = aiohttp.TCPConnector(force_close=True, limit=download.PARALLEL + 1)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            rest = Rest(session, config.registry_uri, access, config.registry_timeout)
            registered = await rest.version(name, version)
            async with store.turn(config.registry_uri, registered):
                known = store.digest_of(config.registry_uri, registered)
                # Other files than the expected ones are asked for again: they may have been put right.
                wanted = known and config.model_digest in {"", known}
                if known and wanted and (path := await asyncio.to_thread(store.tree, known)):
                    logs.event("found in the cache by its registered identity", digest=known)
                    return self._located(path, known, name, version, "cache", registered.source)
                return await self._download(store, rest, registered)

    async def _download(self, store: Store, rest: Rest, registered: Registered) -> Located:
        began = asyncio.get_running_loop().time()
        root = await download.artifact_root(rest, registered)
        files = await download.listed(rest, root)
        coming = sum(file.size or 0 for file in files)
        logs.event("downloading", source=registered.source, files=len(files), bytes=coming)
        await asyncio.to_thread(store.make_room, coming)

        async def fetch(into: Path) -> int:
            return await download.fetch(rest, root, files, into)

        digest, path = await store.add(self._config.registry_uri, registered, fetch)
        seconds = round(asyncio.get_running_loop().time() - began, 3)
        logs.event("downloaded", bytes=coming, seconds=seconds, digest=digest)
        expect(self._config.model_digest, digest)
        return self._located(path, digest, registered.name, registered.version, "registry", registered.source)

    def _local(self) -> Located:
        path = settings.local_path(self._config.model)
        if not path.is_dir():
            raise LoadError(Reason.ARTIFACT_MISSING, f"{path} is not a folder")
        digest = tree_digest(path)
        expect(self._config.model_digest, digest)
        short = digest.partition(":")[2][:8]
        return self._located(path, digest, path.resolve().name, short, "path", str(path))

    def _located(self, path: Path, digest: str, name: str, version: str, origin: str, source: str) -> Located:
        name, version = self._config.model_name or name, self._config.model_version or version
        return Located(path, digest, name, version, origin, source)

    def _store(self) -> Store:
        if self._kept is not None:
            return self._kept
        folder = self._config.cache_dir
        if folder is None:
            if self._temporary is None:
                self._temporary = TemporaryDirectory(prefix="headgate-server-")
            folder = Path(self._temporary.name)
        with disk.writing():
            self._kept = Store(folder, self._config.cache_max_bytes)
        return self._kept


def expect(wanted: str, digest: str) -> None:
    """Refuse any other tree than the wanted one, where one is wanted."""
    if wanted and wanted != digest:
        raise LoadError(Reason.DIGEST_MISMATCH, f"the files have the digest {digest}, not {wanted}")
