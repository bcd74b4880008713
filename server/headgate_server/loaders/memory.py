"""No more memory for a model than there is: what would have had the kernel kill the process is an error instead.

A few bytes of a graph or an archive can ask for terabytes, and a killed process tells nobody why. While a model loads
and makes its first prediction, the process may only map what its container (or the machine) has left; an allocation
beyond that fails, and the failure has a reason.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from headgate_server.reasons import LoadError, Reason

# Stacks and pools of the runtime's threads are mapped whole and touched in part.
SLACK: Final = 64 << 20
SLACK_A_CPU: Final = 16 << 20
LEAST: Final = 64 << 20
# How runtimes without a MemoryError say it.
WORDS: Final = ("bad_alloc", "failed to allocate", "bfcarena", "out of memory", "cannot allocate memory")


def available(cgroup: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> int:
    """Bytes that this process can still get: what the container's limit leaves, at most what the machine has."""
    free = [_field(proc / "meminfo", "MemAvailable:") * 1024]
    two, one = cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes"
    if limit := _number(two):
        # Pages of files are given back when memory is short.
        free.append(limit - _number(cgroup / "memory.current") + _field(cgroup / "memory.stat", "file"))
    elif limit := _number(one):
        folder = one.parent
        cached = _field(folder / "memory.stat", "total_cache")
        free.append(limit - _number(folder / "memory.usage_in_bytes") + cached)
    return max(LEAST, min(free))


@contextmanager
def bounded() -> Iterator[None]:
    """Within it, this process gets no more memory than is available. One at a time; the limit is the process's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    mapped = _field(Path("/proc/self/status"), "VmData:") * 1024
    limit = mapped + available() + SLACK + SLACK_A_CPU * (os.cpu_count() or 1)
    for given in (soft, hard):
        if given != resource.RLIM_INFINITY:
            limit = min(limit, given)
    if not mapped:  # no such numbers here: no limit either
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def lacked(error: BaseException) -> bool:
    """Whether that is how a library says that it got no memory."""
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in WORDS)


def lacking(what: str) -> LoadError:
    return LoadError(
        Reason.LOAD_FAILED, f"{what} needs more memory than there is: give the pod more, or a smaller model"
    )


def _number(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def _field(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    words = next((words for line in lines if (words := line.split()) and words[0] == name), [])
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
