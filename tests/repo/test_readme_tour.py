"""The README's tour is a script: its commands run here as they are written, and print what the README shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOUR = re.compile(r"<!-- tour:.*?-->\n```console\n(.*?)```\n<!-- /tour -->", re.DOTALL)
# Numbers, ages, addresses and hashes differ from run to run; the words and the versions in front do not.
VARIES = re.compile(r"\b[0-9a-f]{10,}\b|(\d+(\.\d+)*(ms|[smhd])?)+\b|127\.[0-9.:]+|\bby ada\b")


def steps() -> list[tuple[str, list[str]]]:
    """The commands of the tour, each with the lines that the README shows as its output."""
    found = TOUR.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found, "README.md has a tour"
    result: list[tuple[str, list[str]]] = []
    for line in found.group(1).splitlines():
        if line.startswith("$ "):
            result.append((line[2:], []))
        elif line.strip() and line.strip() != "...":
            result[-1][1].append(line)
    return result


def words(line: str) -> list[str]:
    return VARIES.sub(" ", re.sub(r"[^\w/.:-]", " ", line)).split()


@pytest.mark.timeout(960)
def test_the_tour_of_the_readme_runs_as_it_is_written(tmp_path: Path) -> None:
    tour = steps()
    assert 6 <= len(tour) <= 20
    script = tmp_path / "tour.sh"
    # The empty line first: not every command ends its last line.
    marked = [f'echo; echo "@@ {number}"\n{command}' for number, (command, _) in enumerate(tour)]
    script.write_text("set -euo pipefail\n" + "\n".join(marked) + "\n", encoding="utf-8")
    state = tmp_path / "state"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HEADGATE_LOCAL_STATE": str(state),
        "COLUMNS": "120",
    }
    environment.pop("KUBECONFIG", None)
    try:
        done = subprocess.run(
            ["bash", str(script)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=840,
            check=False,
        )
    finally:
        subprocess.run([sys.executable, "-m", "headgate_local", "down"], env=environment, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    printed = re.split(r"^@@ \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    for (command, shown), output in zip(tour, printed, strict=True):
        seen = words(output)
        for line in shown:
            missing = [word for word in words(line) if word not in seen]
            assert not missing, f"{command!r} does not print {missing} of the README's {line!r}, but:\n{output}"
