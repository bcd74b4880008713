"""The result in numbers: the final table, and the same as JSON for machines."""

import json
from pathlib import Path
from typing import Any

from headgate_cli.demo.load import Tally
from headgate_cli.demo.story import Story
from headgate_cli.demo.timeline import Timeline


def report(story: Story, tally: Tally, *, ok: bool) -> dict[str, Any]:
    """The report that `--report FILE` writes. Seconds are floats; `rollback_seconds` is null if none was measured."""
    return {
        "requests_sent": tally.sent,
        "requests_lost": len(tally.lost()),
        "by_version": tally.by_version(),
        "transitions": [
            {"from": t.origin, "to": t.to, "kind": t.kind, "seconds": t.seconds} for t in story.transitions
        ],
        "rollback_seconds": story.rollback_seconds,
        "quarantined": story.quarantined,
        "ok": ok,
    }


def write(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def show(timeline: Timeline, result: dict[str, Any]) -> None:
    """Print the final tables."""
    timeline.table(
        "Transitions",
        ["from", "to", "kind", "seconds"],
        [[t["from"] or "-", t["to"], t["kind"], f"{t['seconds']:.1f}"] for t in result["transitions"]],
    )
    versions = ", ".join(f"version {v}: {n}" for v, n in result["by_version"].items()) or "-"
    rollback = result["rollback_seconds"]
    timeline.table(
        "Requests",
        ["sent", "lost", "answered by", "rollback seconds", "quarantined"],
        [
            [
                str(result["requests_sent"]),
                str(result["requests_lost"]),
                versions,
                "-" if rollback is None else f"{rollback:.2f}",
                ", ".join(f"version {v}" for v in result["quarantined"]) or "-",
            ]
        ],
    )
