"""Pods that come and go: what is told of them is written now and then, what follows from them at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from canary_lab import canary
from core_lab import WIDE, Lab, serving
from headgate_operator.api.status import Status
from headgate_operator.core.settling import TOLD_EVERY, only_told


def written_while_it_flaps(lab: Lab, version: str, *, seconds: int) -> list[Status]:
    """A pod that is ready in one second and not in the next."""
    lab.holds_back = True
    written: list[Status] = []
    for second in range(seconds):
        lab.behaviours[version] = replace(lab.behaviours[version], ready_pods=1000 if second % 2 else 0)
        before = lab.status
        lab.now += timedelta(seconds=1)
        while lab.step():
            if lab.status != before:
                written.append(lab.status)
                before = lab.status
    return written


def test_a_candidate_that_flaps_under_traffic_is_told_of_now_and_then() -> None:
    lab = canary()
    lab.wait(30)
    written = written_while_it_flaps(lab, "2", seconds=120)
    assert lab.selected == WIDE
    assert 12 <= len(written) <= 2 * 120 / TOLD_EVERY.seconds + 2, "falling and rising, once in ten seconds"


def test_pods_that_flap_at_rest_are_told_of_now_and_then() -> None:
    lab = serving(replicas=3)
    lab.behaves("1")
    lab.behaviours["1"] = replace(lab.behaviours["1"], ready_pods=3)
    lab.holds_back = True
    writes = 0
    for second in range(120):
        lab.behaves("1", ready_pods=3 if second % 2 else 2)
        lab.now += timedelta(seconds=1)
        before = lab.status
        lab.settle()
        writes += lab.status != before
    assert 10 <= writes <= 14


def test_the_first_change_is_told_at_once_and_the_last_within_ten_seconds() -> None:
    lab = serving(replicas=3)
    lab.holds_back = True
    lab.behaves("1", ready_pods=2)
    lab.settle()
    assert lab.status.ready == "2/3"
    lab.now += timedelta(seconds=1)
    lab.behaves("1", ready_pods=1)
    lab.settle()
    assert lab.status.ready == "2/3"
    lab.wait(9)
    assert lab.status.ready == "1/3", "it asked to be woken for that"


def test_that_nobody_answers_any_more_is_told_at_once() -> None:
    lab = serving(replicas=3)
    lab.holds_back = True
    lab.behaves("1", ready_pods=2)
    lab.settle()
    lab.behaves("1", ready_pods=0)
    lab.settle()
    assert lab.said("Available") == ("False", "NoReadyPods")
    assert lab.status.ready == "0/3"


def test_a_decision_is_never_held_back() -> None:
    lab = canary()
    lab.wait(30)
    written_while_it_flaps(lab, "2", seconds=21)
    lab.behaves("2", restarts=2)
    lab.settle()
    assert (lab.selected, lab.candidate) == ("1", None)


def test_a_candidate_without_traffic_loses_its_verification_at_once() -> None:
    lab = serving(min_duration=timedelta(minutes=5))
    lab.holds_back = True
    lab.want("2")
    lab.settle()
    assert lab.status.candidate is not None
    assert lab.status.candidate.verified_at is not None
    lab.behaves("2", ready_pods=1)
    lab.settle()
    assert lab.status.candidate.verified_at is None
    assert not only_told(lab.status, replace(lab.status, candidate=replace(lab.status.candidate, ready_replicas=2)))


def test_pods_that_were_whole_for_a_moment_begin_a_new_deadline() -> None:
    lab = canary(progress_deadline=timedelta(seconds=60))
    lab.wait(30)
    written_while_it_flaps(lab, "2", seconds=180)
    assert (lab.candidate, lab.quarantine) == ("2", [])


def test_a_clock_that_was_set_back_holds_nothing_back() -> None:
    lab = serving(replicas=3)
    lab.holds_back = True
    lab.behaves("1", ready_pods=2)
    lab.settle()
    lab.now -= timedelta(hours=1)
    lab.behaves("1", ready_pods=1)
    lab.settle()
    assert lab.status.ready == "1/3"
