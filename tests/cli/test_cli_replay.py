"""`headgate replay`: the operator's own engine, asked from the command line."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from headgate_cli.entry import cli

TICK = {"t": 10, "stable": {"requests": 90, "errors": 1}, "canary": {"requests": 10, "errors": 1}}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headgate_cli", "replay", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_replay_prints_a_line_a_tick(tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps({"ticks": [TICK]}))
    done = run(str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["verdict"] == "wait"


def test_replay_passes_on_that_a_file_is_not_understood(tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text("no")
    done = run(str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert "not JSON" in done.stderr


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    done = run("--", "--case.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--case.json: No such file" in done.stderr


def test_replay_says_what_to_install_where_the_operator_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    told = CliRunner().invoke(cli, ["replay", "case.json"])
    assert told.exit_code == 1
    assert "pip install 'headgate[operator]'" in told.output
