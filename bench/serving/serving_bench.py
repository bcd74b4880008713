"""`make bench-serving`: measures Headgate's inference server and its peers side by side on this machine."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import serving_environments as environments
import serving_machine as machine
import serving_models as models
import serving_wrk as wrk
from serving_contenders import CHOICES, OURS, Contender, chosen
from serving_page import page
from serving_phases import Phases
from serving_process import LOAD_CORE, SERVER_CORE
from serving_record import Record

ROOT = Path(__file__).resolve().parents[2]
DOCS, WORK = ROOT / "docs" / "benchmarks", ROOT / "build" / "bench-serving"
ENOUGH_ROUNDS = 9


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ENOUGH_ROUNDS, help="how often everything is measured (9)")
    parser.add_argument("--seconds", type=int, default=3, help="how long each load lasts (3)")
    parser.add_argument(
        "--only", action="append", default=[], choices=CHOICES, metavar="PEER",
        help=f"measure only this peer beside Headgate; may be said again ({', '.join(CHOICES)})",
    )  # fmt: skip
    told = parser.parse_args(given)
    if told.rounds < 1 or told.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    return told


def missing() -> str:
    """What this machine lacks, and what to do about it."""
    if not wrk.present():
        return wrk.MISSING
    if shutil.which("taskset") is None:
        return "taskset is not installed. On Debian and Ubuntu: apt-get install util-linux"
    cores = os.sched_getaffinity(0)
    if not {SERVER_CORE, LOAD_CORE} <= cores:
        return f"cores {SERVER_CORE} and {LOAD_CORE} are needed, one for the server and one for the load; here: {cores}"
    return ""


def target(rounds: int, only: list[str]) -> Path:
    """The docs get whole runs alone: a table of one round, or of some of the peers, looks just as sure."""
    return DOCS if rounds >= ENOUGH_ROUNDS and not only else WORK


def installed(contenders: list[Contender], record: Record) -> dict[str, Path]:
    """The folder of programs by environment. A peer that cannot be installed is reported, and the rest goes on."""
    found: dict[str, Path] = {"": Path(sys.executable).parent}
    for name in dict.fromkeys(contender.environment for contender in contenders if contender.environment):
        try:
            found[name] = environments.ready(name, say) / "bin"
        except (environments.NotInstalled, OSError) as error:
            say(f"{name} cannot be installed: {error}")
            for contender in contenders:
                if contender.environment == name:
                    record.failed(contender.name, "not installed", error)
    for name, folder in found.items():
        record.packages[name or OURS] = environments.packages(folder / "python")
    for contender in contenders:
        pins = dict(pin.split("==", 1) for pin in record.packages.get(contender.environment or OURS, []))
        if contender.package in pins:
            record.versions[contender.package] = pins[contender.package]
    return found


def say(text: str) -> None:
    sys.stderr.write(f"[{datetime.now(UTC):%H:%M:%S}] {text}\n")
    sys.stderr.flush()


def main(given: list[str]) -> int:
    told = arguments(given)
    if lacking := missing():
        say(lacking)
        return 1
    contenders = chosen(told.only)
    record = Record(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", told.rounds, told.seconds, machine.described())
    record.titles = {contender.name: contender.title for contender in contenders}
    WORK.mkdir(parents=True, exist_ok=True)
    try:
        programs = installed(contenders, record)
        trained = models.ready(WORK / "models", say)
    except environments.NotInstalled as error:
        say(f"the models cannot be trained: {error}")
        return 1
    os.sched_setaffinity(0, {LOAD_CORE})
    # Or a run that is told to end would leave servers behind, some of them stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    stolen = machine.stolen()
    with Phases(record, programs, trained, WORK, say) as phases:
        able = [contender for contender in contenders if contender.environment in programs]
        able = phases.starts(able)
        phases.rounds(able)
        phases.liveness(able)
    record.stolen_ticks = machine.stolen() - stolen
    out = target(told.rounds, told.only)
    out.mkdir(parents=True, exist_ok=True)
    (out / "serving.json").write_text(record.raw(), encoding="utf-8")
    (out / "serving.md").write_text(page(record), encoding="utf-8")
    say(f"{out / 'serving.md'} and serving.json are written.")
    for goal in record.goals():
        say(f"{goal.verdict:14} {goal.what}: {'-' if goal.value is None else f'{goal.value:.3g} {goal.unit}'}")
    return 0 if any(sample.contender.startswith(OURS) for sample in record.samples) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
