"""The door to wrk: one run from the load's core, its figures from the line of JSON that load.lua prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from serving_samples import Cell, Sample

SCRIPT = Path(__file__).with_name("load.lua")
MARK = "@figures "
# Longer than any answer here takes, so that a slow one counts as slow and not as lost.
PATIENCE_SECONDS = 60
MISSING = "wrk is not installed. On Debian and Ubuntu: apt-get install wrk. Elsewhere: github.com/wg/wrk"


class WrkFailed(Exception):  # noqa: N818 - the text of what went wrong
    pass


def present() -> bool:
    return shutil.which("wrk") is not None


def load(contender: str, cell: Cell, number: int, url: str, body: Path, seconds: float) -> Sample:
    told = max(1, round(seconds))
    command = [
        "wrk", "--threads", "1", "--connections", str(cell.connections), "--duration", f"{told}s",
        "--timeout", f"{PATIENCE_SECONDS}s", "--script", str(SCRIPT), url, "--", str(body),
    ]  # fmt: skip
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = os.times()
    if done.returncode != 0:
        raise WrkFailed(f"wrk ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return parse(done.stdout, contender, cell, number, used)


def parse(output: str, contender: str, cell: Cell, number: int, cpu_seconds: float) -> Sample:
    line = next((line for line in output.splitlines() if line.startswith(MARK)), None)
    if line is None:
        raise WrkFailed(f"wrk printed no figures: {output.strip()[-300:]}")
    told = json.loads(line.removeprefix(MARK))
    seconds = told["microseconds"] / 1e6
    return Sample(
        contender=contender,
        cell=cell,
        round=number,
        requests=told["requests"],
        seconds=seconds,
        non_2xx=told["non_2xx"],
        socket_errors=told["socket_errors"] + told["timeouts"],
        p50=told["p50"],
        p90=told["p90"],
        p99=told["p99"],
        generator_busy=cpu_seconds / seconds,
    )
