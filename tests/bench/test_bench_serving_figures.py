"""The numbers of `make bench-serving`: what wrk said, ratios within a round, the goals. Nothing is measured here."""

import pytest

import serving_wrk as wrk
from serving_liveness import told
from serving_musts import Goal, Measured, goals
from serving_samples import Cell, Sample, middle, quantile, ratio

CELL = Cell("lr", 1, 16)
PRINTED = """Running 1s test @ http://127.0.0.1:8080/predict
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.18ms  300.00us   9.46ms   90.00%
  9783 requests in 1.00s, 1.20MB read
Requests/sec:   9783.00
@figures {"requests":9783,"microseconds":1000000,"non_2xx":3,"socket_errors":2,"timeouts":1,"p50":1180,"p90":5370,"p99":9460,"max":9999}
"""  # noqa: E501


def sample(contender: str, number: int, rate: float, cell: Cell = CELL, non_2xx: int = 0) -> Sample:
    return Sample(contender, cell, number, round(rate) + non_2xx, 1.0, non_2xx, 0, 1000, 2000, 3000, 0.5)


def test_the_figures_are_read_from_what_wrk_printed() -> None:
    found = wrk.parse(PRINTED, "ours", CELL, 2, 0.25)

    assert (found.contender, found.cell, found.round) == ("ours", CELL, 2)
    assert (found.p50, found.p90, found.p99) == (1180, 5370, 9460)
    assert (found.non_2xx, found.failed) == (3, 6)
    assert (found.rate, found.generator_busy) == (9780.0, 0.25)


def test_output_without_figures_is_an_error_that_shows_it() -> None:
    with pytest.raises(wrk.WrkFailed, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1", "ours", CELL, 1, 0.0)


def test_an_answer_that_is_not_a_200_earns_nothing() -> None:
    assert sample("a", 1, 100, non_2xx=900).rate == 100


def test_a_ratio_is_the_median_of_the_ratios_within_the_rounds() -> None:
    """The second round was slow for both; the ratio of the medians would be 5."""
    ours = [sample("ours", 1, 1000), sample("ours", 2, 300), sample("ours", 3, 900)]
    theirs = [sample("them", 1, 100), sample("them", 2, 100), sample("them", 3, 180)]

    found = ratio([*ours, *theirs], "ours", "them", CELL)

    assert found is not None
    assert (found.median, found.low, found.high, found.rounds) == (5.0, 3.0, 10.0, 3)


def test_a_round_that_only_one_side_has_or_in_which_the_other_answered_nothing_is_left_out() -> None:
    ours = [sample("ours", number, 100) for number in (1, 2, 3)]
    theirs = [sample("them", 1, 50), sample("them", 2, 0)]

    found = ratio([*ours, *theirs], "ours", "them", CELL)

    assert found is not None
    assert (found.median, found.rounds) == (2.0, 1)


def test_there_is_no_ratio_between_different_loads() -> None:
    assert ratio([sample("ours", 1, 9), sample("them", 1, 9, Cell("lr", 1, 64))], "ours", "them", CELL) is None
    assert middle([], "rate") is None


@pytest.mark.parametrize(
    ("value", "least", "verdict"),
    [
        (9.9, True, "**missed**"),
        (10, True, "met"),
        (20, True, "met, aim too"),
        (None, True, "not measured"),
        (10.1, False, "**missed**"),
        (10, False, "met"),
    ],
)
def test_a_goal_says_whether_it_is_met(value: float | None, least: bool, verdict: str) -> None:
    assert Goal("speed", 10, 20 if least else 5, value, "x", least).verdict == verdict


def test_the_goals_are_judged_by_the_ratios_and_the_processes() -> None:
    samples = [
        sample("headgate-v2", 1, 4000, Cell("lr", 1, 64)),
        sample("echo-v2", 1, 10000, Cell("lr", 1, 64)),
        sample("mlserver", 1, 300, Cell("lr", 1, 64)),
    ]

    found = {goal.what: goal for goal in goals(samples, Measured(0.5, 130, 9.0))}

    share = found["share of the bare ASGI echo, V2, c = 64"]
    assert (share.value, share.verdict) == (40.0, "**missed**")
    assert found["against MLServer tuned, V2, c = 64"].verdict == "met"
    assert found["against MLServer tuned, V2, c = 16"].verdict == "not measured"
    assert found["start to Ready, small ONNX on disk"].verdict == "met, aim too"
    assert found["memory after load (RSS), small ONNX"].verdict == "**missed**"
    assert found["liveness p99 while the model is busy for 2 s"].verdict == "met, aim too"


AGAINST = "forest, 1 row, against kserve,"
FOREST = {Cell("rf", 1, 1): 30, Cell("rf", 1, 16): 60, Cell("rf", 1, 64): 70}


@pytest.mark.parametrize(("echoed", "alone"), [(49, "**missed**; the bare echo reaches 49 x"), (0, "**missed**")])
def test_a_forest_is_judged_with_many_connections_and_with_one(echoed: int, alone: str) -> None:
    samples = [sample("headgate-v2", 1, 10 * times, cell) for cell, times in FOREST.items()]
    samples += [sample("kserve", 1, 10, cell) for cell in FOREST]
    samples += [sample("echo-v2", 1, 10 * echoed, cell) for cell in FOREST if echoed]

    found = {goal.what.rpartition(", ")[2]: goal for goal in goals(samples, Measured()) if AGAINST in goal.what}

    assert {what: (goal.value, goal.verdict) for what, goal in found.items()} == {
        "c = 16 and 64": (60.0, "met"),
        "c = 1": (30.0, alone),
    }


def test_a_quantile_is_a_value_that_was_seen() -> None:
    values = [float(number) for number in range(1, 201)]

    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([7.0], 0.99)) == (100, 198, 7)


def test_a_probe_without_an_answer_is_late_not_left_out() -> None:
    found = told([0.001] * 98 + [None, None], 2.0)

    assert (found.probes, found.failed, found.p50_ms) == (100, 2, 1.0)
    assert found.p99_ms == found.max_ms == 30_000
