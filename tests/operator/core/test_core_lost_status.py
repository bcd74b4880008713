"""A status that was lost or edited must never cut off, and never delete, what serves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core_lab import Lab, serving
from headgate_operator.api.status import Status
from headgate_operator.core.observed import GoldenFailed


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


def both_ready_and_nothing_known(proven: set[str]) -> Lab:
    """Version 2 is verified beside version 1; then the status is lost, and the selector names no revision."""
    lab = serving("1", min_duration=timedelta(hours=1))
    lab.want("2")
    lab.settle()
    assert (lab.stable, lab.candidate) == ("1", "2")
    for key, obj in list(lab.live.items()):
        if key[0] == "ConfigMap" and obj["metadata"]["labels"]["headgate.dev/model-version"] not in proven:
            del lab.live[key]
    del lab.live["Service", "iris"]["spec"]["selector"]["headgate.dev/revision"]
    lab.status = Status()
    return lab


@pytest.mark.parametrize(
    ("proven", "kept"), [({"1"}, "1"), ({"2"}, "2"), ({"1", "2"}, "1"), (set(), "1")], ids=["1", "2", "both", "neither"]
)
def test_a_status_lost_while_two_are_ready_keeps_one_that_was_proven_and_rather_the_one_without_a_preview(
    proven: set[str], kept: str
) -> None:
    lab = both_ready_and_nothing_known(proven)

    def look(lab: Lab) -> None:
        assert lab.deployed().get(kept) == 2, "what serves was deleted"
        assert lab.live["Service", "iris"]["spec"]["selector"].get("headgate.dev/revision") != "none", "cut off"

    lab.watch = look
    lab.settle()
    assert (lab.stable, lab.selected, lab.outcomes) == (kept, kept, ["Adopted"])


def test_of_two_proven_ones_the_one_with_more_ready_pods_keeps_the_traffic() -> None:
    lab = both_ready_and_nothing_known({"1", "2"})
    (first,) = (
        obj
        for (kind, _), obj in lab.live.items()
        if kind == "Deployment" and obj["metadata"]["labels"]["headgate.dev/model-version"] == "1"
    )
    first["spec"]["replicas"] = 1
    del lab.live["Service", "iris-candidate"]
    lab.step()
    assert lab.stable == "2"


def test_a_candidate_that_was_given_up_is_not_taken_over_because_a_selector_names_it() -> None:
    lab = Lab()
    lab.behaves("1", golden=GoldenFailed("not finite"))
    while lab.candidate is None or not lab.live.get(("Deployment", f"iris-{lab.status.candidate.revision}")):
        lab.step()
    lab.live["Service", "iris"]["spec"]["selector"]["headgate.dev/revision"] = lab.status.candidate.revision
    lab.settle()
    assert (lab.stable, lab.outcomes) == (None, ["FirstRolloutFailed"])
