"""What the end-to-end tests measured: one JSON file a scenario, and the table that is made of all of them.

Parts of the suite may run one after another, each in a process of its own: the table takes the newest figures of every
scenario that still exists.
"""

import ast
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cluster_platform import ROOT

RESULTS = ROOT / "build" / "cluster" / "results"
TABLE = ROOT / "build" / "cluster" / "reliability.md"
TESTS = ROOT / "tests" / "cluster"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = (
    "| scenario | requests sent | lost | last answer of the old version on a new connection, s | status says so, s "
    "| rollback, s | remarks |\n|---|---:|---:|---:|---:|---:|---|"
)


@dataclass(frozen=True)
class Transition:
    """Seconds since the user's act. `rollback`: back to a version that had served before.

    `traffic` is missing where two revisions of one version cannot be told apart by their answers."""

    traffic: float | None
    status: float
    rollback: bool = False


@dataclass
class Row:
    """One scenario. `lost` counts by what the client saw."""

    test: str
    sent: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    by_version: dict[str, int] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def scenario(self) -> str:
        words = self.test.removeprefix("test_").replace("_", " ")
        return words[:1].upper() + words[1:]

    def keep(self) -> None:
        RESULTS.mkdir(parents=True, exist_ok=True)
        file = RESULTS / f"{self.test}.json"
        file.write_text(json.dumps(asdict(self), sort_keys=True) + "\n", encoding="utf-8")

    def line(self) -> str:
        forward = [t for t in self.transitions if not t.rollback]
        back = [t for t in self.transitions if t.rollback]
        lost = sum(self.lost.values())
        cells = [self.scenario, f"{self.sent:,}", str(lost), _longest(t.traffic for t in forward)]
        cells += [_longest(t.status for t in forward), _longest(t.traffic for t in back), "; ".join(self.remarks)]
        return f"| {' | '.join(cells)} |"


def _longest(seconds: Iterable[float | None]) -> str:
    known = [value for value in seconds if value is not None]
    return f"{max(known):.1f}" if known else ""


def kinds(lost: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(lost).items()))


def write_table(file: Path) -> None:
    """Into the file between its markers; where it has none, the table alone."""
    rows = [_read(name) for name in _tests()]
    table = "\n".join([HEAD, *(row.line() for row in rows if row is not None and row.sent)])
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if BEGIN in text and END in text:
        text = f"{text[: text.index(BEGIN)]}{BEGIN}\n{table}\n{text[text.index(END) :]}"
    else:
        text = f"{table}\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _tests() -> list[str]:
    """Names of the tests there are, in the order of their files."""
    names: list[str] = []
    for file in sorted(TESTS.glob("test_*.py")):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        names += [node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return names


def _read(test: str) -> Row | None:
    file = RESULTS / f"{test}.json"
    if not file.is_file():
        return None
    told = json.loads(file.read_text(encoding="utf-8"))
    return Row(**told | {"transitions": [Transition(**t) for t in told["transitions"]]})
