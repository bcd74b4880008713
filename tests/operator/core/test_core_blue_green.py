"""The way of a good version, step by step, and what changes on the way."""

from __future__ import annotations

from datetime import timedelta

from core_lab import Behaviour, Lab, serving
from headgate_operator.api.reasons import Reason
from headgate_operator.api.status import Phase
from headgate_operator.core.observed import Counters, Endpoint, GoldenUnknown, Pod, PodNotReady, Unresolved

WARM = timedelta(minutes=10)
LOADING = PodNotReady(reason="Loading", permanent=False, message="")


def test_the_first_deployment_is_verified_before_it_gets_traffic() -> None:
    lab = Lab()
    lab.behaves("1", says=LOADING)
    lab.settle()
    assert (lab.stable, lab.candidate, lab.selected) == (None, "1", None)
    assert lab.said("Ready") == ("False", "FirstDeployment")
    assert lab.said("Available") == ("False", "NoVersionYet")
    lab.behaviours.clear()
    lab.settle()
    assert (lab.stable, lab.candidate, lab.selected) == ("1", None, "1")
    assert lab.said("Ready") == ("True", "AsWanted")
    assert lab.outcomes == ["Promoted"]


def test_a_smooth_first_deployment_and_switch_warn_of_nothing() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    assert lab.stable == "2"
    assert [event for event in lab.events if event.warning] == []


def test_the_public_service_exists_before_there_is_a_version() -> None:
    lab = Lab()
    lab.behaves("1", says=LOADING)
    lab.settle()
    public = lab.live["Service", "iris"]
    assert public["spec"]["selector"]["headgate.dev/revision"] == "none"
    assert lab.status.url == "http://iris.default.svc:80"


def test_a_new_version_gets_no_traffic_while_one_pod_is_not_verified() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", golden=GoldenUnknown("timeout"))
    lab.wait(60)
    assert (lab.stable, lab.candidate, lab.selected) == ("1", "2", "1")
    assert lab.said("Available") == ("True", "Serving")
    assert lab.said("Ready") == ("True", "RollingOut")
    lab.behaviours.clear()
    lab.wait(2)
    assert (lab.stable, lab.selected) == ("2", "2")


def test_status_goes_ahead_of_the_switch_and_the_switch_ends_when_endpoints_show_it() -> None:
    lab = serving()
    lab.want("2")
    lab.endpoints_follow = False
    lab.settle()
    assert lab.status.rollout is not None
    assert lab.status.rollout.phase is Phase.SWITCHING
    assert lab.selected == "2"
    assert lab.said("UpToDate") == ("False", "Switching")
    lab.endpoints_follow = True
    lab.settle()
    assert lab.status.rollout is None
    assert lab.said("UpToDate") == ("True", "AsWanted")


def test_min_duration_passes_between_verified_and_switch() -> None:
    lab = serving(min_duration=timedelta(seconds=30))
    lab.want("2")
    lab.wait(29)
    assert (lab.stable, lab.candidate) == ("1", "2")
    assert lab.said("Progressing") == ("True", "WaitingForMinDuration")
    assert lab.said("Reconciling")[0] == "False"
    lab.wait(2)
    assert lab.stable == "2"


def test_a_candidate_that_loses_a_pod_has_to_show_everything_again() -> None:
    lab = serving(min_duration=timedelta(seconds=30))
    lab.want("2")
    lab.wait(20)
    lab.behaves("2", ready=False)
    lab.wait(5)
    assert lab.status.candidate is not None
    assert lab.status.candidate.verified_at is None
    lab.behaviours.clear()
    lab.wait(20)
    assert lab.candidate == "2", "minDuration counts from the new verification"
    lab.wait(12)
    assert lab.stable == "2"


def test_the_previous_version_stays_warm_and_then_goes() -> None:
    lab = serving()
    lab.want("2")
    lab.wait(590)
    assert lab.deployed() == {"1": 2, "2": 2}
    lab.wait(15)
    assert lab.deployed() == {"2": 2}
    assert lab.status.previous is None


def test_keep_warm_zero_drains_at_once() -> None:
    lab = serving(keep_warm=timedelta(0))
    lab.want("2")
    lab.wait(1)
    assert lab.deployed() == {"2": 2}


def test_a_draining_pod_with_a_request_is_waited_for() -> None:
    lab = serving(keep_warm=timedelta(0))
    lab.behaves("1", counters=Counters(in_flight=1, open_connections=1, last_request_age_seconds=0.1))
    lab.want("2")
    lab.wait(50)
    assert lab.deployed()["1"] == 2
    lab.behaves("1", counters=Counters(in_flight=0, open_connections=3, last_request_age_seconds=2.5))
    lab.wait(2)
    assert lab.deployed() == {"2": 2}


def test_an_open_connection_that_was_just_used_is_waited_for() -> None:
    lab = serving(keep_warm=timedelta(0))
    lab.behaves("1", counters=Counters(in_flight=0, open_connections=1, last_request_age_seconds=0.4))
    lab.want("2")
    lab.wait(30)
    assert lab.deployed()["1"] == 2


def test_draining_has_a_backstop_for_pods_that_say_nothing() -> None:
    lab = serving(keep_warm=timedelta(0))
    lab.behaves("1", counters=None)
    lab.want("2")
    lab.wait(55)
    assert lab.deployed()["1"] == 2
    lab.wait(10)
    assert lab.deployed() == {"2": 2}


def test_a_draining_revision_that_is_still_an_endpoint_keeps_its_pods() -> None:
    lab = serving(keep_warm=timedelta(seconds=5))
    lab.want("2")
    lab.settle()
    lab.endpoints_follow = False
    lab.public_endpoints += tuple(Endpoint(pod=pod.name, ready=True) for pod in lab.pods())
    lab.wait(120)
    assert lab.deployed()["1"] == 2
    assert lab.status.previous is not None
    assert not lab.status.previous.drained


def test_a_switch_whose_new_pods_die_before_it_is_seen_ends_all_the_same() -> None:
    lab = Lab()
    lab.endpoints_follow = False
    lab.settle()
    assert (lab.stable, lab.status.rollout is not None) == ("1", True)
    lab.endpoints_follow = True
    lab.behaves("1", ready=False, crash_looping=True)
    lab.want("2")
    lab.wait(50)
    assert lab.candidate is None
    lab.wait(30)
    assert (lab.stable, lab.selected) == ("2", "2"), "the version that mends it must be able to start"


def test_a_switch_is_not_over_while_others_are_endpoints_however_long_it_takes() -> None:
    lab = serving()
    lab.want("2")
    lab.endpoints_follow = False
    lab.wait(3600)
    assert lab.status.rollout is not None
    assert lab.status.rollout.phase is Phase.SWITCHING


def test_a_pod_that_never_ends_does_not_hold_up_later_rollouts() -> None:
    lab = serving(keep_warm=timedelta(0))
    old = lab.status.stable.revision if lab.status.stable else ""
    lab.stuck = (Pod(name="on-a-dead-node", revision=old, address=None, ready=False, terminating=True),)
    lab.want("2")
    lab.wait(90)
    assert lab.status.previous is None
    lab.want("3")
    lab.wait(5)
    assert lab.stable == "3"


def test_scaling_never_takes_back_what_was_verified() -> None:
    lab = serving(min_duration=timedelta(hours=1))
    lab.want("2")
    for replicas in (3, 2, 4, 2):  # as an autoscaler moves it
        lab.wait(1200)
        lab.edit(replicas=replicas)
        lab.settle()
    assert lab.stable == "2"


def test_a_pod_that_scaling_adds_must_be_ready_and_right_before_the_switch() -> None:
    lab = serving(min_duration=timedelta(seconds=30))
    lab.want("2")
    lab.wait(10)
    lab.last_says = LOADING
    lab.edit(replicas=3)
    lab.wait(60)
    assert (lab.stable, lab.candidate) == ("1", "2")
    lab.last_says = None
    lab.wait(31)
    assert lab.stable == "2"


def test_a_third_version_waits_until_the_warm_one_is_drained() -> None:
    lab = serving()
    lab.want("2")
    lab.wait(5)
    lab.behaves("1", counters=Counters(in_flight=1, open_connections=1, last_request_age_seconds=0.0))
    lab.want("3")
    lab.wait(20)
    assert (lab.stable, lab.candidate) == ("2", "3")
    assert lab.status.previous is not None
    assert lab.status.previous.draining_since is not None
    assert lab.said("Progressing") == ("True", "DrainingPrevious")
    lab.behaviours["1"] = Behaviour()
    lab.wait(3)
    assert lab.stable == "3"
    assert [event.reason for event in lab.events].count("Draining") == 1


def test_the_digest_that_pods_agree_on_is_kept_for_later_pods() -> None:
    lab = serving()
    revision = lab.status.stable.revision if lab.status.stable else ""
    assert lab.live["ConfigMap", f"iris-{revision}"]["data"] == {"digest": f"sha256:{'1':0>64}"}
    assert lab.status.model is not None
    assert lab.status.model.digest == f"sha256:{'1':0>64}"


def test_an_example_that_cannot_be_read_is_waited_for_without_a_deadline() -> None:
    lab = serving()
    lab.want("2")
    lab.example_trouble = Unresolved(Reason.REGISTRY_UNREACHABLE, "connection refused")
    lab.wait(3600)
    assert (lab.candidate, lab.quarantine) == ("2", [])
    assert lab.said("Progressing") == ("False", "GoldenUnavailable")
    lab.example_trouble = None
    lab.wait(6)
    assert lab.stable == "2"


def test_scaling_in_the_middle_of_a_rollout_asks_the_candidate_for_all_pods() -> None:
    lab = serving(min_duration=timedelta(seconds=30))
    lab.want("2")
    lab.wait(5)
    lab.edit(replicas=5)
    lab.settle()
    assert lab.deployed() == {"1": 5, "2": 5}
    lab.wait(31)
    assert lab.stable == "2"


def test_a_warm_previous_follows_replicas_so_that_going_back_never_means_fewer_pods() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    lab.edit(replicas=4)
    lab.settle()
    assert lab.deployed() == {"1": 4, "2": 4}


def test_new_settings_of_the_same_version_are_a_new_revision() -> None:
    lab = serving()
    before = lab.status.stable.revision if lab.status.stable else ""
    lab.env(A="b")
    lab.settle()
    assert lab.status.stable is not None
    assert lab.status.stable.revision != before
    assert lab.status.history[-1].reason == "SpecChanged"


def test_the_same_number_with_another_source_is_another_version() -> None:
    lab = serving()
    lab.want("1", source="models:/m-overwritten")
    lab.settle()
    assert lab.outcomes == ["Promoted", "Promoted"]
    assert lab.status.history[-1].reason == "SourceChanged"
