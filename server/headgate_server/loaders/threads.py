"""How many threads a model may use: the container's CPU quota, not the machine's cores.

A runtime that starts a thread a core in a container with one CPU spends its time being throttled.
"""

import math
import os
from pathlib import Path

from headgate_server.settings import Settings


def of_worker(config: Settings) -> int:
    """What the settings say, else a worker's share of the quota."""
    return config.threads or max(1, quota() // config.workers)


def quota(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Whole CPUs of the cgroup's quota (v2, then v1), else the CPUs this process may run on; at least 1."""
    available = len(os.sched_getaffinity(0))
    limit = _version_2(root / "cpu.max") or _version_1(root / "cpu")
    return max(1, min(available, math.ceil(limit))) if limit else max(1, available)


def _version_2(path: Path) -> float:
    words = _words(path)
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() else 0.0


def _version_1(folder: Path) -> float:
    limit, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    return int(limit[0]) / int(period[0]) if limit and period and limit[0].isdigit() else 0.0


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
