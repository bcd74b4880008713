"""One file from the registry to the disk: compared with the listing's size, taken up again where it broke off.

A truncated chunked body is invisible to HTTP, so every byte count is compared with the listing. A file is only
continued when the registry names its content (ETag) and that has not changed; else it is begun anew, since two halves
of two files make a third one.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from headgate_server import logs
from headgate_server.reasons import LoadError, Reason
from headgate_server.registry import disk
from headgate_server.registry.progress import Progress
from headgate_server.registry.rest import Missing, Rest

CHUNK: Final = 1 << 18
# Between the attempts for one file. A registry that sends nothing at all is left to the longer waits of bringing_up,
# which also tells why the server is not ready.
WAITS: Final = (0.2, 0.8)
AGAIN: Final = {Reason.REGISTRY_UNREACHABLE, Reason.ARTIFACT_TRUNCATED}


@dataclass(frozen=True)
class Listed:
    """A file of the version: where below the model directory, and how long the registry says it is."""

    path: str
    size: int | None


class Transfer:
    """A file on its way to `target`."""

    def __init__(self, rest: Rest, address: str, listed: Listed, target: Path, progress: Progress) -> None:
        self._rest = rest
        self._address = address
        self._listed = listed
        self._target = target
        self._progress = progress
        self._received = 0
        self._etag = ""

    async def run(self) -> int:
        """The number of bytes, which is the listing's."""
        for wait in WAITS:
            before = self._received
            try:
                return await self._attempt()
            except LoadError as error:
                if error.reason not in AGAIN or self._received in {0, before} or self._too_long:
                    raise
                logs.warning("a file broke off", file=self._listed.path, bytes=self._received, detail=error.message)
            await asyncio.sleep(wait)
        return await self._attempt()

    @property
    def _too_long(self) -> bool:
        return self._listed.size is not None and self._received > self._listed.size

    async def _attempt(self) -> int:
        try:
            async with self._rest.file(self._address, self._received, self._etag) as body:
                self._etag = body.etag
                self._progress.add(body.offset - self._received)
                self._received = body.offset
                await self._write(body.stream)
        except Missing:
            raise LoadError(Reason.ARTIFACT_MISSING, f"{self._listed.path} is listed and is not there") from None
        size = self._listed.size
        if size is not None and self._received != size:
            more = "more than " if self._too_long else f"{self._received} of "
            raise LoadError(Reason.ARTIFACT_TRUNCATED, f"{self._listed.path}: {more}{size} bytes came")
        return self._received

    async def _write(self, stream: aiohttp.StreamReader) -> None:
        with disk.writing():
            self._target.parent.mkdir(parents=True, exist_ok=True)
            file = self._target.open("r+b" if self._received else "wb")
        with file:
            with disk.writing():
                file.seek(self._received)
                file.truncate()
            async for chunk in stream.iter_chunked(CHUNK):
                if self._listed.size is not None and self._received + len(chunk) > self._listed.size:
                    self._received += len(chunk)
                    return
                with disk.writing():
                    file.write(chunk)
                self._received += len(chunk)
                self._progress.add(len(chunk))
            with disk.writing():
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
