"""The demonstration itself, as `make demo` runs it: real parts, live traffic, every request counted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def processes_marked_with(folder: Path) -> list[str]:
    """Command lines of processes that were started by a demonstration with its temporary files in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if f"HEADGATE_LOCAL_PLANE={folder}".encode() in environment:
            found.append(command.replace(b"\0", b" ").decode())
    return found


@pytest.mark.timeout(960)
def test_the_demonstration_promotes_waits_rolls_back_and_undoes_without_losing_a_request(tmp_path: Path) -> None:
    report_file = tmp_path / "report.json"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "headgate_cli", "demo", "--report", str(report_file)],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    print(done.stdout)
    print(done.stderr)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    report = json.loads(report_file.read_text())
    assert report["ok"] is True
    assert report["requests_lost"] == 0
    assert report["requests_sent"] > 1000
    assert set(report["by_version"]) == {"1", "2", "3", "4", "5"}
    assert set(report["failed_by_version"]) == {"3"}
    answered, failed = sum(report["by_version"].values()), sum(report["failed_by_version"].values())
    assert answered + failed == report["requests_sent"]
    assert [(t["from"], t["to"]) for t in report["transitions"]] == [
        ("", "1"),
        ("1", "2"),
        ("2", "3"),
        ("2", "4"),
        ("2", "5"),
        ("5", "6"),
        ("5", "2"),
    ]
    assert [(s["version"], s["number"], s["verdict"]) for s in report["steps"]] == [
        ("2", 1, "promote"),
        ("2", 2, "promote"),
        ("3", 1, "rollback"),
        ("4", 1, "rollback"),
        ("5", 1, "promote"),
        ("5", 2, "promote"),
    ]
    assert [(r["version"], r["gate"]) for r in report["rollbacks"]] == [("3", "errorRate"), ("4", "latency")]
    assert set(report["quarantined"]) == {"3", "4", "5", "6"}
    assert report["undo_seconds"] >= 0

    assert processes_marked_with(scratch) == [], "the demonstration leaves no process"
    assert list(scratch.iterdir()) == [], "the demonstration leaves no file"
