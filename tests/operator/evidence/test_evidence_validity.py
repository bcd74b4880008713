"""The promise behind everything: under the hypothesis the evidence is not expected to grow, whatever was guessed."""

from __future__ import annotations

import random
from math import comb, exp

import pytest

from headgate_operator.core.evidence.counts import Counts
from headgate_operator.core.evidence.eprocess import HARM, SAFETY, EProcess, cap
from headgate_operator.core.evidence.evalue import log_e_values

RATES = [0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0]


def chances(n: int, p: float) -> list[float]:
    return [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def expectation(u: float, n_c: int, n_s: int, guess: float, r: float, d: float, p_s: float) -> float:
    """By enumeration, on the boundary of the hypothesis; beyond 1, at what is possible."""
    total = 0.0
    for k_c, chance_c in enumerate(chances(n_c, min(r * p_s + d, 1.0))):
        for k_s, chance_s in enumerate(chances(n_s, p_s)):
            found = log_e_values((u,), Counts(n_c, k_c, n_s, k_s), guess, r, d)
            total += chance_c * chance_s * exp(found[0] if found else 0.0)
    return total


@pytest.mark.parametrize(("grid", "r", "d"), [(HARM.grid, 1, 0), (SAFETY.grid, 1, 0.01), (SAFETY.grid, 2, 0.01)])
def test_no_interval_is_expected_to_give_evidence_where_there_is_none(
    grid: tuple[float, ...], r: float, d: float
) -> None:
    rng = random.Random(5)
    for _ in range(60):
        u, n_c, n_s = rng.choice(grid), rng.randint(1, 7), rng.randint(1, 9)
        guess = rng.choice([1e-6, 0.002, 0.01, 0.1, 0.4, 0.7, 0.999])
        worst = max(expectation(u, n_c, n_s, guess, r, d, p_s) for p_s in RATES)
        assert worst <= 1 + 1e-9, (u, n_c, n_s, guess)


def test_the_bound_is_reached_where_the_guess_is_right() -> None:
    assert expectation(2, 6, 8, 0.2, 1, 0, 0.2) == pytest.approx(1)


@pytest.mark.parametrize("checks", [1, 2, 3, 10, 1000])
def test_the_weights_of_the_restarts_sum_to_one(checks: int) -> None:
    """Intervals that say nothing leave the evidence where it was."""
    process = EProcess(HARM)
    for _ in range(checks):
        process = process.after(None, 1.0)
    assert process.log_value == pytest.approx(0, abs=1e-9)


def test_safety_is_one_bet_from_the_beginning() -> None:
    process = EProcess(SAFETY)
    for es in ([1.0] * 6, [1.0] * 6, [-3.0] * 6):
        process = process.after(es, 5.0)
    assert process.log_value == pytest.approx(-1)


def test_one_interval_gives_at_most_the_cap() -> None:
    bound = 4.0
    process = EProcess(HARM).after([50.0] * 6, cap(bound))
    assert process.log_value < 0.4 * bound
    process = process.after([50.0] * 6, cap(bound))
    assert process.log_value < bound
    assert process.after([50.0] * 6, cap(bound)).log_value > bound
