"""A status that was lost or edited must never cut off, and never delete, what serves."""

from __future__ import annotations

from dataclasses import replace

from core_lab import Lab, serving
from headgate_operator.api.status import Status


def serves_all_the_time(lab: Lab) -> None:
    """From here on version 1 keeps the traffic and its pods, whatever the passes do."""

    def look(lab: Lab) -> None:
        assert lab.deployed().get("1") == 2, "what serves was deleted"
        selector = lab.live["Service", "iris"]["spec"]["selector"]
        assert selector.get("headgate.dev/revision") != "none", "traffic was cut off"

    lab.watch = look


def test_a_status_lost_together_with_the_stored_revision_cuts_nothing_off() -> None:
    lab = serving("1")
    for key in [key for key in lab.live if key[0] == "ControllerRevision"]:
        del lab.live[key]
    lab.status = Status()
    serves_all_the_time(lab)
    lab.settle()
    assert (lab.stable, lab.selected, lab.outcomes) == ("1", "1", ["Adopted"])


def test_a_status_lost_while_the_selector_names_no_revision_takes_over_what_is_ready() -> None:
    lab = serving("1")
    del lab.live["Service", "iris"]["spec"]["selector"]["headgate.dev/revision"]
    lab.status = Status()
    serves_all_the_time(lab)
    lab.settle()
    assert (lab.stable, lab.selected, lab.outcomes) == ("1", "1", ["Adopted"])


def test_a_stable_that_is_gone_from_status_in_the_middle_of_a_rollout_is_found_again() -> None:
    lab = serving("1")
    lab.behaves("2", ready=False)
    lab.want("2")
    lab.settle()
    lab.status = replace(lab.status, stable=None)
    lab.behaves("1", ready=False)
    serves_all_the_time(lab)
    lab.settle()
    assert (lab.stable, lab.candidate, lab.selected) == ("1", "2", "1")


def test_a_status_lost_while_a_name_is_taken_deletes_nothing() -> None:
    lab = serving("1")
    lab.status = Status()
    lab.conflict = "Service iris-candidate exists"
    serves_all_the_time(lab)
    lab.settle()
    lab.behaves("1", ready=False)
    lab.settle()
    assert (lab.stable, lab.deployed(), lab.selected) == ("1", {"1": 2}, "1")
