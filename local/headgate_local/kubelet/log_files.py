"""A container's output as files: one per attempt, kept after the pod for whoever looks for the cause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from headgate_local.kubelet.runtime import LogOptions, PodRef

_CHUNK = 64 * 1024
_FOLLOW_EVERY = 0.2


def log_path(folder: Path, pod: PodRef, container: str, attempt: int) -> Path:
    return folder / f"{pod.namespace}_{pod.name}_{pod.uid[:8]}" / container / f"{attempt}.log"


def log_options(query: Mapping[str, str]) -> LogOptions:
    """Query parameters of a log request; raises ValueError for what plain files cannot answer."""
    for name in ("sinceSeconds", "sinceTime", "timestamps"):
        if query.get(name, "false") != "false":
            raise ValueError(f"{name} is not supported by the local plane: logs are kept as the process wrote them")
    return LogOptions(
        follow=query.get("follow") in ("true", "1"),
        previous=query.get("previous") in ("true", "1"),
        tail=int(query["tailLines"]) if query.get("tailLines") else None,
        limit_bytes=int(query["limitBytes"]) if query.get("limitBytes") else None,
    )


async def read_log(path: Path, options: LogOptions, is_running: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The log from its beginning or its last lines; with follow until the container has ended."""
    with path.open("rb") as file:
        if options.tail is not None:
            file.seek(_start_of_tail(path, options.tail))
        left = options.limit_bytes
        while left is None or left > 0:
            # Asked before reading, so that what was written just before the end is not missed.
            running = is_running()
            chunk = file.read(_CHUNK if left is None else min(_CHUNK, left))
            if chunk:
                left = None if left is None else left - len(chunk)
                yield chunk
            elif options.follow and running:
                await asyncio.sleep(_FOLLOW_EVERY)
            else:
                return


def _start_of_tail(path: Path, lines: int) -> int:
    """Offset of the last `lines` lines, read backwards: a log may be large."""
    size = path.stat().st_size
    if lines <= 0:
        return size
    with path.open("rb") as file:
        position, found = size, 0
        while position > 0:
            step = min(_CHUNK, position)
            position -= step
            file.seek(position)
            block = file.read(step)
            if position + step == size and block.endswith(b"\n"):
                found -= 1  # the newline that ends the last line separates nothing
            for index in range(len(block) - 1, -1, -1):
                if block[index] == 0x0A:
                    found += 1
                    if found == lines:
                        return position + index + 1
    return 0
