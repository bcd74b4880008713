"""The way of a canary: pods and selectors, step by step. What the evidence says of it is told elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from canary_lab import STEPS, canary
from core_lab import WIDE, Lab, serving
from headgate_operator.api.spec import Approval, Capacity, Step, Strategy, Unachievable
from headgate_operator.api.status import Phase
from headgate_operator.core.observed import PodNotReady, PodSilent

LOADING = PodNotReady(reason="Loading", permanent=False, message="")


def promoted(lab: Lab) -> Lab:
    lab.order("promote")
    return lab.settle()


def test_a_candidate_is_brought_up_at_the_size_of_the_first_step_without_traffic() -> None:
    lab = serving(replicas=4, strategy=Strategy.CANARY, steps=STEPS)
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.wait(5)
    assert lab.deployed() == {"1": 4, "2": 1}
    assert lab.selected == "1"


def test_a_verified_candidate_shares_the_traffic_by_its_number_of_pods() -> None:
    lab = canary(replicas=4)
    assert (lab.selected, lab.deployed()) == (WIDE, {"1": 4, "2": 1})
    assert lab.status.traffic is not None
    assert (lab.status.traffic.desired, lab.status.traffic.achievable) == ("10", "20")
    assert lab.status.serving == "1 -> 2 20 %"
    assert lab.said("Progressing") == ("True", "WaitingForMinDuration")
    assert lab.said("Ready") == ("True", "RollingOut")
    assert lab.said("UpToDate")[0] == "False"


def test_no_evidence_is_no_reason_to_go_on() -> None:
    lab = canary()
    lab.wait(3600)
    assert (lab.selected, lab.candidate) == (WIDE, "2")
    assert lab.said("Progressing") == ("True", "WaitingForEvidence")
    assert lab.status.candidate is not None
    assert lab.status.candidate.verdict == "Wait"


def test_each_promotion_is_one_step_and_the_last_is_the_switch() -> None:
    lab = canary()
    promoted(lab)
    assert (lab.selected, lab.deployed()) == (WIDE, {"1": 3, "2": 3})
    assert lab.status.candidate is not None
    assert (lab.status.candidate.step, lab.status.candidate.weight) == (1, 50)
    promoted(lab)
    assert (lab.stable, lab.selected, lab.candidate) == ("2", "2", None)
    assert lab.deployed() == {"1": 3, "2": 3}, "the version before stays warm"
    assert lab.outcomes[-1] == "Promoted"
    assert lab.status.traffic is None


def test_a_full_promotion_goes_on_to_the_switch() -> None:
    lab = canary()
    lab.order("promote", args={"full": True})
    lab.settle()
    assert (lab.stable, lab.selected) == ("2", "2")


def test_the_candidate_is_whole_before_the_switch() -> None:
    lab = canary(steps=(Step(weight=10),))
    lab.behaves("2", says=None)
    lab.order("promote")
    lab.watch = lambda lab: _whole(lab) if lab.selected == "2" else None
    lab.settle()
    assert lab.stable == "2"


def _whole(lab: Lab) -> None:
    assert lab.deployed()["2"] == 3


def test_an_abort_narrows_first_and_takes_the_pods_away_once_endpoints_show_it() -> None:
    lab = canary()
    lab.endpoints_follow = False
    lab.order("abort")
    lab.settle()
    assert (lab.selected, lab.deployed()) == ("1", {"1": 3, "2": 1})
    assert lab.said("Progressing") == ("True", "Switching")
    lab.endpoints_follow = True
    lab.settle()
    assert lab.deployed() == {"1": 3}
    assert lab.outcomes[-1] == "RolledBack"
    assert lab.quarantine == [("2", "Model", "Abort", "Abort")]
    assert lab.said("Ready") == ("False", "RolledBack")
    assert lab.status.last_rollback_milliseconds is not None


def test_two_restarts_under_traffic_are_a_rollback() -> None:
    lab = canary()
    lab.behaves("2", restarts=2)
    lab.settle()
    assert (lab.selected, lab.deployed()) == ("1", {"1": 3})
    assert lab.quarantine == [("2", "Revision", "Load", "Restarts")]


def test_restarts_from_before_the_traffic_do_not_count() -> None:
    lab = serving(replicas=3, strategy=Strategy.CANARY, steps=STEPS)
    lab.want("2")
    lab.behaves("2", restarts=2)
    lab.settle()
    assert lab.selected == WIDE


def test_restarts_of_one_pod_before_the_traffic_do_not_hide_those_of_another_under_it() -> None:
    lab = serving(replicas=3, strategy=Strategy.CANARY, steps=(Step(weight=50),))
    lab.want("2")
    lab.behaves("2", restarts_by_pod=(2, 0, 0))
    lab.settle()
    assert lab.selected == WIDE
    lab.behaves("2", restarts_by_pod=(2, 1, 1))
    lab.settle()
    assert lab.selected == WIDE, "one each: a node may have restarted"
    lab.behaves("2", restarts_by_pod=(2, 2, 1))
    lab.settle()
    assert lab.selected == "1"
    assert lab.quarantine == [("2", "Revision", "Load", "Restarts")]


def test_a_new_version_in_the_middle_takes_the_place_of_the_candidate_and_the_way_back_stays() -> None:
    lab = canary()
    lab.want("3")
    lab.settle()
    assert lab.outcomes[-1] == "Superseded"
    assert (lab.stable, lab.candidate, lab.selected) == ("1", "3", WIDE)
    assert lab.deployed() == {"1": 3, "3": 1}


def test_the_reference_going_back_to_stable_cancels_without_quarantine() -> None:
    lab = canary()
    lab.want("1")
    lab.settle()
    assert (lab.outcomes[-1], lab.selected, lab.quarantine) == ("Cancelled", "1", [])
    assert lab.deployed() == {"1": 3}


def test_a_warm_version_makes_way_before_a_third_gets_traffic() -> None:
    lab = canary()
    promoted(lab)
    promoted(lab)
    assert lab.deployed() == {"1": 3, "2": 3}
    lab.want("3")
    seen: list[tuple[str | None, dict[str, int]]] = []
    lab.watch = lambda lab: seen.append((lab.selected, lab.deployed()))
    lab.settle()
    assert (lab.selected, lab.deployed()) == (WIDE, {"2": 3, "3": 1})
    assert all(sizes.get("1", 0) == 0 for selected, sizes in seen if selected == WIDE)


def test_pods_of_a_third_revision_make_the_selector_narrow_again() -> None:
    lab = canary()
    stranger = next(pod for pod in lab.pods() if pod.revision == lab.status.stable.revision)  # type: ignore[union-attr]
    lab.stuck = (replace(stranger, name="x-0", revision="x"),)
    lab.settle()
    assert lab.selected == "1"
    lab.stuck = ()
    lab.settle()
    assert lab.selected == WIDE


def test_traffic_is_not_taken_from_a_candidate_that_answers_and_given_to_nobody() -> None:
    lab = canary()
    lab.behaves("1", ready=False, says=PodSilent())
    lab.order("abort")
    lab.settle()
    assert lab.selected == WIDE
    assert lab.status.last_command is not None
    assert lab.status.last_command.outcome == "Refused"
    lab.behaves("2", restarts=2)
    lab.settle()
    assert lab.selected == WIDE
    lab.behaves("1")
    lab.settle()
    assert lab.selected == "1"


def test_zero_replicas_take_all_pods_and_back_means_verified_again() -> None:
    lab = canary()
    lab.edit(replicas=0)
    lab.settle()
    assert set(lab.deployed().values()) == {0}
    assert lab.selected == "1"
    lab.edit(replicas=3)
    lab.behaves("2", says=LOADING)
    lab.wait(5)
    assert (lab.selected, lab.deployed()["1"]) == ("1", 3)
    lab.behaviours.clear()
    lab.wait(5)
    assert lab.selected == WIDE


def test_zero_replicas_are_for_a_person_to_ask_even_while_only_the_candidate_answers() -> None:
    lab = canary()
    lab.behaves("1", says=LOADING)
    lab.settle()
    assert lab.selected == WIDE
    lab.edit(replicas=0)
    lab.settle()
    assert (lab.selected, set(lab.deployed().values())) == ("1", {0})


def test_replicas_that_change_in_the_middle_change_both_sides() -> None:
    lab = canary()
    promoted(lab)
    lab.edit(replicas=5)
    lab.settle()
    assert (lab.selected, lab.deployed()) == (WIDE, {"1": 5, "2": 5})
    lab.edit(replicas=2)
    lab.settle()
    assert (lab.selected, lab.deployed()) == (WIDE, {"1": 2, "2": 2})


def test_economical_shrinks_the_stable_side_only_when_the_candidate_has_its_share() -> None:
    lab = serving(replicas=4, strategy=Strategy.CANARY, steps=STEPS, capacity=Capacity.ECONOMICAL)
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.wait(5)
    assert lab.deployed() == {"1": 4, "2": 1}
    lab.behaviours.clear()
    lab.wait(5)
    assert lab.deployed() == {"1": 4, "2": 1}
    promoted(lab)
    assert lab.deployed() == {"1": 2, "2": 2}
    lab.order("abort")
    lab.settle()
    assert lab.deployed() == {"1": 4}


def test_economical_keeps_half_warm_after_the_switch() -> None:
    lab = canary(replicas=4, capacity=Capacity.ECONOMICAL)
    lab.order("promote", args={"full": True})
    lab.settle()
    assert (lab.selected, lab.deployed()) == ("2", {"1": 2, "2": 4})
    lab.order("undo")
    lab.settle()
    assert (lab.stable, lab.selected) == ("1", "1")
    assert lab.deployed()["1"] == 4


def test_a_manual_step_waits_for_its_approval() -> None:
    lab = canary(steps=(Step(weight=10), Step(weight=50, approval=Approval.MANUAL)))
    lab.wait(120)
    assert lab.said("Progressing") == ("True", "WaitingForEvidence")
    promoted(lab)
    assert lab.status.candidate is not None
    assert lab.status.candidate.step == 0, "an approval is no evidence"
    assert [(given.step, given.by) for given in lab.status.rollout.approvals] == [(1, "erika")]  # type: ignore[union-attr]
    promoted(lab)
    assert lab.status.candidate.step == 1  # type: ignore[union-attr]


def test_the_first_step_can_want_an_approval_too() -> None:
    lab = serving(replicas=3, strategy=Strategy.CANARY, steps=(Step(weight=10, approval=Approval.MANUAL),))
    lab.want("2")
    lab.settle()
    assert lab.selected == "1"
    assert lab.said("Progressing") == ("True", "WaitingForApproval")
    promoted(lab)
    assert lab.selected == WIDE


def test_a_weight_that_cannot_be_expressed_is_told_or_refused() -> None:
    lab = serving(replicas=2, strategy=Strategy.CANARY, steps=STEPS, unachievable_weight=Unachievable.REJECT)
    lab.want("2")
    lab.settle()
    assert (lab.selected, lab.said("Progressing")) == ("1", ("True", "UnachievableWeight"))
    lab.rollout(unachievable_weight=Unachievable.ROUND)
    lab.settle()
    assert lab.selected == WIDE


def test_a_first_deployment_has_nobody_to_share_with() -> None:
    lab = Lab()
    lab.rollout(strategy=Strategy.CANARY)
    lab.settle()
    assert (lab.stable, lab.selected) == ("1", "1")


def test_an_undo_is_not_done_in_steps() -> None:
    lab = canary(keep_warm=timedelta(0))
    lab.order("promote", args={"full": True})
    lab.wait(60)
    assert lab.deployed() == {"2": 3}
    lab.order("undo")
    lab.settle()
    assert (lab.stable, lab.selected) == ("1", "1")


def test_a_pause_stops_the_steps_and_not_the_way_back() -> None:
    lab = canary()
    lab.edit(paused=True)
    lab.order("promote")
    lab.settle()
    assert lab.status.candidate is not None
    assert lab.status.candidate.step == 0
    assert lab.said("Progressing")[1] == "Paused"
    lab.behaves("2", restarts=2)
    lab.settle()
    assert lab.selected == "1"


def test_candidate_pods_that_do_not_come_up_for_the_next_step_end_the_rollout() -> None:
    lab = canary()
    lab.last_says = LOADING
    promoted(lab)
    lab.wait(700)
    assert (lab.selected, lab.deployed()) == ("1", {"1": 3})
    assert lab.quarantine[0][3] == "ProgressDeadline"


def test_rolling_replaces_pod_by_pod_with_one_more_and_no_evidence() -> None:
    lab = serving(replicas=3, strategy=Strategy.ROLLING)
    sizes: list[dict[str, int]] = []
    lab.watch = lambda lab: sizes.append(lab.deployed())
    lab.want("2")
    lab.settle()
    assert (lab.stable, lab.selected, lab.deployed()) == ("2", "2", {"2": 3})
    assert max(sum(each.values()) for each in sizes) == 4
    assert min(sum(each.values()) for each in sizes) == 3


def test_a_canary_goes_through_its_phases() -> None:
    lab = canary()
    assert lab.status.rollout is not None
    assert lab.status.rollout.phase is Phase.CANARY
    assert lab.status.selector == (
        f"headgate.dev/deployment=iris,headgate.dev/revision in "
        f"({lab.status.stable.revision},{lab.status.candidate.revision})"  # type: ignore[union-attr]
    )
    assert lab.status.replicas == 4
