"""Back-off as arithmetic: at once, doubling, capped, forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headgate_local.kubelet.backoff import Backoff

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_first_restart_is_immediate_and_later_ones_double_up_to_the_longest() -> None:
    backoff, moment, waits = Backoff(base=10), START, []
    for _ in range(8):
        wait = backoff.remaining(moment, moment)
        waits.append(wait)
        moment += timedelta(seconds=wait)
        backoff = backoff.after_start(moment, moment)
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]


def test_waiting_counts_from_the_end_of_the_run() -> None:
    backoff = Backoff(base=10).after_start(START, START)
    ended = START + timedelta(seconds=50)
    assert backoff.remaining(ended, ended + timedelta(seconds=4)) == 6
    assert backoff.remaining(ended, ended + timedelta(seconds=11)) == 0


def test_a_long_good_run_starts_over() -> None:
    backoff = Backoff(base=10).after_start(START, START).after_start(START, START)
    ended = START + timedelta(seconds=601)
    assert backoff.remaining(ended, ended) == 0
    assert backoff.after_start(ended, ended).wait == 10
