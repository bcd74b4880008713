"""Bring one version's files into a folder: list, hold names inside, fetch.

What the listing says is the uploader's word: absolute paths, `..` and endless trees are refused before anything is
written.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from headgate_server.reasons import LoadError, Reason
from headgate_server.registry.progress import Progress
from headgate_server.registry.rest import Registered, Rest, not_mlflow
from headgate_server.registry.transfer import Listed, Transfer

PARALLEL: Final = 4
MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 32


async def artifact_root(rest: Rest, registered: Registered) -> str:
    """The version's folder below `mlflow-artifacts:/`, whatever form its source has."""
    uri = await rest.download_uri(registered.name, registered.version)
    if match := re.fullmatch(r"runs:/([^/]+)/?(.*)", uri):
        # get-download-uri leaves runs:/ unresolved.
        uri = f"{await rest.run_artifact_uri(match[1])}/{match[2]}"
    scheme, _, path = uri.partition(":")
    if scheme != "mlflow-artifacts":
        raise LoadError(
            Reason.ARTIFACT_MISSING,
            f"the files lie at {scheme}:, which MLflow does not serve: start it with --serve-artifacts",
        )
    # mlflow-artifacts://host/path names another server; only our own registry gets our credentials.
    if path.startswith("//"):
        raise LoadError(Reason.ARTIFACT_MISSING, "the files lie on another server than the registry")
    return path.strip("/")


async def listed(rest: Rest, root: str) -> list[Listed]:
    """Every file below `root`, held inside of it."""
    files = await _walk(rest, root)
    if not files:
        raise LoadError(Reason.ARTIFACT_MISSING, "the registry lists no files for this version")
    return files


async def fetch(rest: Rest, root: str, files: Sequence[Listed], into: Path) -> int:
    """Download the listed files into the folder; the number of bytes."""
    gate = asyncio.Semaphore(PARALLEL)
    progress = Progress(sum(file.size or 0 for file in files))

    async def one(file: Listed) -> int:
        async with gate:
            return await Transfer(rest, f"{root}/{file.path}", file, into / file.path, progress).run()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(file)) for file in files]
    except BaseExceptionGroup as failures:
        # One reason is told, and the first is the cause: the others were cancelled for it.
        raise _first(failures) from None
    return sum(task.result() for task in tasks)


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _walk(rest: Rest, root: str) -> list[Listed]:
    found: list[Listed] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        if folder.count("/") > MAX_DEPTH:
            raise LoadError(Reason.ARTIFACT_INVALID, "the artifact tree is deeper than any real one")
        for entry in await rest.listing(f"{root}/{folder}".rstrip("/")):
            path = inside(folder, entry)
            if entry.get("is_dir") is True:
                folders.append(path)
            else:
                found.append(Listed(path, _size(entry)))
        if len(found) + len(folders) > MAX_FILES:
            raise LoadError(Reason.ARTIFACT_INVALID, "the artifact tree has more files than any real one")
    return found


def inside(folder: str, entry: Mapping[str, Any]) -> str:
    """The entry's path below the model directory; one that would leave it is refused."""
    name = entry.get("path")
    if not isinstance(name, str) or not name:
        raise not_mlflow()
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name or str(pure) in {"", "."}:
        raise LoadError(Reason.ARTIFACT_INVALID, "the listing names a file outside the model directory")
    return (PurePosixPath(folder) / pure).as_posix()


def _size(entry: Mapping[str, Any]) -> int | None:
    size = entry.get("file_size")
    if isinstance(size, str) and size.isdigit():
        return int(size)  # protobuf's JSON form of int64 is text
    return size if isinstance(size, int) else None
