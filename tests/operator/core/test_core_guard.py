"""After the switch: a new version that fails in service is taken back while the old one is still warm."""

from __future__ import annotations

from datetime import timedelta

from core_lab import Behaviour, Lab, serving
from headgate_operator.api.reasons import Reason


def switched() -> Lab:
    lab = serving()
    lab.want("2")
    lab.settle()
    assert (lab.stable, lab.deployed()) == ("2", {"1": 2, "2": 2})
    return lab


def test_two_restarts_after_the_switch_take_the_traffic_back_at_once() -> None:
    lab = switched()
    lab.behaves("2", restarts=2)
    lab.settle()
    assert (lab.stable, lab.selected) == ("1", "1")
    assert lab.quarantine == [("2", "Revision", "Guard", "Restarts")]
    assert lab.outcomes[-1] == "RolledBack"
    assert lab.status.last_rollback_milliseconds == 0
    assert lab.said("Ready") == ("False", "RolledBack")


def test_one_restart_of_each_pod_is_a_node_that_restarted() -> None:
    lab = switched()
    lab.behaves("2", restarts=1)
    lab.wait(60)
    assert (lab.stable, lab.quarantine) == ("2", [])


def test_two_looks_at_unready_pods_with_an_absence_between_them_are_not_ten_seconds() -> None:
    lab = switched()
    lab.behaves("2", ready=False)
    lab.settle()
    lab.away(minutes=5)
    assert lab.stable == "2"
    lab.wait(9)
    assert lab.stable == "2"
    lab.wait(2)
    assert lab.stable == "1", "now they have been watched for as long"


def test_a_clock_that_jumps_forward_is_no_silence() -> None:
    lab = switched()
    lab.behaves("2", ready=False)
    lab.settle()
    lab.now += timedelta(minutes=5)
    lab.settle()
    assert (lab.stable, lab.quarantine) == ("2", [])


def test_restarts_from_before_the_switch_do_not_count() -> None:
    lab = serving()
    lab.behaves("2", restarts=1)
    lab.want("2")
    lab.wait(120)
    assert lab.stable == "2"


def test_restarts_of_one_pod_before_the_switch_do_not_hide_those_of_another_after_it() -> None:
    lab = serving()
    lab.behaves("2", restarts_by_pod=(2, 0))
    lab.want("2")
    lab.settle()
    assert lab.stable == "2"
    lab.behaves("2", restarts_by_pod=(2, 2))
    lab.settle()
    assert (lab.stable, lab.selected) == ("1", "1")
    assert lab.quarantine == [("2", "Revision", "Guard", "Restarts")]


def test_no_ready_endpoint_for_ten_seconds_takes_the_traffic_back() -> None:
    lab = switched()
    lab.behaves("2", ready=False)
    lab.wait(9)
    assert lab.stable == "2"
    assert lab.said("Available") == ("False", "NoReadyPods")
    lab.wait(2)
    assert (lab.stable, lab.selected) == ("1", "1")
    assert lab.quarantine == [("2", "Revision", "Guard", "NoReadyEndpoint")]
    assert lab.said("Available") == ("True", "Serving")


def test_a_short_silence_is_forgiven() -> None:
    lab = switched()
    lab.behaves("2", ready=False)
    lab.wait(8)
    lab.behaviours.clear()
    lab.wait(2)
    lab.behaves("2", ready=False)
    lab.wait(8)
    assert lab.stable == "2"


def test_after_the_warm_time_there_is_nothing_to_go_back_to() -> None:
    lab = switched()
    lab.wait(700)
    lab.behaves("2", ready=False)
    lab.wait(60)
    assert lab.stable == "2"
    assert lab.said("Ready") == ("False", "NoReadyPods")


def test_lost_nodes_move_the_traffic_back_but_are_not_held_against_the_version() -> None:
    lab = switched()
    lab.behaves("2", ready=False, trouble=Reason.UNSCHEDULABLE)
    lab.wait(15)
    assert (lab.stable, lab.quarantine) == ("1", [])
    lab.behaviours.clear()
    lab.wait(5)
    assert lab.stable == "2", "it comes back when its pods do"


def test_the_rejected_version_drains_and_goes() -> None:
    lab = switched()
    lab.behaves("2", restarts=2)
    lab.wait(5)
    assert lab.deployed() == {"1": 2}


def test_a_rollback_during_the_next_rollout_puts_that_one_off_and_on_record() -> None:
    lab = switched()
    lab.behaves("3", ready=False)
    lab.want("3")
    lab.settle()
    assert lab.candidate == "3"
    lab.behaves("2", restarts=2)
    lab.step()
    assert (lab.stable, lab.candidate) == ("1", None)
    assert [(e.rollout, e.to, str(e.outcome)) for e in lab.status.history[2:]] == [(3, "3", "Superseded")]
    lab.behaviours.pop("3")
    lab.wait(10)
    assert [(e.rollout, e.to, str(e.outcome)) for e in lab.status.history[3:]] == [
        (4, "1", "RolledBack"),
        (5, "3", "Promoted"),
    ]


def test_a_guard_rollback_happens_although_the_deployment_is_paused() -> None:
    lab = switched()
    lab.edit(paused=True)
    lab.settle()
    lab.behaves("2", ready=False)
    lab.wait(15)
    assert lab.stable == "1", "what serves is repaired, paused or not"


def test_the_time_from_decision_to_endpoints_is_measured() -> None:
    lab = switched()
    lab.endpoints_follow = False
    lab.behaves("2", restarts=2)
    lab.wait(3)
    lab.endpoints_follow = True
    lab.behaviours["2"] = Behaviour(restarts=2)
    lab.settle()
    assert lab.status.last_rollback_milliseconds is not None
    assert timedelta(seconds=2) <= timedelta(milliseconds=lab.status.last_rollback_milliseconds) <= timedelta(seconds=4)
