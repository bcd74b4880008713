"""restart: the same version with the same settings in new pods, verified and switched to like any candidate."""

from __future__ import annotations

from typing import Any

from core_lab import Lab, answer, serving
from headgate_operator.api.spec import ServingSpec
from headgate_operator.core.observed import PodNotReady
from headgate_operator.core.revision import revision_hash
from model_catalogue import identity

LOADING = PodNotReady(reason="Loading", permanent=False, message="")
BROKEN = PodNotReady(reason="LoadFailed", permanent=True, message="")


def restarted(lab: Lab, **args: Any) -> Lab:
    lab.order("restart", args=args)
    return lab.settle()


def revision(lab: Lab) -> str:
    assert lab.status.stable is not None
    return lab.status.stable.revision


def stored(lab: Lab, name: str) -> dict[str, Any]:
    data: dict[str, Any] = lab.live["ControllerRevision", f"iris-{name}"]["data"]
    return data


def test_a_revision_that_was_never_restarted_keeps_the_name_it_had() -> None:
    lab = serving()
    assert revision(lab) == revision_hash(identity("1"), None, {}, "server:1")
    assert revision_hash(identity("1"), None, {}, "server:1", 0) == revision(lab)


def test_new_pods_of_the_same_version_take_over_and_nothing_is_rejected() -> None:
    lab = serving()
    before = revision(lab)
    restarted(lab)
    assert answer(lab) == ("Accepted", "version 1 starts in new pods")
    after = revision(lab)
    assert (after != before, lab.stable, lab.quarantine) == (True, "1", [])
    assert (lab.outcomes[-1], str(lab.status.history[-1].reason)) == ("Promoted", "Restart")
    assert lab.said("Ready") == ("True", "AsWanted")
    assert lab.said("UpToDate") == ("True", "AsWanted")
    old, new = stored(lab, before), stored(lab, after)
    assert (old["restart"], new["restart"]) == (0, 1)
    assert {key: old[key] for key in ("identity", "settings", "image")} == {
        key: new[key] for key in ("identity", "settings", "image")
    }
    assert lab.status.restart is None


def test_it_is_no_change_of_the_wish_that_nothing_was_edited() -> None:
    lab = restarted(serving())
    name = revision(lab)
    lab.wait(2000)
    lab.away(hours=1)
    assert (revision(lab), lab.status.rollout, lab.deployed()) == (name, None, {"1": 2})


def test_restarts_can_follow_each_other() -> None:
    lab = serving()
    names = {revision(lab)}
    for _ in range(3):
        restarted(lab)
        lab.wait(5)
        names.add(revision(lab))
    assert len(names) == 4


def test_while_it_is_verified_the_old_pods_serve() -> None:
    lab = serving()
    before = revision(lab)
    lab.last_says = LOADING
    restarted(lab)
    assert (revision(lab), lab.candidate, lab.deployed()) == (before, "1", {"1": 2})
    assert lab.said("UpToDate") == ("False", "RollingOut")
    assert lab.status.serving == "1 -> 1"


def test_one_that_fails_leaves_what_serves_as_wanted_and_is_over() -> None:
    lab = serving()
    before = revision(lab)
    lab.behaves("1", ready=True, says=BROKEN)
    restarted(lab)
    lab.behaviours.clear()
    lab.wait(5)
    assert (revision(lab), lab.candidate, lab.status.restart) == (before, None, None)
    assert lab.outcomes[-1] == "RolledBack"
    assert [entry[1] for entry in lab.quarantine] == ["Revision"]
    assert lab.said("Ready") == ("True", "AsWanted")
    restarted(lab)
    lab.wait(5)
    assert revision(lab) != before, "the next one has a name of its own"


def test_a_version_is_found_again_by_a_revision_of_it_that_did_not_fail() -> None:
    lab = serving()
    before = revision(lab)
    lab.behaves("1", says=BROKEN)
    restarted(lab)
    lab.behaviours.clear()
    lab.want("2")
    lab.wait(700)
    lab.want("1")
    lab.wait(5)
    assert revision(lab) == before


def test_undo_of_a_restart_returns_to_the_pods_before_it() -> None:
    lab = serving()
    before = revision(lab)
    restarted(lab)
    lab.order("undo")
    lab.settle()
    assert (revision(lab), [entry[1] for entry in lab.quarantine]) == (before, ["Revision"])
    assert lab.said("Ready") == ("True", "AsWanted")


def test_a_new_version_takes_the_place_of_a_restart_under_way() -> None:
    lab = serving()
    lab.behaves("1", says=LOADING)
    restarted(lab)
    lab.want("2")
    lab.wait(5)
    assert (lab.stable, lab.status.restart) == ("2", None)
    assert "Superseded" in lab.outcomes
    lab.want("1")
    lab.behaviours.clear()
    lab.wait(5)
    assert lab.stable == "1"
    assert lab.status.restart is None


def test_what_an_undo_holds_can_be_restarted_and_stays_held() -> None:
    lab = serving()
    lab.want("2")
    lab.wait(700)
    lab.order("undo")
    lab.wait(5)
    before = revision(lab)
    restarted(lab)
    lab.wait(900)
    assert (lab.stable, revision(lab) != before) == ("1", True)
    assert lab.said("Ready") == ("True", "HeldByUndo")
    assert lab.outcomes[-1] == "Promoted"


def test_the_warm_version_that_an_undo_went_back_to_can_be_restarted() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    lab.order("undo")
    lab.wait(100)
    before = revision(lab)
    restarted(lab)
    lab.wait(100)
    assert (lab.stable, revision(lab) != before) == ("1", True)
    assert lab.said("Ready") == ("True", "HeldByUndo")


def test_under_a_pause_it_starts_after_it() -> None:
    lab = serving()
    before = revision(lab)
    lab.order("pause")
    lab.settle()
    restarted(lab)
    assert answer(lab) == ("Accepted", "version 1 starts in new pods, after the pause")
    assert lab.said("Ready") == ("True", "Paused")
    lab.wait(60)
    assert revision(lab) == before
    lab.order("resume")
    lab.wait(5)
    assert revision(lab) != before


def test_the_image_is_the_one_it_had_or_with_update_image_the_operators_present_one() -> None:
    lab = serving()
    lab.image = "server:2"
    restarted(lab)
    assert stored(lab, revision(lab))["image"] == "server:1"
    lab.wait(5)
    restarted(lab, updateImage=True)
    assert answer(lab) == ("Accepted", "version 1 starts in new pods with server:2")
    assert stored(lab, revision(lab))["image"] == "server:2"
    lab.wait(2000)
    assert stored(lab, revision(lab))["image"] == "server:2"


def test_an_image_that_cannot_be_updated_is_told() -> None:
    lab = restarted(serving(), updateImage=True)
    assert answer(lab) == ("Refused", "server:1 is the operator's present default already; leave out --update-image")
    lab.edit(serving=ServingSpec(image="mine:1"))
    lab.wait(5)
    lab.image = "server:2"
    restarted(lab, updateImage=True)
    assert answer(lab) == ("Refused", "spec.serving.image names the image: change it there")


def test_where_there_is_nothing_to_restart_it_is_refused() -> None:
    lab = Lab()
    lab.edit(paused=True)
    restarted(lab)
    assert answer(lab)[1].startswith("there is nothing to restart")
    lab = serving()
    lab.edit(replicas=0)
    restarted(lab.settle())
    assert answer(lab) == ("Refused", "spec.replicas is 0: no pod runs")


def test_in_the_middle_of_a_rollout_it_is_refused() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=LOADING)
    restarted(lab.settle())
    assert answer(lab) == ("Refused", "version 2 is on its way: let its rollout end first, or undo it")


def test_files_that_were_changed_under_the_same_version_are_not_let_in_by_a_restart() -> None:
    lab = serving()
    before = revision(lab)
    lab.behaves("1", digest="sha256:changed")
    restarted(lab)
    lab.wait(5)
    assert (revision(lab), lab.outcomes[-1]) == (before, "RolledBack")
    assert lab.quarantine[0][1:] == ("Revision", "Preflight", "DigestMismatch")
    assert "sha256:changed" in lab.status.rejected[0].message


def test_files_that_were_changed_under_the_same_version_are_not_let_in_by_new_settings() -> None:
    lab = serving()
    lab.behaves("1", digest="sha256:changed")
    lab.env(A="b")
    lab.wait(5)
    assert lab.said("Ready") == ("False", "RolledBack")
