"""How often the gate on predictions holds: its part of `make statistics`, by the code that decides in the cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from math import floor, log2
from pathlib import Path
from random import Random
from statistics import NormalDist, median

from canary_draws import poisson
from canary_tables import with_section
from headgate_operator.core.evidence.eprocess import cap
from headgate_operator.core.evidence.interval import Bin, Predicted
from headgate_operator.core.evidence.policy import EvidencePolicy
from headgate_operator.core.evidence.shift import RELEVANT, Shift

PAGE = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
BEGIN, END = "<!-- predictions: begin -->", "<!-- predictions: end -->"
BOUND = EvidencePolicy().rollback_bound
RATES = (10, 100, 1000)
RUNS = 200
INTERVALS = 60
Shares = Mapping[Bin, float]


def held(seed: int, rate: float, candidate: Shares, stable: Shares, *, at_once: int = 1) -> int | None:
    """Seconds until ten minutes of traffic hold, a tenth of it to the candidate; `at_once`: so many alike each time."""
    rng, shift = Random(seed), Shift()
    for interval in range(1, INTERVALS + 1):
        ours, theirs = (
            _drawn(rng, 10 * rate * part, shares, at_once) for part, shares in ((0.1, candidate), (0.9, stable))
        )
        shift = shift.after(cap(BOUND), ours, theirs)
        if shift.evidence.log_value >= BOUND and shift.index >= RELEVANT:
            return 10 * interval
    return None


def _drawn(rng: Random, mean: float, shares: Shares, at_once: int) -> Predicted:
    drawn = ((name, float(at_once * poisson(rng, mean * share / at_once))) for name, share in shares.items())
    return tuple(pair for pair in drawn if pair[1])


def normal(mean: float, deviation: float) -> Shares:
    """On the server's ladder; of positive numbers."""
    whole, shares, parts = NormalDist(mean, deviation), dict[Bin, float](), 2000
    width = 10 * deviation / parts
    for part in range(parts):
        low = mean - 5 * deviation + part * width
        step = floor(16 * (log2(max(low + width / 2, 2**-16)) + 16)) + 1
        shares[step] = shares.get(step, 0.0) + whole.cdf(low + width) - whole.cdf(low)
    return shares


TEN: Shares = {str(digit): 0.1 for digit in range(10)}
RARE: Shares = {"0": 0.97, "1": 0.02, "2": 0.01}
NUMBERS = normal(20, 3)
WORLDS: dict[str, tuple[Shares, Shares, int]] = {
    "equal, ten classes": (TEN, TEN, 1),
    "equal, classes of 97, 2 and 1 %": (RARE, RARE, 1),
    "equal, numbers": (NUMBERS, NUMBERS, 1),
    "equal, ten alike requests at once": (TEN, TEN, 10),
    "a class of 12 % has 14 %": ({"0": 0.14, "1": 0.86}, {"0": 0.12, "1": 0.88}, 1),
    "a class of 12 % has 31 %": ({"0": 0.31, "1": 0.69}, {"0": 0.12, "1": 0.88}, 1),
    "numbers, mean + 0.25 standard deviations": (normal(20.75, 3), NUMBERS, 1),
    "numbers, mean + 0.5 standard deviations": (normal(21.5, 3), NUMBERS, 1),
    "numbers, mean + 1 standard deviation": (normal(23, 3), NUMBERS, 1),
}


def table() -> str:
    lines = [BEGIN, "", f"| predictions | {' | '.join(f'{rate} requests/s' for rate in RATES)} |"]
    lines.append("|---|" + "---|" * len(RATES))
    for name, (candidate, stable, at_once) in WORLDS.items():
        sys.stderr.write(f"{name} ...\n")
        cells = []
        for rate in RATES:
            found = [held(seed, rate, candidate, stable, at_once=at_once) for seed in range(RUNS)]
            seconds = [one for one in found if one is not None]
            cells.append(f"{100 * len(seconds) / RUNS:g}" + (f" · {median(seconds):g} s" if seconds else ""))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", END])


def main() -> int:
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), table(), BEGIN, END), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
