"""Canaries that are edited, held up or hit by an outage in the middle: each of these once went wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary_lab import BOT, STEPS, canary
from core_lab import WIDE, Lab, ordered, serving
from headgate_operator.api.reasons import Reason
from headgate_operator.api.spec import Approval, OnInconclusive, Step, Strategy, Unachievable
from headgate_operator.api.status import Status
from headgate_operator.core.observed import PodNotReady, PodSilent
from headgate_operator.core.replies import Replied
from headgate_operator.core.wake import BLOCKED_POLL, next_wake

LOADING = PodNotReady(reason="Loading", permanent=False, message="")


def place(lab: Lab) -> tuple[int | None, int | None]:
    candidate = lab.status.candidate
    return (candidate.step, candidate.weight) if candidate else (None, None)


def down(lab: Lab, *versions: str) -> None:
    for version in versions:
        lab.behaves(version, ready=False, says=PodSilent(), crash_looping=True)


def test_an_approval_is_of_a_step_and_not_of_its_number() -> None:
    steps = (Step(weight=10), *(Step(weight=weight, approval=Approval.MANUAL) for weight in (20, 50)))
    lab = ordered(canary(steps=steps), "promote")
    assert [given.step for given in lab.status.rollout.approvals] == [1]  # type: ignore[union-attr]
    lab.rollout(steps=(steps[0], steps[2]))
    lab.requests = 300
    lab.wait(1800)
    assert (place(lab), lab.said("Progressing")[1]) == ((0, 10), "WaitingForApproval")
    ordered(lab, "promote")
    assert place(lab) == (1, 50)


def test_an_approval_outlives_an_edit_of_other_steps() -> None:
    lab = ordered(canary(steps=(Step(weight=10), Step(weight=50, approval=Approval.MANUAL))), "promote")
    lab.rollout(steps=(Step(weight=12), Step(weight=50, approval=Approval.MANUAL)))
    lab.settle()
    assert [given.step for given in lab.status.rollout.approvals] == [1]  # type: ignore[union-attr]


def test_fewer_steps_do_not_make_the_present_one_the_switch() -> None:
    lab = ordered(canary(steps=(Step(weight=10), Step(weight=30), Step(weight=50))), "promote")
    assert place(lab) == (1, 30)
    lab.rollout(steps=(Step(weight=20),))
    lab.settle()
    assert (lab.stable, lab.selected, place(lab)) == ("1", WIDE, (0, 20))


def test_new_steps_are_found_by_their_weight() -> None:
    lab = ordered(canary(), "promote")
    lab.rollout(steps=tuple(Step(weight=weight) for weight in (5, 10, 25, 40)))
    lab.settle()
    assert place(lab) == (3, 40)
    lab.rollout(steps=STEPS)
    lab.settle()
    assert place(lab) == (0, 10)


def test_a_rolling_rollout_keeps_its_share_when_replicas_change() -> None:
    lab = serving(replicas=3, strategy=Strategy.ROLLING)
    lab.edit(webhooks=(BOT,))
    lab.webhooks["bot"] = Replied(False)
    lab.want("2")
    lab.wait(10)
    assert lab.deployed() == {"1": 1, "2": 2}
    lab.edit(replicas=6)
    lab.wait(10)
    assert lab.deployed()["2"] >= 4


def test_where_nobody_answers_another_version_may_take_over() -> None:
    lab = canary()
    down(lab, "1", "2")
    lab.settle()
    lab.want("3")
    lab.wait(1200)
    assert (lab.candidate or lab.stable) == "3"
    assert "Superseded" in lab.outcomes or "RolledBack" in lab.outcomes


def test_a_rolling_rollout_whose_last_step_dies_goes_back() -> None:
    lab = serving(replicas=3, strategy=Strategy.ROLLING)

    def watch(lab: Lab) -> None:
        if lab.candidate and lab.deployed().get("1") == 0:
            down(lab, "2")

    lab.watch = watch
    lab.want("2")
    lab.wait(60)
    assert (lab.stable, lab.selected, lab.deployed()) == ("1", "1", {"1": 3})
    assert lab.outcomes[-1] == "RolledBack"


def test_a_third_revision_does_not_cut_off_the_candidate_that_alone_answers() -> None:
    lab = canary()
    lab.behaves("1", ready=False, says=PodSilent())
    assert lab.status.stable is not None
    other = next(pod for pod in lab.pods() if pod.revision == lab.status.stable.revision)
    lab.stuck = (replace(other, name="x-0", revision="x", ready=False),)
    lab.settle()
    assert lab.selected == WIDE
    lab.behaves("1")
    lab.settle()
    assert lab.selected == "1"


def test_waiting_for_an_approval_is_not_inconclusive() -> None:
    steps = (Step(weight=10), Step(weight=50, approval=Approval.MANUAL))
    lab = canary(steps=steps, on_inconclusive=OnInconclusive.ROLLBACK, max_duration=timedelta(minutes=30))
    lab.requests = 300
    lab.wait(3600)
    assert (lab.selected, lab.said("Progressing")[1], lab.quarantine) == (WIDE, "WaitingForApproval", [])


def test_a_pause_is_not_ended_by_max_duration() -> None:
    lab = canary(on_inconclusive=OnInconclusive.ROLLBACK, max_duration=timedelta(minutes=30))
    ordered(lab, "pause")
    lab.wait(3600)
    assert (lab.selected, lab.said("Progressing")[1], lab.quarantine) == (WIDE, "Paused", [])


def test_a_rolling_rollout_is_never_inconclusive() -> None:
    lab = serving(
        replicas=3,
        strategy=Strategy.ROLLING,
        on_inconclusive=OnInconclusive.ROLLBACK,
        max_duration=timedelta(minutes=30),
        progress_deadline=timedelta(hours=2),
    )
    lab.last_says = LOADING
    lab.want("2")
    lab.wait(3600)
    lab.last_says = None
    lab.wait(60)
    assert (lab.stable, lab.quarantine) == ("2", [])


def test_a_rolling_rollout_has_no_weights_that_cannot_be_expressed() -> None:
    lab = serving(replicas=3, strategy=Strategy.ROLLING, unachievable_weight=Unachievable.REJECT)
    lab.want("2")
    lab.settle()
    assert (lab.stable, lab.selected) == ("2", "2")


@pytest.mark.parametrize(
    "rollout",
    [{"strategy": Strategy.ROLLING}, {"strategy": Strategy.CANARY, "steps": (Step(weight=100),)}],
    ids=["rolling", "canary"],
)
def test_where_the_first_step_is_the_last_webhooks_are_asked_before_it(rollout: Any) -> None:
    lab = serving(replicas=1, **rollout)
    lab.edit(webhooks=(BOT,))
    lab.webhooks["bot"] = Replied(False)
    lab.want("2")
    lab.wait(60)
    assert (lab.stable, lab.selected, lab.said("Progressing")[1]) == ("1", "1", "WaitingForWebhook")
    lab.webhooks["bot"] = Replied(True)
    lab.wait(300)
    assert (lab.stable, lab.selected) == ("2", "2")


def test_replicas_that_make_the_present_step_the_last_do_not_pass_by_a_webhook() -> None:
    lab = serving(replicas=3, strategy=Strategy.ROLLING)
    lab.edit(webhooks=(BOT,))
    lab.webhooks["bot"] = Replied(False)
    lab.want("2")
    lab.wait(10)
    lab.edit(replicas=1)
    lab.wait(60)
    assert (lab.stable, lab.said("Progressing")[1]) == ("1", "WaitingForWebhook")


def test_a_switch_that_waits_for_a_person_becomes_a_canary_and_not_a_switch() -> None:
    lab = serving(replicas=3, strategy=Strategy.BLUE_GREEN, approval=Approval.MANUAL)
    lab.want("2")
    lab.wait(10)
    assert lab.said("Progressing")[1] == "WaitingForApproval"
    lab.rollout(strategy=Strategy.CANARY, steps=STEPS)
    lab.settle()
    assert (lab.stable, lab.selected, lab.deployed()) == ("1", WIDE, {"1": 3, "2": 1})


def test_a_strategy_that_is_edited_under_traffic_is_the_next_rollout_s() -> None:
    lab = canary()
    lab.rollout(strategy=Strategy.BLUE_GREEN)
    lab.settle()
    assert (lab.stable, lab.selected, place(lab)) == ("1", WIDE, (0, 10))


def test_the_longest_list_of_steps_can_be_promoted_at_once() -> None:
    lab = ordered(canary(steps=tuple(Step(weight=weight) for weight in range(1, 21))), "promote", full=True)
    assert (lab.stable, lab.selected) == ("2", "2")


def test_approvals_keep_to_what_status_holds() -> None:
    lab = serving(replicas=40, strategy=Strategy.ROLLING)
    lab.behaves("2", says=LOADING)
    lab.want("2")
    lab.settle()
    ordered(lab, "promote", full=True)
    assert len(lab.status.rollout.approvals) == 32  # type: ignore[union-attr]


@pytest.mark.parametrize("strategy", [Strategy.CANARY, Strategy.ROLLING])
def test_a_status_lost_under_a_wide_selector_keeps_what_was_stable(strategy: Strategy) -> None:
    lab = serving(replicas=3, strategy=strategy, steps=STEPS)
    lab.want("2")
    while place(lab)[0] != 1 or lab.deployed()["2"] < 2 or lab.status.candidate.step_started_at is None:  # type: ignore[union-attr]
        if place(lab) == (0, 10) and not lab.status.rollout.approvals:  # type: ignore[union-attr]
            lab.order("promote")
        lab.step()
    assert lab.selected == WIDE
    lab.status = Status()
    lab.step()
    assert lab.stable == "1"


def test_a_step_that_cannot_come_about_is_not_looked_at_all_the_time() -> None:
    lab = canary()
    lab.behaves("2", ready_pods=1, trouble=Reason.UNSCHEDULABLE)
    ordered(lab, "promote")
    assert lab.said("Progressing")[1] == "Unschedulable"
    assert next_wake(lab.view(), lab.status, 300.0) == BLOCKED_POLL


def test_the_policy_of_a_switch_shows_its_approval() -> None:
    lab = serving(replicas=3, strategy=Strategy.BLUE_GREEN, approval=Approval.MANUAL)
    lab.want("2")
    lab.settle()
    assert lab.status.rollout is not None
    assert lab.status.rollout.policy.approval == "Manual"


def test_steps_that_are_all_larger_begin_with_the_first_of_them_and_its_approval() -> None:
    lab = canary()
    lab.rollout(steps=(Step(weight=100, approval=Approval.MANUAL),))
    lab.settle()
    assert (lab.stable, lab.selected) == ("1", "1")
    assert lab.said("Progressing")[1] == "WaitingForApproval"


def test_the_time_of_a_pause_is_not_the_steps() -> None:
    lab = canary(max_duration=timedelta(hours=1), on_inconclusive=OnInconclusive.ROLLBACK)
    lab.edit(paused=True)
    lab.wait(7200)
    lab.edit(paused=False)
    lab.settle()
    assert (lab.selected, lab.quarantine) == (WIDE, [])
    lab.wait(3700)
    assert lab.quarantine == [("2", "Revision", "Analysis", "Inconclusive")]


def test_a_step_that_became_overdue_while_nobody_looked_is_looked_at_first() -> None:
    lab = canary(max_duration=timedelta(hours=1), on_inconclusive=OnInconclusive.ROLLBACK)
    lab.away(hours=25)
    assert (lab.selected, lab.quarantine) == (WIDE, [])
    lab.wait(660)
    assert lab.selected == "1"
