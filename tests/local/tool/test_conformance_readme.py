"""The README of the conformance suite counts its checks; the numbers are those that pytest finds."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "tests" / "local" / "conformance"
ROW = re.compile(r"^\| [^|]+ \| ([^|]*`[^|]+) \| (\d+) \|$", re.MULTILINE)


def found() -> Counter[Path]:
    """How many checks each file has."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    folders = [FOLDER, FOLDER.parent / "kubectl"]
    done = subprocess.run([*command, *folders], capture_output=True, text=True, check=True, cwd=ROOT)
    return Counter(ROOT / line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line)


def test_every_check_is_counted_in_its_area() -> None:
    counts, text = found(), (FOLDER / "README.md").read_text(encoding="utf-8")
    unnamed = set(counts)
    for names, number in ROW.findall(text):
        files: set[Path] = set()
        for name in re.findall(r"`([^`]+)`", names):
            files |= {path.resolve() for path in FOLDER.glob(name if name.endswith(".py") else f"{name}/test_*.py")}
        assert sum(counts[file] for file in files) == int(number), names
        unnamed -= files
    assert not unnamed
    kubectl = sum(number for file, number in counts.items() if file.parent.name == "kubectl")
    assert f"\n{sum(counts.values()) - kubectl} checks of " in text
    assert f"in `../kubectl` {kubectl} more" in text
