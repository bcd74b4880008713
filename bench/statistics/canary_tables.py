"""`make statistics`: simulates the rollouts and writes their tables into docs/statistics.md, between its markers."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from canary_rollouts import BROKEN, EQUAL, ERRORS, LATENCY, RATES, Cell, World, cell, run, worse

PAGE = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
BEGIN, END = "<!-- statistics: begin -->", "<!-- statistics: end -->"
RUNS = 200
FIRST_RUNS = 20
GROUPS = {
    "A whole rollout of an equal version (10 %, 50 %, 100 %; an hour at most)": (EQUAL,),
    "Errors: one step of 10 %, ten minutes at most": ERRORS,
    "Latency: one step of 10 %, ten minutes at most": LATENCY,
    "An equal version where the assumptions break: ten minutes, whatever is promoted": BROKEN,
}


def told(found: Cell) -> str:
    shares = " / ".join(f"{100 * count / found.runs:g}" for count in (found.rolled_back, found.promoted, found.waiting))
    if found.seconds is None or found.requests is None:
        return shares
    return f"{shares} · {found.seconds:g} s · {found.requests:g}"


def table(title: str, worlds: tuple[World, ...]) -> list[str]:
    lines = [f"### {title}", "", f"| candidate | {' | '.join(f'{rate} requests/s' for rate in RATES)} |"]
    lines.append("|---|" + "---|" * len(RATES))
    for world in worlds:
        _say(f"{world.name} ...\n")
        lines.append(f"| {world.name} | {' | '.join(told(cell(world, rate, RUNS)) for rate in RATES)} |")
    return [*lines, ""]


def first_requests() -> float:
    """To the bad version until it was rolled back, 10 points more errors at 10 requests/s: median of the first runs."""
    return median(run(worse(10), 10, seed).requests for seed in range(FIRST_RUNS))


def section() -> str:
    first = (
        f"With 10 percentage points more errors at 10 requests/s the median of the first {FIRST_RUNS} runs is "
        f"**{first_requests():g} requests** to the candidate, from its first, until it is rolled back."
    )
    lines = [BEGIN, "", first, ""]
    for title, worlds in GROUPS.items():
        lines += table(title, worlds)
    return "\n".join([*lines, END])


def with_section(page: str, section: str, begin: str = BEGIN, end: str = END) -> str:
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return before + section + after


def _say(text: str) -> None:
    sys.stderr.write(text)


def main() -> int:
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), section()), encoding="utf-8")
    _say(f"{PAGE} is written.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
