"""The wish changes while something is under way, the registry has a bad day, the user pauses or scales."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core_lab import Lab, serving
from headgate_operator.api.reasons import Reason
from headgate_operator.api.status import Status
from headgate_operator.core.observed import PodNotReady, Unresolved

LOADING = PodNotReady(reason="Loading", permanent=False, message="")


def loading_two() -> Lab:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=LOADING)
    return lab.settle()


def test_a_reference_back_to_stable_cancels_without_quarantine() -> None:
    lab = loading_two()
    lab.want("1")
    lab.settle()
    assert (lab.candidate, lab.quarantine, lab.deployed()) == (None, [], {"1": 2})
    assert lab.outcomes == ["Promoted", "Cancelled"]


def test_another_version_in_the_middle_takes_the_candidates_place() -> None:
    lab = loading_two()
    lab.want("3")
    lab.settle()
    assert lab.outcomes == ["Promoted", "Superseded", "Promoted"]
    assert lab.stable == "3"
    assert lab.status.previous is not None
    assert lab.status.previous.version == "1", "the way back leads to what served, not to what was skipped"


def test_a_reference_to_the_warm_previous_switches_back_at_once() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    lab.want("1")
    lab.settle()
    assert (lab.stable, lab.selected) == ("1", "1")
    assert lab.outcomes[-1] == "Reverted"
    assert lab.quarantine == []
    assert lab.deployed() == {"1": 2, "2": 2}, "the other one stays warm in its turn"


def test_a_reference_to_a_previous_that_has_gone_is_a_rollout_like_any_other() -> None:
    lab = serving()
    lab.want("2")
    lab.wait(700)
    lab.want("1")
    lab.wait(5)
    assert lab.outcomes[-1] == "Promoted"
    assert lab.stable == "1"


def test_an_unready_previous_that_is_wanted_again_is_verified_first() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    lab.behaves("1", says=LOADING)
    lab.want("1")
    lab.settle()
    assert (lab.stable, lab.candidate, lab.status.previous) == ("2", "1", None)
    lab.behaviours.clear()
    lab.wait(2)
    assert lab.stable == "1"


UNCERTAIN = [Reason.REGISTRY_UNREACHABLE, Reason.REGISTRY_UNAUTHORIZED, Reason.REGISTRY_HOST_REJECTED]
CERTAIN = [
    Reason.ALIAS_NOT_FOUND,
    Reason.VERSION_NOT_FOUND,
    Reason.MODEL_NOT_FOUND,
    Reason.REGISTRY_NOT_ALLOWED,
    Reason.SECRET_NOT_USABLE,
]


@pytest.mark.parametrize("reason", UNCERTAIN + CERTAIN)
def test_registry_trouble_never_changes_what_serves(reason: Reason) -> None:
    lab = serving()
    lab.writes.clear()
    lab.answer = Unresolved(reason, "trouble")
    lab.wait(3600)
    assert (lab.stable, lab.selected, lab.writes) == ("1", "1", [])
    certain = reason in CERTAIN
    assert lab.said("ModelResolved") == ("False" if certain else "Unknown", reason)
    assert lab.said("Ready")[0] == ("False" if certain else "True")
    assert lab.said("Available") == ("True", "Serving")


@pytest.mark.parametrize("reason", UNCERTAIN + CERTAIN)
def test_a_first_deployment_waits_for_the_registry(reason: Reason) -> None:
    lab = Lab()
    lab.answer = Unresolved(reason, "trouble")
    lab.wait(60)
    assert lab.said("Ready") == ("False", reason)
    assert lab.deployed() == {}
    lab.want("1")
    lab.settle()
    assert lab.stable == "1"


def test_an_alias_that_goes_in_the_middle_of_a_rollout_does_not_stop_it() -> None:
    lab = loading_two()
    lab.answer = Unresolved(Reason.ALIAS_NOT_FOUND, "gone")
    lab.behaviours.clear()
    lab.wait(5)
    assert lab.stable == "2"


def test_a_new_reference_that_cannot_be_resolved_is_not_up_to_date() -> None:
    lab = serving()
    lab.pin("7")
    lab.answer = Unresolved(Reason.REGISTRY_UNREACHABLE, "connection refused")
    lab.settle()
    assert lab.stable == "1"
    assert lab.said("UpToDate") == ("False", "RegistryUnreachable")
    assert lab.said("Ready") == ("False", "RegistryUnreachable")


def test_a_pause_starts_nothing_and_says_so_only_where_it_holds_something_back() -> None:
    lab = serving()
    lab.edit(paused=True)
    lab.settle()
    assert lab.said("Ready") == ("True", "AsWanted")
    lab.want("2")
    lab.wait(3600)
    assert (lab.stable, lab.candidate) == ("1", None)
    assert lab.said("Ready") == ("True", "Paused")
    assert lab.said("UpToDate") == ("False", "Paused")
    lab.edit(paused=False)
    lab.settle()
    assert lab.stable == "2"


def test_a_pause_in_the_middle_holds_the_switch_and_stops_the_clock() -> None:
    lab = serving(progress_deadline=timedelta(seconds=60))
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.wait(50)
    lab.edit(paused=True)
    lab.wait(3600)
    assert (lab.candidate, lab.quarantine) == ("2", [])
    lab.behaviours.clear()
    lab.wait(10)
    assert lab.stable == "1", "verified, but not switched to"
    lab.edit(paused=False)
    lab.wait(2)
    assert lab.stable == "2"


def test_a_pause_keeps_the_previous_version_warm() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    lab.edit(paused=True)
    lab.wait(7200)
    assert lab.deployed() == {"1": 2, "2": 2}


def test_zero_replicas_stop_everything_and_no_rollout_starts() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    lab.edit(replicas=0)
    lab.wait(5)
    assert lab.deployed() == {"2": 0}
    assert lab.said("Available") == ("False", "ScaledToZero")
    assert lab.said("Ready") == ("True", "ScaledToZero")
    lab.want("3")
    lab.wait(600)
    assert (lab.stable, lab.candidate) == ("2", None)
    lab.edit(replicas=2)
    lab.wait(5)
    assert lab.stable == "3"


def test_zero_replicas_in_the_middle_of_a_rollout_keep_the_candidate_for_later() -> None:
    lab = loading_two()
    lab.edit(replicas=0)
    lab.wait(3600)
    assert (lab.candidate, lab.quarantine, lab.deployed()) == ("2", [], {"1": 0, "2": 0})
    lab.behaviours.clear()
    lab.edit(replicas=2)
    lab.wait(5)
    assert lab.stable == "2"


def test_a_name_conflict_stops_new_rollouts_and_asks_for_a_person() -> None:
    lab = Lab()
    lab.conflict = "Service iris exists and belongs to somebody else"
    lab.settle()
    assert lab.said("Stalled") == ("True", "NameConflict")
    assert lab.said("Ready") == ("False", "NameConflict")
    assert (lab.candidate, lab.deployed()) == (None, {})


def test_children_of_an_earlier_object_of_this_name_are_waited_for() -> None:
    lab = Lab()
    lab.awaiting_collection = "Deployment iris-0123456789"
    lab.settle()
    assert lab.writes == []
    assert lab.said("Progressing") == ("False", "WaitingForGarbageCollection")
    assert lab.said("Stalled")[0] == "False"
    lab.awaiting_collection = ""
    lab.settle()
    assert lab.stable == "1"


def test_a_lost_status_is_taken_over_from_what_the_public_service_selects() -> None:
    lab = serving()
    lab.want("2")
    lab.wait(700)
    before = dict(lab.live)
    lab.status = Status()
    lab.settle()
    assert lab.stable == "2"
    assert lab.outcomes == ["Adopted"]
    assert lab.live == before, "nothing is written to the children"
    assert lab.status.stable is not None
    assert lab.status.stable.digest == f"sha256:{'2':0>64}"


def test_a_lost_status_and_a_lost_revision_never_cut_the_traffic() -> None:
    lab = serving()
    revision = lab.status.stable.revision if lab.status.stable else ""
    lab.status = Status()
    del lab.live["ControllerRevision", f"iris-{revision}"]
    lab.image = "server:2"
    lab.behaves("1", says=LOADING)
    lab.want("2")
    lab.behaves("1")
    lab.behaves("2", says=LOADING)
    lab.settle()
    assert lab.selected == "1"
    lab.behaviours.clear()
    lab.wait(3)
    assert lab.selected == "2"
    assert lab.deployed() == {"2": 2}


def test_old_revisions_are_kept_up_to_the_limit() -> None:
    lab = serving(history_limit=2, keep_warm=timedelta(0))
    for version in range(2, 8):
        lab.want(str(version))
        lab.wait(5)
    kept = [key for key in lab.live if key[0] == "ControllerRevision"]
    assert len(kept) == 3
    assert len([key for key in lab.live if key[0] == "ConfigMap"]) == 3
    assert len(lab.status.history) == 2


def test_transition_times_change_only_with_the_status_of_a_condition() -> None:
    lab = serving()
    began = lab.condition("Available").last_transition_time
    lab.want("2")
    lab.wait(900)
    assert lab.condition("Available").last_transition_time == began
