"""docs/statistics.md promises what the engine does: its tables against a smaller simulation, with other seeds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import comb, sqrt
from pathlib import Path

import pytest

from canary_rollouts import BROKEN, EQUAL, ERRORS, LATENCY, POLICY, RATES, World, cell
from canary_tables import GROUPS, RUNS, first_requests

PAGE = Path(__file__).resolve().parents[3] / "docs" / "statistics.md"
FEW = 30
OTHER_SEEDS = 100_000
WORLDS = {world.name: world for worlds in GROUPS.values() for world in worlds}
CELL = re.compile(r"^([\d.]+) / ([\d.]+) / ([\d.]+)(?: · ([\d.]+) s · ([\d.]+))?$")


@dataclass(frozen=True)
class Told:
    rolled_back: float
    promoted: float
    waiting: float


def rows() -> dict[str, dict[int, Told]]:
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        name, *cells = (part.strip() for part in line.strip("|").split("|"))
        matches = [CELL.match(one) for one in cells]
        if len(matches) == len(RATES) and all(matches):
            shares = [[float(number) / 100 for number in match.groups()[:3]] for match in matches if match]
            found[name] = {rate: Told(*share) for rate, share in zip(RATES, shares, strict=True)}
    return found


def most_by_chance(p: float, runs: int = RUNS) -> float:
    """The share that is exceeded once in ten thousand times."""
    tail, count = 1.0, 0
    while tail > 1e-4:
        tail -= comb(runs, count) * p**count * (1 - p) ** (runs - count)
        count += 1
    return count / runs


def test_the_page_has_every_world_and_no_other() -> None:
    assert rows().keys() == WORLDS.keys()


@pytest.mark.parametrize("rate", RATES)
def test_an_equal_version_is_rolled_back_no_more_often_than_was_promised(rate: int) -> None:
    for name in ("equal", "equal, one step"):
        assert rows()[name][rate].rolled_back <= most_by_chance(POLICY.false_rollback)


@pytest.mark.parametrize("rate", RATES)
def test_a_version_beyond_the_margin_is_promoted_no_more_often_than_was_promised(rate: int) -> None:
    beyond = {"+2", "+5", "+10", "+30", "twice"}
    found = [told[rate].promoted for name, told in rows().items() if name.split()[0] in beyond]
    assert len(found) == len(beyond)
    assert max(found) <= most_by_chance(POLICY.false_promote)


@pytest.mark.parametrize("rate", RATES)
def test_what_no_candidate_can_help_rolls_back_hardly_any(rate: int) -> None:
    for name in ("outage of both: 20 % for 60 s", "weight 5 to 50 % while errors rise 0.5 to 3 %"):
        assert rows()[name][rate].rolled_back <= most_by_chance(POLICY.false_rollback)


def test_without_traffic_everything_waits() -> None:
    assert set(rows()["no traffic"].values()) == {Told(0, 0, 1)}


def test_ten_points_more_errors_cost_at_most_a_hundred_requests() -> None:
    requests = first_requests()
    assert requests <= 100
    assert f"**{requests:g} requests** to the candidate" in PAGE.read_text(encoding="utf-8")


def named(worlds: tuple[World, ...], start: str) -> World:
    return next(world for world in worlds if world.name.startswith(start))


@pytest.mark.parametrize(
    ("world", "rate"),
    [
        (EQUAL, 100),
        (named(ERRORS, "equal"), 10),
        (named(ERRORS, "equal"), 1000),
        (named(ERRORS, "+0.5"), 100),
        (named(ERRORS, "+2"), 10),
        (named(ERRORS, "+10"), 1),
        (named(ERRORS, "+10"), 100),
        (named(LATENCY, "1.1"), 100),
        (named(LATENCY, "twice"), 10),
        (named(LATENCY, "p99"), 100),
        (named(BROKEN, "no traffic"), 100),
        (named(BROKEN, "outage"), 100),
        (named(BROKEN, "weight"), 100),
        (named(BROKEN, "each failure"), 100),
        (named(BROKEN, "bursts of each version, CV 0.5"), 1000),
        (named(BROKEN, "one burst"), 100),
        (named(BROKEN, "three times"), 1000),
        (named(BROKEN, "5 %"), 1000),
    ],
    ids=lambda value: value.name if isinstance(value, World) else str(value),
)
def test_a_smaller_simulation_agrees_with_the_page(world: World, rate: int) -> None:
    told = rows()[world.name][rate]
    found = cell(world, rate, FEW, first_seed=OTHER_SEEDS)
    for promised, seen in ((told.rolled_back, found.rolled_back), (told.promoted, found.promoted)):
        share = (promised * RUNS + seen + 1) / (RUNS + FEW + 2)
        spread = sqrt(share * (1 - share) * (1 / RUNS + 1 / FEW))
        assert abs(promised - seen / FEW) <= 4 * spread
