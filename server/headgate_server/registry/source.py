"""From settings to a model directory on this machine, with its digest checked.

A directory whose digest is already known and stored needs no registry: a pod that restarts while MLflow is down
still serves.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from headgate_server import logs, settings
from headgate_server.digest import tree_digest
from headgate_server.reasons import LoadError, Reason
from headgate_server.registry import credentials, disk
from headgate_server.registry.store import Store, identity
from headgate_server.settings import Reference, Settings

if TYPE_CHECKING:
    from headgate_server.registry.rest import Registered, Rest

Clock = Callable[[], float]


@dataclass(frozen=True)
class Located:
    """A model directory on this machine."""

    path: Path
    digest: str
    name: str
    version: str
    origin: str  # "registry", "cache", "path" or "fallback"
    source: str  # what the registry calls its source, the path, or "fallback"
    identity: str = ""  # of the registered version, where the registry was asked


class Source:
    """Finds the model that the settings name; `locate` may be called again after a transient failure."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._temporary: TemporaryDirectory[str] | None = None
        self._kept: Store | None = None

    async def locate(self) -> Located:
        """At start; the fallback where there is one and no registry answers."""
        try:
            return await self._found(None)
        except LoadError as error:
            if self._config.fallback is None or error.reason is not Reason.REGISTRY_UNREACHABLE:
                raise
            logs.warning("the registry cannot be reached: the fallback is served", detail=error.message)
            return await asyncio.to_thread(self._fallback, self._config.fallback)

    def stay_with(self, model: str, digest: str) -> None:
        """From now on `model` is what is asked for, and nothing else than these files is found."""
        self._config = replace(self._config, model=model, model_digest=digest)

    async def again(self, now: Located | None) -> Located:
        """What the settings name by now; `now` itself where that is still the same version."""
        found = await self._found(now)
        if now is None or now.origin == "fallback":
            return found
        return now if (found.digest, found.version) == (now.digest, now.version) else found

    def keep_only(self, located: Located) -> None:
        """The other versions in the cache are no longer in use here."""
        if self._kept is not None:
            self._kept.keep_only(located.digest)
            if self._temporary is not None:  # nobody comes back for them
                self._kept.drop_unused()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    async def _found(self, now: Located | None) -> Located:
        if not self._config.model.startswith("models:"):
            return await asyncio.to_thread(self._local)
        reference = settings.registry_reference(self._config.model)
        store = await asyncio.to_thread(self._store)
        expected = self._config.model_digest
        # A name that moves has to be looked up, whatever is in the cache.
        if expected and reference.version and (path := await asyncio.to_thread(store.tree, expected)):
            logs.event("found in the cache by its digest", digest=expected)
            return self._located(path, expected, reference.name, reference.version, "cache", self._config.model)
        return await self._from_registry(store, reference, now)

    async def _from_registry(self, store: Store, reference: Reference, now: Located | None) -> Located:
        config = self._config
        access = await asyncio.to_thread(credentials.read, config.registry_credentials)
        # Late: a client of HTTP is a tenth of the start, for nothing where the files are here.
        from headgate_server.registry import download
        from headgate_server.registry.rest import connected

        limit = download.PARALLEL + 1
        async with connected(config.registry_uri, access, config.registry_timeout, limit) as rest:
            registered = await rest.resolved(reference)
            if now is not None and now.identity == identity(config.registry_uri, registered):
                return now
            async with store.turn(config.registry_uri, registered):
                known = store.digest_of(config.registry_uri, registered)
                # Other files than the expected ones are asked for again: they may have been put right.
                wanted = known and config.model_digest in {"", known}
                if known and wanted and (path := await asyncio.to_thread(store.tree, known)):
                    logs.event("found in the cache by its registered identity", digest=known)
                    return self._registered(path, known, registered, "cache")
                return await self._download(store, rest, registered)

    async def _download(self, store: Store, rest: "Rest", registered: "Registered") -> Located:
        from headgate_server.registry import download

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
        return self._registered(path, digest, registered, "registry")

    def _local(self) -> Located:
        path = settings.local_path(self._config.model)
        if not path.is_dir():
            raise LoadError(Reason.ARTIFACT_MISSING, f"{path} is not a folder")
        digest = tree_digest(path)
        expect(self._config.model_digest, digest)
        return self._located(path, digest, path.resolve().name, _short(digest), "path", str(path))

    def _fallback(self, path: Path) -> Located:
        """Another model than was asked for, so it has a version of its own whatever the settings call the other."""
        if not path.is_dir():
            raise LoadError(Reason.ARTIFACT_MISSING, f"the fallback {path} is not a folder")
        digest = tree_digest(path)
        expect(self._config.model_digest, digest)
        name = self._config.model_name or settings.registry_reference(self._config.model).name
        return Located(path, digest, name, _short(digest), "fallback", "fallback")

    def _registered(self, path: Path, digest: str, registered: "Registered", origin: str) -> Located:
        found = self._located(path, digest, registered.name, registered.version, origin, registered.source)
        return replace(found, identity=identity(self._config.registry_uri, registered))

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


def _short(digest: str) -> str:
    return digest.partition(":")[2][:8]


def expect(wanted: str, digest: str) -> None:
    """Refuse any other tree than the wanted one, where one is wanted."""
    if wanted and wanted != digest:
        raise LoadError(Reason.DIGEST_MISMATCH, f"the files have the digest {digest}, not {wanted}")
