"""The operator's log as a ledger: the counts that a rollout was decided on, given to `headgate replay`.

What it says is what the operator said, with the evidence of every gate in numbers.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def case_of(log: Path, rollout: int) -> dict[str, Any]:
    """The recorded rollout as `headgate replay` reads it; ticks that a dead operator had not kept are left out."""
    case: dict[str, Any] = {}
    ticks: list[Line] = []
    for line in _lines(log.read_text(encoding="utf-8", errors="replace").splitlines()):
        if line.get("rollout") != rollout:
            continue
        if line.get("message") == "evidence begins anew":
            case = {name: line[name] for name in CASE if name in line}
            ticks = [tick for tick in ticks if tick["t"] <= line["t"]]
        elif line.get("message") == "evidence":
            ticks.append({name: line[name] for name in ("t", "stable", "canary")})
    return {**case, "ticks": ticks}


CASE = ("kind", "interval_s", "gates", "policy", "latency_bucket_upper_bounds_s")


def decided(replayed: str) -> Line:
    """The first line of the replay that is not `wait`, or the last one."""
    lines = list(_lines(replayed.splitlines()))
    return next((line for line in lines if line["verdict"] != "wait"), lines[-1] if lines else {})


def _lines(texts: Iterable[str]) -> Iterable[Line]:
    for text in texts:
        if text.startswith("{"):
            try:
                yield json.loads(text)
            except ValueError:
                continue  # the end of a process that was killed while it wrote
