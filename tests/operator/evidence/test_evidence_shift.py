"""Do two versions predict alike? What is compared, that it seldom errs, and what is said of it."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from math import comb, exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_lab import EVERYTHING, Told, interval, play
from headgate_operator.api.spec import PredictionShift
from headgate_operator.core.evidence.bins import Bins
from headgate_operator.core.evidence.interval import Arm
from headgate_operator.core.evidence.judgement import Verdict
from headgate_operator.core.evidence.shift import FIRST, Shift, Spread, chi_square, log_e_values, stability_index
from prediction_shift import BEGIN, BOUND, END, PAGE, RATES, WORLDS, held

HOLD = replace(EVERYTHING, client_errors=False, max_latency_ratio=None)
ROLLBACK = replace(HOLD, prediction_shift=PredictionShift.ROLLBACK)
DISABLED = replace(HOLD, prediction_shift=PredictionShift.DISABLED)
EVEN = {"setosa": 300, "versicolor": 300, "virginica": 300}
SHIFTED = {"setosa": 50, "versicolor": 10, "virginica": 40}
EQUAL = {"setosa": 33, "versicolor": 34, "virginica": 33}

REFERENCE = (1000,) * 10
SLIGHT = (150, 130, 110, 100, 100, 90, 90, 80, 80, 70)
LARGE = (20, 40, 60, 80, 90, 100, 120, 140, 160, 190)


# --- worked values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("counts", "psi", "chi2"), [(SLIGHT, 0.050332, 48.2581), (LARGE, 0.308628, 233.7842)])
def test_the_statistics_have_the_worked_values(counts: tuple[int, ...], psi: float, chi2: float) -> None:
    assert stability_index(REFERENCE, counts) == pytest.approx(psi, abs=5e-7)
    found, freedom = chi_square(REFERENCE, counts)
    assert (found, freedom) == (pytest.approx(chi2, abs=5e-5), 9)


def test_the_index_leaves_out_what_chance_alone_would_make_it() -> None:
    shift = Shift(bins=Bins(edges=tuple(range(8))), stable=REFERENCE, candidate=SLIGHT)
    assert shift.index == pytest.approx(0.050332 - 0.0099, abs=5e-7)
    jumpy = replace(shift, spread=Spread(squares=25.0, pairs=5.0))
    assert jumpy.index == pytest.approx(0.050332 - 3 * 0.0099, abs=1e-6)


def test_bins_without_a_prediction_of_either_do_not_count() -> None:
    bins = Bins(labels=("a", "b", "c"))
    assert Shift(bins=bins, stable=(90.0, 10.0, 0.0, 0.0), candidate=(9.0, 1.0, 0.0, 0.0)).index == pytest.approx(
        stability_index((90, 10), (9, 1)) - (1 / 100 + 1 / 10)
    )


def test_the_evidence_of_one_interval() -> None:
    """By hand: shares of both so far 1/2 + 1/4 towards each, mixed as the requests of the interval are."""
    past, now = ((8.0, 2.0), (2.0, 8.0)), ((3.0, 1.0), (2.0, 10.0))
    ours, theirs = (8 + 5) / 20, (2 + 5) / 20
    mixed = (4 * ours + 12 * theirs) / 16
    by_hand = 3 * log(ours / mixed) + log((1 - ours) / (1 - mixed))
    by_hand += 2 * log(theirs / mixed) + 10 * log((1 - theirs) / (1 - mixed))
    assert log_e_values((1.0,), past, now) == [pytest.approx(by_hand)]
    assert by_hand == pytest.approx(1.615924, abs=5e-7)
    assert log_e_values((0.25, 0.5, 1.0), ((0.0, 0.0), (0.0, 0.0)), now) == [0.0, 0.0, 0.0]


# --- validity ---------------------------------------------------------------------------------------------------------


def chances(n: int, shares: tuple[float, ...]) -> list[tuple[tuple[float, ...], float]]:
    found = []
    for first, second in product(range(n + 1), repeat=2):
        if first + second <= n:
            third = n - first - second
            ways = comb(n, first) * comb(n - first, second)
            chance = ways * shares[0] ** first * shares[1] ** second * shares[2] ** third
            found.append(((float(first), float(second), float(third)), chance))
    return found


SHARES = [(1 / 3, 1 / 3, 1 / 3), (0.9, 0.1, 0.0), (0.0, 0.5, 0.5), (0.98, 0.01, 0.01), (0.2, 0.3, 0.5)]


def test_no_interval_is_expected_to_give_evidence_where_there_is_none() -> None:
    rng = random.Random(7)
    for _ in range(25):
        past = tuple(tuple(float(rng.choice([0, 1, 5, 40, 900])) for _ in range(3)) for _ in range(2))
        n_c, n_s, phi = rng.randint(1, 5), rng.randint(1, 6), rng.choice([1.0, 2.5])
        for shares in SHARES:
            expected = [0.0, 0.0]
            for (ours, p_c), (theirs, p_s) in product(chances(n_c, shares), chances(n_s, shares)):
                es = log_e_values((0.25, 1.0), (past[0], past[1]), (ours, theirs), phi)
                expected = [sum_ + p_c * p_s * exp(e) for sum_, e in zip(expected, es, strict=True)]
            assert max(expected) <= 1 + 1e-9, (past, n_c, n_s, shares)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", [name for name in WORLDS if name.startswith("equal")])
def test_equal_versions_hold_no_more_often_than_was_promised(name: str, rate: float) -> None:
    candidate, stable, at_once = WORLDS[name]
    holds = sum(held(seed, rate, candidate, stable, at_once=at_once) is not None for seed in range(40))
    assert holds <= 40 * exp(-BOUND) + 2


def test_a_shift_is_found_and_a_slight_one_lets_be() -> None:
    large, slight = (WORLDS[f"a class of 12 % has {share} %"] for share in (31, 14))
    assert all(held(seed, 100, large[0], large[1]) for seed in range(20))
    assert not any(held(seed, 1000, slight[0], slight[1]) for seed in range(10))


def test_the_page_has_the_table_of_every_world() -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    named = [line.split(" | ")[0].removeprefix("| ") for line in rest.partition(END)[0].splitlines() if " | " in line]
    assert named[1:] == list(WORLDS)


# --- what is compared -------------------------------------------------------------------------------------------------


def test_numbers_are_compared_in_tenths_of_what_stable_said_and_beyond() -> None:
    bins = Bins.of(tuple((step, 1.0) for step in range(100, 200)))
    assert bins.edges == (100, 110, 120, 130, 140, 150, 160, 170, 180, 190, 200)
    counts = bins.counted(((99, 1.0), (100, 2.0), (109, 3.0), (199, 4.0), (200, 5.0), ("text", 6.0)))
    assert (counts[0], counts[1], counts[10], counts[11], counts[12]) == (1, 5, 4, 5, 6)
    assert sum(counts) == 21


def test_a_version_that_always_says_the_same_is_compared_with_that() -> None:
    bins = Bins.of(((257, 100.0),))
    assert (bins.edges, bins.counted(((256, 1.0), (257, 2.0), (258, 3.0)))) == ((257, 258), (1, 2, 3, 0))


def test_the_nine_most_frequent_classes_have_a_bin_each() -> None:
    bins = Bins.of(tuple((f"c{n}", float(n)) for n in range(1, 15)))
    assert bins.labels == tuple(f"c{n}" for n in range(14, 5, -1))
    assert bins.counted((("c14", 2.0), ("c1", 1.0), ("new", 3.0), (257, 4.0))) == (2, *(0,) * 8, 8)


@given(
    st.dictionaries(st.integers(-768, 768) | st.text(min_size=1, max_size=3), st.integers(1, 1000), min_size=1),
    st.dictionaries(st.integers(-768, 768) | st.text(min_size=1, max_size=3), st.integers(1, 1000)),
)
def test_bins_hold_every_prediction_once_and_are_read_as_they_were_written(
    first: dict[str | int, int], then: dict[str | int, int]
) -> None:
    bins = Bins.of(tuple(first.items()))
    assert sum(bins.counted(tuple(then.items()))) == sum(then.values())
    assert Bins.read(bins.text) == bins
    assert all(bins.words(index) for index in range(bins.size))


def test_numbers_are_told_as_numbers() -> None:
    bins = Bins(edges=(-257, 0, 257, 273))
    assert [bins.words(index) for index in range(bins.size)] == [
        "below -1.04", "-1.04 to 0", "0 to 1", "1 to 2", "2 and more", "what is no number",
    ]  # fmt: skip


# --- what is said -----------------------------------------------------------------------------------------------------


def arm(predictions: dict[str, int]) -> Arm:
    return Arm(requests=sum(predictions.values()), predictions=tuple(predictions.items()))


def played(policy: object, candidate: dict[str, int], ticks: int = 20) -> list[Told]:
    assert isinstance(policy, type(HOLD))
    return play(policy, [interval(10.0 * n, arm(candidate), arm(EVEN)) for n in range(1, ticks + 1)])


def test_a_shift_holds_and_says_what_moved_and_what_to_do() -> None:
    last = played(HOLD, SHIFTED)[-1].judgement
    assert (last.verdict, last.gate) == (Verdict.WAIT, "predictionShift")
    assert last.missing == (
        "predictions of version 4 differ from those of version 3: class versicolor 33 % -> 10 %, "
        "class setosa 33 % -> 50 %; somebody to look at it: promote or abort"
    )
    assert "(PSI 0.3" in last.reason
    assert "bound 20)" in last.reason
    assert last.log_e["predictionShift.harm"] > last.bounds["predictionShift.harm"] == pytest.approx(log(20))


def test_it_holds_before_the_first_step_may_be_left() -> None:
    assert [one.verdict for one in played(HOLD, SHIFTED, 6)] == ["wait"] * 6
    assert played(DISABLED, SHIFTED, 20)[-1].verdict == "promote"


def test_a_shift_rolls_back_where_that_is_wanted_and_takes_its_part_of_the_probability() -> None:
    told = played(ROLLBACK, SHIFTED)
    first = next(one.judgement for one in told if one.verdict != "wait")
    assert (first.verdict, first.gate, first.missing) == (Verdict.ROLLBACK, "predictionShift", None)
    assert first.bounds["predictionShift.harm"] == first.bounds["errorRate.harm"] == pytest.approx(log(40))


def test_a_slight_shift_is_no_reason_to_wait_however_sure_it_is() -> None:
    candidate, stable = arm({"a": 56_000, "b": 44_000}), arm({"a": 450_000, "b": 450_000})
    last = play(HOLD, [interval(10.0 * n, candidate, stable) for n in range(1, 20)])[-1].judgement
    assert last.log_e["predictionShift.harm"] > last.bounds["predictionShift.harm"]
    assert last.verdict == "promote"


def test_equal_predictions_are_no_reason_to_wait() -> None:
    last = played(HOLD, EQUAL)[-1].judgement
    assert (last.verdict, last.gate) == (Verdict.PROMOTE, "errorRate")
    assert last.log_e["predictionShift.harm"] < 0.2


def test_without_predictions_nothing_is_waited_for_or_told() -> None:
    for candidate, stable in (((), ()), ((), tuple(EVEN.items())), (tuple(EVEN.items()), ())):
        intervals = [
            interval(10.0 * n, Arm(requests=100, predictions=candidate), Arm(requests=900, predictions=stable))
            for n in range(1, 30)
        ]
        assert play(HOLD, intervals)[-1].verdict == "promote"


def test_what_is_proven_to_be_worse_is_told_first() -> None:
    candidate = replace(arm(SHIFTED), errors=30)
    told = play(ROLLBACK, [interval(10.0 * n, candidate, arm(EVEN)) for n in range(1, 20)])
    assert (told[-1].verdict, told[-1].judgement.gate) == ("rollback", "errorRate")


def test_stables_first_predictions_make_the_bins_and_are_not_compared() -> None:
    shift = Shift().after(5.0, (("a", 50.0),), (("a", FIRST - 1.0),))
    assert (shift.bins, shift.first) == (None, (("a", FIRST - 1.0),))
    shift = shift.after(5.0, (("a", 50.0),), (("b", 1.0),))
    assert (shift.bins, shift.stable, shift.evidence.checks) == (Bins(labels=("a", "b")), (0, 0, 0), 0)
