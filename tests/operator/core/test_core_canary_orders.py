"""Commands and webhooks while two versions share the traffic."""

from __future__ import annotations

from datetime import timedelta

from canary_lab import BOT, STEPS, canary
from core_lab import WIDE, Lab, answer, ordered, serving
from headgate_operator.api.spec import Approval, Step, Strategy
from headgate_operator.core.replies import Replied


def revision(lab: Lab) -> str:
    assert lab.status.stable is not None
    return lab.status.stable.revision


def test_a_paused_canary_stays_at_its_step_and_goes_on_after_it() -> None:
    lab = ordered(canary(), "pause")
    assert lab.said("Progressing") == ("True", "Paused")
    assert "paused by erika" in lab.condition("Progressing").message
    ordered(lab, "promote")
    assert (lab.selected, lab.status.candidate.step) == (WIDE, 0)  # type: ignore[union-attr]
    ordered(lab, "resume")
    assert lab.status.candidate is not None
    assert lab.status.candidate.step == 1, "the promotion had been given"


def test_an_abort_under_a_pause_takes_the_candidate_out() -> None:
    lab = ordered(ordered(canary(), "pause"), "abort")
    assert (lab.selected, lab.deployed()) == ("1", {"1": 3})


def test_undo_to_the_stable_version_takes_the_candidate_out() -> None:
    lab = ordered(canary(), "undo", to="1")
    assert answer(lab) == ("Accepted", "the rollout of version 2 is given up; version 1 keeps serving")
    assert (lab.selected, lab.deployed()) == ("1", {"1": 3})


def test_undo_to_an_older_version_takes_the_candidate_out_first() -> None:
    lab = canary()
    ordered(lab, "promote", full=True)
    lab.want("3")
    lab.wait(5)
    assert (lab.stable, lab.candidate, lab.selected) == ("2", "3", WIDE)
    seen: list[str | None] = []
    lab.watch = lambda lab: seen.append(lab.selected)
    ordered(lab, "undo", to="1")
    lab.wait(90)
    assert (lab.stable, lab.selected) == ("1", "1")
    assert WIDE not in seen[1:], "an undo is not done in steps"
    assert [entry[0] for entry in lab.quarantine] == ["3", "2"]


def test_a_restart_of_the_same_image_is_not_done_in_steps() -> None:
    lab = serving(replicas=3, strategy=Strategy.CANARY, steps=STEPS)
    before = revision(lab)
    seen: list[str | None] = []
    lab.watch = lambda lab: seen.append(lab.selected)
    ordered(lab, "restart")
    assert revision(lab) != before
    assert WIDE not in seen, "the same files in the same server prove nothing new"
    assert lab.said("Ready") == ("True", "AsWanted")


def test_a_restart_with_another_image_shares_the_traffic_and_an_abort_ends_it() -> None:
    lab = serving(replicas=3, strategy=Strategy.CANARY, steps=STEPS)
    before, lab.image = revision(lab), "server:2"
    ordered(lab, "restart", updateImage=True)
    assert (lab.selected, lab.candidate, lab.status.serving) == (WIDE, "1", "1 -> 1 25 %")
    ordered(lab, "abort")
    assert (revision(lab), lab.candidate, lab.status.restart) == (before, None, None)
    assert lab.said("Ready") == ("True", "AsWanted")
    ordered(lab, "restart", updateImage=True)
    ordered(lab, "promote", full=True)
    assert revision(lab) != before
    assert lab.said("Ready") == ("True", "AsWanted")


def test_webhooks_are_asked_once_before_the_last_step() -> None:
    lab = canary(steps=(Step(weight=10),))
    lab.edit(webhooks=(BOT,))
    lab.wait(30)
    assert lab.asked == []
    ordered(lab, "promote")
    assert lab.selected == WIDE
    assert lab.said("Progressing") == ("True", "WaitingForWebhook")
    lab.webhooks["bot"] = Replied(True)
    lab.wait(5)
    assert (lab.stable, lab.selected) == ("2", "2")
    assert [question.attempt for question in lab.asked] == [1]


def test_a_full_promotion_does_not_overrule_a_webhook() -> None:
    lab = canary()
    lab.edit(webhooks=(BOT,))
    lab.webhooks["bot"] = Replied(False, "frozen until Monday")
    ordered(lab, "promote", full=True)
    lab.wait(600)
    assert lab.selected == WIDE
    assert "frozen until Monday" in lab.condition("Progressing").message
    lab.edit(webhooks=())
    lab.settle()
    assert lab.stable == "2"


def test_a_candidate_that_waits_for_a_webhook_is_still_watched() -> None:
    lab = canary(steps=(Step(weight=10),))
    lab.edit(webhooks=(BOT,))
    ordered(lab, "promote")
    lab.behaves("2", restarts=2)
    lab.settle()
    assert lab.selected == "1"
    assert lab.outcomes[-1] == "RolledBack"


def told(lab: Lab, reason: str) -> list[str]:
    return [event.message for event in lab.events if event.reason == reason]


def test_that_a_person_is_waited_for_is_told_once() -> None:
    lab = serving(replicas=3, strategy=Strategy.CANARY, steps=(Step(weight=10, approval=Approval.MANUAL),))
    lab.want("2")
    lab.wait(900)
    assert told(lab, "WaitingForApproval") == ["version 2: step 1 (10 %) wants an approval: headgate promote"]


def test_that_no_verdict_came_in_time_is_told_once() -> None:
    lab = canary(steps=(Step(weight=10),), max_duration=timedelta(minutes=5))
    lab.wait(3000)
    assert lab.said("Progressing")[1] == "Inconclusive"
    assert len(told(lab, "Inconclusive")) == 1
