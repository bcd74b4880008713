"""pause and resume: the operator's own forward decisions stop; going back does not, and a person's undo does not."""

from __future__ import annotations

from core_lab import Lab, answer, ordered, serving
from headgate_operator.core.observed import PodNotReady

LOADING = PodNotReady(reason="Loading", permanent=False, message="")
BROKEN = PodNotReady(reason="LoadFailed", permanent=True, message="")


def test_without_a_rollout_a_pause_keeps_the_next_one_from_starting() -> None:
    lab = ordered(serving(), "pause")
    assert answer(lab) == ("Accepted", "no rollout starts until resume; undo still works")
    lab.want("2")
    lab.wait(900)
    assert (lab.stable, lab.candidate, lab.deployed()) == ("1", None, {"1": 2})
    assert lab.said("Ready") == ("True", "Paused")
    assert lab.said("UpToDate") == ("False", "Paused")
    assert lab.condition("Ready").message == "a rollout is held back: paused by erika; say resume to go on"
    ordered(lab, "resume")
    assert answer(lab) == ("Accepted", "version 2 goes on")
    assert (lab.stable, lab.status.pause) == ("2", None)


def test_a_pause_at_rest_is_told_though_everything_is_as_wanted() -> None:
    lab = ordered(serving(), "pause")
    assert lab.said("Ready") == ("True", "AsWanted")
    assert lab.said("Progressing") == ("False", "Paused")
    assert "erika" in lab.condition("Progressing").message
    ordered(lab, "resume")
    assert answer(lab) == ("Accepted", "nothing was waiting for it")
    assert lab.said("Progressing") == ("False", "NothingToDo")


def test_a_rollout_under_way_is_verified_and_not_switched() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.settle()
    ordered(lab, "pause")
    assert answer(lab)[1].startswith("the rollout of version 2 is held")
    lab.behaviours.clear()
    lab.wait(900)
    assert (lab.stable, lab.candidate, lab.selected) == ("1", "2", "1")
    assert lab.said("Ready") == ("True", "Paused")
    assert lab.status.candidate is not None
    assert "paused by erika" in (lab.status.candidate.waiting_for or "")
    ordered(lab, "resume")
    lab.wait(5)
    assert lab.stable == "2"


def test_time_under_a_pause_does_not_count_towards_the_deadline() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.settle()
    ordered(lab, "pause")
    lab.wait(3000)
    assert lab.candidate == "2"
    ordered(lab, "resume")
    lab.wait(500)
    assert lab.candidate == "2"
    lab.wait(200)
    assert lab.outcomes[-1] == "RolledBack"


def test_a_pause_outlives_rollouts_and_the_operator() -> None:
    lab = ordered(serving(), "pause")
    lab.away(hours=3)
    lab.want("2")
    lab.wait(60)
    assert lab.stable == "1"


def test_the_guard_goes_back_under_a_pause() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    ordered(lab, "pause")
    lab.behaves("2", restarts=2)
    lab.settle()
    assert (lab.stable, lab.selected) == ("1", "1")


def test_a_pause_keeps_the_previous_version_warm() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    ordered(lab, "pause")
    lab.wait(3000)
    assert lab.deployed() == {"1": 2, "2": 2}
    ordered(lab, "resume")
    lab.wait(5)
    assert lab.deployed() == {"2": 2}


def test_undo_under_a_pause_goes_back_and_stays_though_something_new_is_wanted() -> None:
    lab = serving()
    lab.want("2")
    lab.wait(700)
    ordered(lab, "pause")
    lab.want("3")
    lab.settle()
    lab.order("undo")
    lab.wait(10)
    assert (lab.stable, lab.selected) == ("1", "1")
    assert lab.said("Ready") == ("True", "Paused")
    lab.wait(900)
    assert lab.stable == "1"
    ordered(lab, "resume")
    lab.wait(5)
    assert (lab.stable, lab.status.hold) == ("3", None)


def test_retry_under_a_pause_says_when_it_starts() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=BROKEN)
    lab.settle()
    lab.behaviours.clear()
    ordered(lab, "pause")
    ordered(lab, "retry")
    assert answer(lab) == ("Accepted", "version 2 starts anew, after the pause")
    assert lab.stable == "1"
    ordered(lab, "resume")
    assert lab.stable == "2"


def test_a_second_pause_and_a_resume_without_one_are_refused() -> None:
    lab = ordered(serving(), "resume")
    assert answer(lab) == ("Refused", "there is nothing to resume: it is not paused")
    ordered(ordered(lab, "pause"), "pause")
    assert answer(lab) == ("Refused", "it has been paused already, by erika")


def test_resume_does_not_contradict_the_spec() -> None:
    lab = ordered(serving(), "pause")
    lab.edit(paused=True)
    lab.settle()
    ordered(lab, "resume")
    assert answer(lab) == ("Refused", "spec.paused is true: set it to false where the spec is kept")
    assert lab.status.pause is not None


def test_pausing_before_anything_was_deployed_keeps_the_first_rollout_from_starting() -> None:
    lab = Lab()
    lab.order("pause")
    lab.wait(30)
    assert (lab.stable, lab.candidate) == (None, None)
    assert lab.said("Ready") == ("False", "Paused")
    ordered(lab, "resume")
    assert lab.stable == "1"
