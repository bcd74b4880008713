"""undo --to N: a version by its number, where history knows it as good and its revision is still stored."""

from __future__ import annotations

from core_lab import Lab, answer, serving
from headgate_operator.core.observed import PodNotReady

LOADING = PodNotReady(reason="Loading", permanent=False, message="")
BROKEN = PodNotReady(reason="LoadFailed", permanent=True, message="")


def on_three() -> Lab:
    """3 serves, 2 is warm, 1 is gone."""
    lab = serving()
    for version in ("2", "3"):
        lab.want(version)
        lab.wait(5)
    assert (lab.stable, sorted(lab.deployed())) == ("3", ["2", "3"])
    return lab


def to(lab: Lab, version: str) -> Lab:
    lab.order("undo", args={"to": version})
    return lab.wait(5)


def test_an_older_version_is_brought_up_and_verified_before_it_serves() -> None:
    lab = on_three()
    lab.behaves("1", says=LOADING)
    to(lab, "1")
    assert answer(lab) == ("Accepted", "version 1 is brought up again; version 3 serves until then")
    assert (lab.stable, lab.candidate) == ("3", "1")
    lab.behaviours.clear()
    lab.wait(5)
    assert (lab.stable, lab.selected) == ("1", "1")
    assert [entry[:3] for entry in lab.quarantine] == [("3", "Model", "Undo")]
    assert lab.said("Ready") == ("True", "HeldByUndo")
    lab.wait(900)
    assert lab.stable == "1", "nothing returns to what was undone"


def test_the_warm_version_serves_again_at_once() -> None:
    lab = to(on_three(), "2")
    assert answer(lab) == ("Accepted", "traffic goes back to version 2, which is still warm")
    assert (lab.stable, lab.selected) == ("2", "2")


def test_in_the_middle_of_a_rollout_the_candidate_and_what_serves_are_undone() -> None:
    lab = on_three()
    lab.want("4")
    lab.behaves("4", says=LOADING)
    lab.settle()
    to(lab, "1")
    assert (lab.stable, lab.candidate) == ("1", None)
    assert [entry[0] for entry in lab.quarantine] == ["4", "3"]
    assert lab.said("Ready") == ("True", "HeldByUndo")


def test_to_what_serves_gives_up_the_rollout_and_nothing_else() -> None:
    lab = on_three()
    lab.want("4")
    lab.behaves("4", says=LOADING)
    lab.settle()
    to(lab, "3")
    assert answer(lab) == ("Accepted", "the rollout of version 4 is given up; version 3 keeps serving")
    assert (lab.stable, lab.candidate) == ("3", None)
    assert [entry[0] for entry in lab.quarantine] == ["4"]


def test_a_version_that_history_does_not_know_is_refused_with_those_it_knows() -> None:
    lab = to(on_three(), "7")
    assert answer(lab) == ("Refused", "history knows no version 7; it knows 1, 2, 3")
    assert (lab.stable, lab.quarantine) == ("3", [])


def test_a_version_that_never_served_is_refused() -> None:
    lab = on_three()
    lab.want("4")
    lab.behaves("4", says=BROKEN)
    lab.wait(5)
    to(lab, "4")
    assert answer(lab) == ("Refused", "version 4 has never served: its rollout ended as RolledBack")


def test_a_version_whose_revision_is_gone_is_refused() -> None:
    lab = on_three()
    gone = next(entry.to_revision for entry in lab.status.history if entry.to == "1")
    del lab.live["ControllerRevision", f"iris-{gone}"]
    to(lab, "1")
    assert answer(lab)[0] == "Refused"
    assert "not stored any more" in answer(lab)[1]


def test_a_version_that_was_undone_itself_is_refused() -> None:
    lab = on_three()
    to(lab, "2")
    to(lab, "3")
    assert answer(lab) == (
        "Refused",
        "version 3 was rejected (Undo: undone by erika); name it in spec.model and say retry",
    )


def test_to_what_serves_already_and_to_what_is_on_its_way_already_are_refused() -> None:
    lab = to(on_three(), "3")
    assert answer(lab) == ("Refused", "version 3 serves already")
    lab.want("4")
    lab.behaves("4", says=LOADING)
    lab.settle()
    to(lab, "4")
    assert answer(lab) == ("Refused", "version 4 is on its way already")
    assert lab.candidate == "4"


def test_before_anything_serves_it_is_refused() -> None:
    lab = Lab()
    lab.behaves("1", says=LOADING)
    lab.settle()
    to(lab, "1")
    assert answer(lab)[0] == "Refused"
