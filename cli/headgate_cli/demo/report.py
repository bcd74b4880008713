"""The result in numbers: the final tables, and the same as JSON for machines."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headgate_cli.demo.load import Tally
from headgate_cli.demo.story import Story
from headgate_cli.demo.timeline import Timeline

STEP = ("number", "desired", "achievable", "observed", "clients", "requests", "verdict")


def report(story: Story, tally: Tally, timeline: Timeline, *, ok: bool) -> dict[str, Any]:
    """The report that `--report FILE` writes. Seconds are floats; `undo_seconds` is null if none was measured."""
    return {
        "requests_sent": tally.sent,
        "requests_lost": len(tally.lost()),
        "by_version": tally.by_version(),
        "failed_by_version": tally.failed_by_version(),
        "transitions": [
            {"from": t.origin, "to": t.to, "kind": t.kind, "seconds": t.seconds} for t in story.transitions
        ],
        "steps": [asdict(step) for step in story.steps.left] if story.steps else [],
        "rollbacks": [asdict(rollback) for rollback in story.rollbacks],
        "undo_seconds": story.undo_seconds,
        "quarantined": story.quarantined,
        "chapters": timeline.durations(),
        "ok": ok,
    }


def write(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def show(timeline: Timeline, result: dict[str, Any]) -> None:
    """Print the final tables."""
    timeline.table(
        "Transitions",
        ["from", "to", "what", "seconds"],
        [[t["from"] or "-", t["to"], t["kind"], f"{t['seconds']:.1f}"] for t in result["transitions"]],
    )
    timeline.table(
        "Steps of the canaries",
        ["", "step", "asked", "possible", "observed", "clients", "requests", "verdict", "seconds"],
        [[f"v{s['version']}", *map(str, [s[name] for name in STEP]), f"{s['seconds']:.1f}"] for s in result["steps"]],
    )
    timeline.table(
        "Rolled back on evidence",
        ["", "gate", "requests it got", "of them 5xx", "ms from decision to no endpoint"],
        [
            [f"v{r['version']}", r["gate"], str(r["requests"]), str(r["errors"]), str(r["milliseconds"])]
            for r in result["rollbacks"]
        ],
    )
    answered, failed = result["by_version"], result["failed_by_version"]
    timeline.table(
        f"Requests: {result['requests_sent']} sent, {result['requests_lost']} lost",
        ["", "predictions", "5xx", "in the end"],
        [
            [f"v{v}", str(answered.get(v, 0)), str(failed.get(v, 0)), _fate(result, v)]
            for v in sorted({*answered, *failed, *result["quarantined"]})
        ],
    )
    timeline.table(
        "Where the time went", ["part", "seconds"], [[text, f"{s:.1f}"] for text, s in result["chapters"].items()]
    )


def _fate(result: dict[str, Any], version: str) -> str:
    if any(t["kind"] == "undo" and t["from"] == version for t in result["transitions"]):
        return "undone"
    return "quarantined" if version in result["quarantined"] else "good"
