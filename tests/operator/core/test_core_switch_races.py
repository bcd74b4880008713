"""What happens between a decision and its write: pods die, people order, somebody deletes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from canary_lab import canary
from core_lab import WIDE, Lab, serving
from headgate_operator.api.spec import Capacity, Step, Strategy


def decided(**rollout: object) -> Lab:
    """The switch to version 2 is decided and not yet written."""
    lab = serving(**rollout)
    lab.want("2")
    while lab.stable != "2":
        assert lab.step()
    return lab


def test_a_pod_that_dies_before_the_switch_is_written_holds_it_up() -> None:
    lab = decided()
    lab.behaves("2", ready_pods=1)
    lab.settle()
    assert (lab.stable, lab.selected) == ("2", "1")
    lab.behaviours.clear()
    lab.settle()
    assert lab.selected == "2"


def test_a_canary_that_loses_a_pod_before_the_last_switch_keeps_sharing() -> None:
    lab = serving(replicas=3, strategy=Strategy.CANARY, steps=(Step(weight=10),))
    lab.want("2")
    lab.settle()
    lab.order("promote")
    while lab.stable != "2":
        assert lab.step()
    lab.behaves("2", ready_pods=2)
    lab.settle()
    assert lab.selected == WIDE
    lab.behaviours.clear()
    lab.settle()
    assert (lab.selected, lab.deployed()) == ("2", {"1": 3, "2": 3})


def test_it_is_not_held_up_for_ever() -> None:
    lab = decided()
    lab.behaves("2", ready_pods=1)
    lab.wait(120)
    assert lab.selected == "2"


def test_an_undo_in_the_middle_of_a_switch_never_moves_the_traffic_to_what_it_rejects() -> None:
    lab = decided()
    lab.behaves("1", ready_pods=1)
    lab.order("undo")
    seen: set[str | None] = set()
    lab.watch = lambda lab: seen.add(lab.selected)
    lab.settle()
    assert (lab.stable, seen) == ("1", {"1"})


def test_a_previous_version_whose_revision_somebody_deleted_does_not_stay_for_ever() -> None:
    lab = serving(keep_warm=timedelta(seconds=5))
    first = lab.status.stable
    assert first is not None
    lab.want("2")
    lab.settle()
    del lab.live["ControllerRevision", f"iris-{first.revision}"]
    lab.wait(60)
    assert (lab.deployed(), lab.status.previous) == ({"2": 2}, None)
    lab.want("3")
    lab.wait(60)
    assert lab.stable == "3"


def test_a_rolling_update_that_is_called_off_grows_the_old_version_before_it_gets_all_the_traffic() -> None:
    lab = serving(replicas=3, strategy=Strategy.ROLLING)
    lab.want("2")
    while lab.deployed() != {"1": 1, "2": 2}:
        lab.step()
    lab.behaves("1", ready_pods=1)
    lab.want("1")
    lab.settle()
    assert (lab.selected, lab.deployed()["1"]) == (WIDE, 3)
    lab.behaviours.clear()
    lab.settle()
    assert (lab.selected, lab.deployed()) == ("1", {"1": 3})


def rolled_out_to(deployed: dict[str, int], *, replicas: int) -> Lab:
    lab = serving(replicas=replicas, strategy=Strategy.ROLLING)
    lab.want("2")
    while lab.deployed() != deployed:
        assert lab.step()
    lab.behaves("1", ready_pods=deployed["1"])  # those that come back take their time
    return lab


@pytest.mark.parametrize("verb", ["abort", "undo"])
def test_a_person_who_takes_back_a_rolling_update_does_not_send_all_the_load_to_the_last_old_pod(verb: str) -> None:
    lab = rolled_out_to({"1": 1, "2": 5}, replicas=6)
    lab.order(verb)
    lab.settle()
    assert lab.status.candidate is None, "decided at once"
    assert (lab.selected, lab.deployed()["1"]) == (WIDE, 6)
    lab.behaves("1", ready_pods=2)
    lab.settle()
    assert lab.selected == WIDE
    lab.behaves("1", ready_pods=3)
    lab.settle()
    assert (lab.selected, lab.deployed()) == ("1", {"1": 6})


def test_a_person_who_takes_back_a_rolling_update_does_not_wait_for_ever() -> None:
    lab = rolled_out_to({"1": 1, "2": 5}, replicas=6)
    lab.order("abort")
    lab.wait(61)
    assert lab.selected == "1"


def test_a_version_that_fails_in_a_rolling_update_is_left_at_once() -> None:
    lab = rolled_out_to({"1": 1, "2": 5}, replicas=6)
    lab.behaves("2", restarts=2)
    lab.settle()
    assert (lab.selected, lab.deployed()) == ("1", {"1": 6})


def test_an_economical_canary_is_aborted_at_once_to_half_of_the_pods_at_least() -> None:
    lab = canary(replicas=6, capacity=Capacity.ECONOMICAL)
    lab.order("promote")
    lab.settle()
    assert lab.deployed() == {"1": 3, "2": 3}
    lab.behaves("1", ready_pods=3)
    lab.order("abort")
    lab.settle()
    assert (lab.selected, lab.deployed()) == ("1", {"1": 6})


def test_a_promoted_version_that_loses_all_its_pods_before_the_write_does_not_get_the_traffic() -> None:
    lab = serving(replicas=3, strategy=Strategy.CANARY, steps=(Step(weight=10),))
    lab.want("2")
    lab.settle()
    lab.order("promote")
    while lab.stable != "2":
        assert lab.step()
    lab.behaves("2", ready=False)
    lab.now += timedelta(minutes=3)
    lab.settle()
    assert lab.selected in {WIDE, "1"}


def test_a_candidate_that_loses_pods_before_the_old_ones_are_gone_keeps_them() -> None:
    lab = serving(replicas=3, strategy=Strategy.ROLLING)
    lab.want("2")
    while lab.status.candidate is None or lab.status.candidate.step_started_at is None:
        assert lab.step()
    assert lab.deployed() == {"1": 3, "2": 1}
    lab.behaves("2", ready=False)
    lab.settle()
    assert lab.deployed() == {"1": 3, "2": 1}
    lab.behaviours.clear()
    lab.settle()
    assert (lab.stable, lab.deployed()) == ("2", {"2": 3})
