"""Commands: carried out once, answered once, refused where they no longer mean what the person saw."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core_lab import Lab, answer, serving
from headgate_operator.api.reasons import Reason
from headgate_operator.core.command import Command, Malformed, parse_command
from headgate_operator.core.command_rules import VERBS
from headgate_operator.core.observed import PodNotReady, PodSilent, Unresolved

LOADING = PodNotReady(reason="Loading", permanent=False, message="")
KNOWN = ", ".join(sorted(VERBS))
BROKEN = PodNotReady(reason="LoadFailed", permanent=True, message="")


def on_two() -> Lab:
    lab = serving()
    lab.want("2")
    return lab.settle()


def test_undo_goes_back_to_the_warm_version_at_once() -> None:
    lab = on_two()
    lab.order("undo")
    lab.settle()
    assert (lab.stable, lab.selected) == ("1", "1")
    assert answer(lab)[0] == "Accepted"
    assert lab.quarantine == [("2", "Model", "Undo", "Undo")]
    assert lab.outcomes == ["Promoted", "Promoted", "RolledBack"]
    assert lab.said("Ready") == ("True", "HeldByUndo")
    assert lab.said("UpToDate") == ("False", "HeldByUndo")
    assert lab.said("Stalled")[0] == "False"
    assert lab.status.last_rollback_milliseconds is not None


def test_undo_of_new_settings_rejects_only_the_revision() -> None:
    lab = serving()
    lab.env(A="b")
    lab.settle()
    lab.order("undo")
    lab.settle()
    assert [entry[1] for entry in lab.quarantine] == ["Revision"]
    assert lab.outcomes[-1] == "RolledBack"


def test_undo_during_a_rollout_gives_the_candidate_up() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.settle()
    lab.order("undo")
    lab.settle()
    assert (lab.stable, lab.candidate, lab.deployed()) == ("1", None, {"1": 2})
    assert lab.quarantine == [("2", "Model", "Undo", "Undo")]
    assert lab.said("Ready") == ("True", "HeldByUndo")


def test_undo_before_the_switch_is_seen_turns_it_round() -> None:
    lab = serving()
    lab.want("2")
    lab.endpoints_follow = False
    lab.settle()
    lab.order("undo")
    lab.endpoints_follow = True
    lab.settle()
    assert (lab.stable, lab.selected) == ("1", "1")
    assert lab.outcomes == ["Promoted", "RolledBack"]


def test_undo_to_a_version_that_is_gone_brings_it_up_and_verifies_it_first() -> None:
    lab = on_two()
    lab.wait(700)
    assert lab.deployed() == {"2": 2}
    lab.behaves("1", says=LOADING)
    lab.order("undo")
    lab.settle()
    assert (lab.stable, lab.candidate, lab.selected) == ("2", "1", "2")
    assert lab.status.rollout is not None
    assert lab.status.rollout.reason == "Undo"
    lab.behaviours.clear()
    lab.wait(2)
    assert (lab.stable, lab.selected) == ("1", "1")
    assert lab.said("Ready") == ("True", "HeldByUndo")
    lab.wait(900)
    assert lab.stable == "1", "nothing returns to what was undone"


def test_an_undo_whose_target_fails_keeps_serving_what_serves() -> None:
    lab = on_two()
    lab.wait(700)
    lab.behaves("1", says=BROKEN)
    lab.order("undo")
    lab.wait(60)
    assert (lab.stable, lab.candidate, lab.selected) == ("2", None, "2")
    assert lab.said("Ready") == ("False", "RolledBack")


def test_a_new_version_ends_the_hold_of_an_undo() -> None:
    lab = on_two()
    lab.order("undo")
    lab.settle()
    lab.want("3")
    lab.wait(5)
    assert lab.stable == "3"
    assert lab.status.hold is None
    assert lab.said("Ready") == ("True", "AsWanted")


def test_undo_twice_goes_back_twice() -> None:
    lab = on_two()
    lab.want("3")
    lab.wait(5)
    lab.order("undo")
    lab.wait(5)
    assert lab.stable == "2"
    lab.order("undo")
    lab.wait(5)
    assert lab.stable == "1"


def test_undo_without_anything_to_go_back_to_is_refused() -> None:
    lab = serving()
    lab.order("undo")
    lab.settle()
    assert answer(lab) == ("Refused", "there is nothing to undo to: no earlier good version is kept")
    assert (lab.stable, lab.quarantine) == ("1", [])


def test_undo_to_files_that_were_verified_once_needs_no_registry() -> None:
    lab = on_two()
    lab.wait(700)
    lab.example_trouble = lab.answer = Unresolved(Reason.REGISTRY_UNREACHABLE, "down")
    lab.order("undo")
    lab.wait(5)
    assert (lab.stable, lab.selected) == ("1", "1")


def test_undo_before_anything_was_deployed_is_refused() -> None:
    lab = Lab()
    lab.edit(paused=True)
    lab.settle()
    lab.order("undo")
    lab.settle()
    assert answer(lab)[0] == "Refused"


def test_undo_is_carried_out_under_a_pause_to_its_end() -> None:
    lab = on_two()
    lab.wait(700)
    lab.edit(paused=True)
    lab.settle()
    lab.order("undo")
    lab.wait(10)
    assert lab.stable == "1"


def test_retry_starts_what_was_rejected_anew() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=BROKEN)
    lab.settle()
    lab.behaviours.clear()
    lab.order("retry")
    lab.settle()
    assert answer(lab)[0] == "Accepted"
    assert (lab.stable, lab.quarantine) == ("2", [])
    assert lab.status.history[-1].reason == "Retry"
    assert lab.status.retrying is None


def test_retry_after_undo_returns_to_what_was_undone() -> None:
    lab = on_two()
    lab.order("undo")
    lab.wait(5)
    lab.order("retry")
    lab.wait(5)
    assert (lab.stable, lab.quarantine) == ("2", [])


def test_retry_under_a_pause_starts_after_it() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", ready=False, says=PodSilent(), crash_looping=True)
    lab.settle()
    lab.behaviours.clear()
    lab.edit(paused=True)
    lab.order("retry")
    lab.wait(60)
    assert (lab.stable, lab.quarantine) == ("1", [])
    assert lab.said("Ready") == ("True", "Paused")
    lab.edit(paused=False)
    lab.settle()
    assert lab.stable == "2"


def test_retry_with_nothing_rejected_is_refused() -> None:
    lab = serving()
    lab.order("retry")
    lab.settle()
    assert answer(lab) == ("Refused", "there is nothing to retry: what is wanted has not been rejected")


@pytest.mark.parametrize(
    ("different", "why"),
    [
        ({"uid": "another"}, "another object"),
        ({"rollout": 99}, "rollout 99"),
        ({"stable": "ffffffffff"}, "ffffffffff"),
    ],
)
def test_a_command_for_another_state_is_refused(different: dict[str, object], why: str) -> None:
    lab = on_two()
    lab.order("undo", **different)
    lab.settle()
    outcome, message = answer(lab)
    assert outcome == "Refused"
    assert why in message
    assert lab.stable == "2"


def test_a_verb_that_the_operator_does_not_know_is_refused() -> None:
    lab = on_two()
    lab.order("dance")
    lab.settle()
    assert answer(lab) == ("Refused", "this operator does not know 'dance'; it knows " + KNOWN)


def test_an_argument_that_the_operator_does_not_know_is_refused_and_not_ignored() -> None:
    lab = on_two()
    lab.order("undo", args={"too": "1"})
    lab.settle()
    assert answer(lab) == ("Refused", "this operator does not know 'too' of undo")
    lab.order("undo", args={"to": 1})
    lab.settle()
    assert answer(lab) == ("Refused", "args.to: must be a string")
    assert lab.stable == "2"


@pytest.mark.parametrize("age", [timedelta(minutes=11), timedelta(minutes=-2)])
def test_a_command_from_another_time_is_refused(age: timedelta) -> None:
    lab = on_two()
    lab.order("undo", issued_at=lab.now - age)
    lab.settle()
    assert answer(lab)[0] == "Refused"
    assert lab.stable == "2"


def test_a_command_is_carried_out_once_however_long_its_annotation_stays() -> None:
    lab = on_two()
    lab.order("undo")
    lab.settle()
    lab.want("3")
    lab.wait(300)
    assert lab.stable == "3"
    assert [event.reason for event in lab.events].count("CommandAccepted") == 1


def test_an_annotation_that_is_no_command_is_answered_where_it_has_an_id() -> None:
    assert parse_command(None) is None
    assert parse_command("{") is None
    assert parse_command('{"verb": "undo"}') is None
    malformed = parse_command('{"id": "x", "verb": "undo", "uid": "u", "rollout": "one"}')
    assert isinstance(malformed, Malformed)
    lab = serving()
    lab.command = malformed  # type: ignore[assignment]
    lab.settle()
    assert answer(lab)[0] == "Refused"
    good = '{"id": "x", "verb": "undo", "uid": "u", "rollout": 1, "stable": "", "issuedAt": "2026-01-01T00:00:00Z"}'
    assert isinstance(parse_command(good), Command)
