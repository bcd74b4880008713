"""What a failing candidate costs: its own rollout, a place in quarantine, and never the traffic."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core_lab import Lab, serving
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import GoldenFailed, PodNotReady, PodSilent, Refusal
from headgate_operator.core.wake import next_wake


def permanent(reason: str) -> PodNotReady:
    return PodNotReady(reason=reason, permanent=True, message=f"because of {reason}")


def transient(reason: str) -> PodNotReady:
    return PodNotReady(reason=reason, permanent=False, message=f"because of {reason}")


@pytest.mark.parametrize(
    ("reason", "scope", "by"),
    [
        ("ModelNotFound", "Revision", "Load"),
        ("ArtifactMissing", "Revision", "Load"),
        ("ArtifactInvalid", "Revision", "Load"),
        ("UntrustedTypes", "Revision", "Load"),
        ("PickleRefused", "Revision", "Load"),
        ("UnsupportedFlavor", "Revision", "Load"),
        ("RequirementMismatch", "Revision", "Load"),
        ("LoadFailed", "Revision", "Load"),
        ("DigestMismatch", "Model", "Preflight"),
        ("GoldenFailed", "Model", "Preflight"),
    ],
)
def test_a_permanent_reason_rejects_at_once(reason: str, scope: str, by: str) -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=permanent(reason))
    lab.settle()
    assert lab.quarantine == [("2", scope, by, reason)]
    assert (lab.stable, lab.candidate, lab.selected) == ("1", None, "1")
    assert lab.deployed() == {"1": 2}
    assert lab.outcomes == ["Promoted", "RolledBack"]
    assert lab.said("Ready") == ("False", "RolledBack")
    assert lab.said("Stalled") == ("True", "RolledBack")
    assert lab.said("Available") == ("True", "Serving")


def test_pods_that_disagree_on_the_digest_reject_the_model() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", digest="sha256:a", digest_of_second="sha256:b")
    lab.settle()
    assert lab.quarantine == [("2", "Model", "Preflight", "DigestMismatch")]


def test_a_failed_golden_prediction_rejects_the_model() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", golden=GoldenFailed("prediction is not finite"))
    lab.settle()
    assert lab.quarantine == [("2", "Model", "Preflight", "GoldenFailed")]


def test_where_the_serving_version_is_the_same_model_only_the_revision_is_rejected() -> None:
    lab = serving()
    lab.env(A="b")
    lab.behaves("1", golden=GoldenFailed("not finite"))
    lab.settle()
    assert [entry[1] for entry in lab.quarantine] == ["Revision"]
    lab.behaviours.clear()
    lab.env(A="c")
    lab.settle()
    assert lab.outcomes[-1] == "Promoted", "other settings are another revision"


@pytest.mark.parametrize("how", [{"crash_looping": True}, {"restarts": 3}])
def test_a_crashing_server_rejects_the_revision(how: dict[str, object]) -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", ready=False, says=PodSilent(), **how)
    lab.settle()
    assert lab.quarantine == [("2", "Revision", "Load", "CrashLoop")]


def test_a_version_that_is_never_ready_fails_at_the_deadline() -> None:
    lab = serving(progress_deadline=timedelta(seconds=100))
    lab.want("2")
    lab.behaves("2", says=transient("Loading"))
    lab.wait(98)
    assert lab.candidate == "2"
    lab.wait(4)
    assert lab.quarantine == [("2", "Revision", "Load", "ProgressDeadline")]
    assert "Loading" in lab.status.rejected[0].message


def test_a_version_that_became_ready_while_the_operator_was_away_is_not_late() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=transient("Loading"))
    lab.settle()
    lab.behaviours.clear()
    lab.away(minutes=11)
    assert (lab.stable, lab.quarantine) == ("2", [])


def test_a_deadline_that_passed_while_the_operator_was_away_begins_anew() -> None:
    lab = serving(progress_deadline=timedelta(seconds=100))
    lab.want("2")
    lab.behaves("2", says=transient("Loading"))
    lab.step()
    assert lab.deployed() == {"1": 2}, "the process dies before it has made the Deployment"
    lab.away(minutes=11)
    lab.wait(98)
    assert (lab.candidate, lab.quarantine) == ("2", [])
    lab.wait(4)
    assert lab.quarantine == [("2", "Revision", "Load", "ProgressDeadline")]


def test_a_clock_that_jumps_forward_is_no_deadline() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=transient("Loading"))
    lab.wait(5)
    lab.now += timedelta(hours=1)
    lab.settle()
    assert (lab.candidate, lab.quarantine) == ("2", [])


def test_files_that_are_not_those_recorded_are_rejected_before_they_are_verified() -> None:
    lab = serving()
    lab.want("2")
    lab.wait(700)
    lab.behaves("1", digest="sha256:changed")
    lab.want("1")
    lab.settle()
    assert (lab.stable, lab.quarantine) == ("2", [("1", "Model", "Preflight", "DigestMismatch")])


OUTSIDE = [
    ({"ready": False, "says": PodSilent(), "trouble": Reason.UNSCHEDULABLE}, "Unschedulable"),
    ({"ready": False, "says": PodSilent(), "trouble": Reason.IMAGE_PULL}, "ImagePull"),
    ({"says": transient("RegistryUnreachable")}, "RegistryUnreachable"),
    ({"says": transient("RegistryUnauthorized")}, "RegistryUnauthorized"),
    ({"says": transient("RegistryHostRejected")}, "RegistryHostRejected"),
]


@pytest.mark.parametrize(("how", "reason"), OUTSIDE)
def test_trouble_outside_the_model_rejects_nothing_however_long_it_lasts(how: dict[str, object], reason: str) -> None:
    lab = serving(progress_deadline=timedelta(seconds=60))
    lab.want("2")
    lab.behaves("2", **how)
    lab.wait(3600)
    assert (lab.stable, lab.candidate, lab.quarantine) == ("1", "2", [])
    assert lab.said("Progressing") == ("False", reason)
    assert lab.said("Available") == ("True", "Serving")
    lab.behaves("2", says=transient("Loading"))
    lab.wait(50)
    assert lab.quarantine == [], "lost time does not count towards the deadline"
    lab.behaviours.clear()
    lab.wait(2)
    assert lab.stable == "2"


@pytest.mark.parametrize(("quota", "reason"), [(True, "Quota"), (False, "RefusedByApiServer")])
def test_a_refused_write_is_told_and_never_held_against_the_version(quota: bool, reason: str) -> None:
    lab = serving(progress_deadline=timedelta(seconds=60))
    lab.want("2")
    lab.behaves("2", says=transient("Loading"))
    lab.settle()
    lab.refused = Refusal("Deployment", "iris-x", "exceeded quota", quota=quota)
    lab.wait(600)
    assert (lab.candidate, lab.quarantine) == ("2", [])
    assert lab.said("Progressing") == ("False", reason)
    assert lab.said("Ready") == ("False", reason)


def test_a_failed_first_version_leaves_nothing_serving_and_the_next_takes_its_place() -> None:
    lab = Lab()
    lab.behaves("1", says=permanent("LoadFailed"))
    lab.settle()
    assert lab.outcomes == ["FirstRolloutFailed"]
    assert lab.said("Ready") == ("False", "FirstRolloutFailed")
    assert lab.said("Stalled") == ("True", "FirstRolloutFailed")
    assert lab.deployed() == {}
    lab.want("2")
    lab.settle()
    assert lab.stable == "2"
    assert lab.said("Stalled")[0] == "False"


def test_a_rejected_version_is_not_started_again_by_an_alias_that_moves_away_and_back() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=permanent("LoadFailed"))
    lab.settle()
    lab.want("1")
    lab.settle()
    assert lab.said("Ready") == ("True", "AsWanted")
    lab.behaviours.clear()
    lab.want("2")
    lab.wait(60)
    assert (lab.stable, lab.candidate) == ("1", None)
    assert lab.said("Ready") == ("False", "RolledBack")


def test_more_memory_is_a_new_revision_and_may_try_again_what_a_crash_rejected() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", ready=False, says=PodSilent(), crash_looping=True)
    lab.settle()
    lab.behaviours.clear()
    lab.env(MORE="memory")
    lab.settle()
    assert lab.stable == "2"


def test_a_model_rejected_by_its_golden_prediction_stays_rejected_with_any_settings() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", golden=GoldenFailed("not finite"))
    lab.settle()
    lab.behaviours.clear()
    lab.env(A="b")
    lab.wait(60)
    assert lab.stable == "1"


def test_quarantine_keeps_at_most_twenty_entries() -> None:
    lab = serving()
    for version in range(2, 25):
        lab.behaves(str(version), says=permanent("LoadFailed"))
        lab.want(str(version))
        lab.settle()
    assert [entry.version for entry in lab.status.rejected] == [str(version) for version in range(5, 25)]


def test_events_tell_a_failure_once() -> None:
    lab = serving()
    lab.events.clear()
    lab.want("2")
    lab.behaves("2", says=permanent("LoadFailed"))
    lab.wait(900)
    assert [event.reason for event in lab.events] == ["RolloutStarted", "RolledBack", "Rejected"]


def test_a_transient_reason_of_a_pod_is_told_while_it_is_waited_for() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=transient("ArtifactTruncated"))
    lab.settle()
    message = lab.condition("Progressing").message
    assert message == "version 2: 0 of 2 pods are ready (ArtifactTruncated: because of ArtifactTruncated)"
    assert lab.quarantine == []
    lab.behaves("2", says=transient("Loading"))
    lab.settle()
    assert lab.condition("Progressing").message == "version 2: 0 of 2 pods are ready"


def test_a_pod_of_the_serving_version_that_cannot_load_is_told_and_looked_at_again() -> None:
    lab = serving()
    lab.behaves("1", says=permanent("DigestMismatch"), ready=False)
    lab.settle()
    assert (lab.stable, lab.quarantine) == ("1", [])
    assert lab.said("Ready") == ("False", "NoReadyPods")
    assert lab.condition("Ready").message == "no pod of version 1 is ready (DigestMismatch: because of DigestMismatch)"
    assert next_wake(lab.view(), lab.status, 300.0) <= 5.0
    lab.behaves("1")
    lab.settle()
    assert lab.condition("Ready").message == "version 1 serves, as wanted"
    assert next_wake(lab.view(), lab.status, 300.0) == 300.0


def scaled_while_it_waits() -> Lab:
    """Version 2 is verified and waits for its turn; a pod that scaling has added loads for ever."""
    lab = serving(min_duration=timedelta(hours=2), progress_deadline=timedelta(minutes=10))
    lab.want("2")
    lab.wait(60)
    assert lab.status.candidate is not None
    assert lab.status.candidate.verified_at is not None
    lab.last_says = transient("Loading")
    lab.edit(replicas=3)
    lab.settle()
    assert lab.status.candidate.verified_at is not None
    return lab


def test_a_pod_that_scaling_has_added_and_that_loads_for_ever_meets_the_deadline() -> None:
    lab = scaled_while_it_waits()
    lab.wait(550)
    assert lab.candidate == "2"
    lab.wait(120)
    assert lab.candidate is None
    assert lab.quarantine == [("2", "Revision", "Load", "ProgressDeadline")]
    assert "scaled" in lab.status.rejected[0].message
    assert lab.stable == "1"


def test_a_pod_that_scaling_has_added_and_that_comes_in_time_ends_its_deadline() -> None:
    lab = scaled_while_it_waits()
    lab.wait(500)
    lab.last_says = None
    lab.wait(3600)
    assert lab.candidate == "2"
    assert lab.status.candidate is not None
    assert lab.status.candidate.incomplete_since is None
    lab.wait(3600)
    assert lab.stable == "2"


def test_the_deadline_passes_for_an_operator_that_is_restarted_again_and_again() -> None:
    lab = serving(progress_deadline=timedelta(minutes=10))
    lab.want("2")
    lab.behaves("2", says=transient("Loading"))
    lab.settle()
    for _ in range(8):
        lab.wait(100)
        assert lab.candidate == "2"
        lab.away(seconds=20)
    for _ in range(4):
        lab.wait(100)
        lab.away(seconds=20)
    assert lab.quarantine == [("2", "Revision", "Load", "ProgressDeadline")]


def test_watched_time_is_put_down_once_a_minute() -> None:
    lab = serving(progress_deadline=timedelta(hours=1))
    lab.want("2")
    lab.behaves("2", says=transient("Loading"))
    lab.settle()
    written: list[int] = []
    lab.watch = lambda lab: written.append(lab.status.candidate.watched_seconds) if lab.status.candidate else None
    lab.wait(600)
    assert len(written) <= 10
    assert written[-1] >= 540
