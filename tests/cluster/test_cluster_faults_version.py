"""Versions and settings that cannot serve, under the load: the old version goes on, and a good one follows."""

from collections.abc import Iterator
from contextlib import contextmanager

from cluster_faults import limited, nodes
from cluster_lab import OPERATOR_IMAGE, SERVER_IMAGE, Lab
from cluster_platform import run
from cluster_subject import Subject
from cluster_trial import Trial

ABSENT_IMAGE = "testbed.local/headgate-server:absent"
# Python starts with so much, and dies while it loads the libraries.
TOO_LITTLE = {"requests": {"memory": "32Mi"}, "limits": {"memory": "32Mi"}}
ENOUGH = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}


def follows(iris: Subject, trial: Trial, old: str, new: str) -> None:
    """A good version goes the usual way."""
    with trial.transition(old, new):
        iris.move_alias(new)
        iris.serves(new)


def test_settings_with_too_little_memory_are_refused_and_a_good_version_follows(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    with trial.loaded():
        iris.patch(serving={"resources": TOO_LITTLE})
        message = iris.waits_for("Ready", "False", "RolledBack")
        assert "OOMKilled" in message
        assert iris.rejected() == [("1", "CrashLoop")]
        trial.answered_by("1")
        iris.patch(serving={"resources": ENOUGH})
        iris.serves("1")
        follows(iris, trial, "1", "2")


def test_an_image_that_crashes_is_refused_and_a_good_version_follows(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    with trial.loaded():
        # The operator's program ends at once where nobody names a registry to it.
        iris.patch(serving={"image": f"{OPERATOR_IMAGE}:1"})
        message = iris.waits_for("Ready", "False", "RolledBack")
        assert "CrashLoop" in message
        trial.answered_by("1")
        iris.patch(serving={"image": None})
        iris.serves("1")
        follows(iris, trial, "1", "2")


def test_an_image_that_is_missing_is_waited_for(lab: Lab, iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    with trial.loaded():
        iris.patch(serving={"image": ABSENT_IMAGE})
        iris.move_alias("2")
        message = iris.waits_for("Progressing", "False", "ImagePull")
        assert ABSENT_IMAGE in message
        iris.until(lambda: backed_off(iris), "the kubelet has tried more than once")
        assert iris.rejected() == []
        assert iris.condition("Stalled")[0] == "False"
        trial.answered_by("1")
        with trial.transition("1", "2"), mended(lab):
            iris.serves("2")
    assert iris.rejected() == []


def backed_off(subject: Subject) -> bool:
    states = [s.get("state", {}) for p in subject.children("Pod") for s in p["status"].get("containerStatuses", [])]
    return any(state.get("waiting", {}).get("reason") == "ImagePullBackOff" for state in states)


@contextmanager
def mended(lab: Lab) -> Iterator[None]:
    """The image that was missing is on every node."""
    names = [node["metadata"]["name"] for node in nodes(lab)]
    images = ("ctr", "--namespace", "k8s.io", "images")
    for name in names:
        run(*lab.platform.on_node(name, *images, "tag", f"{SERVER_IMAGE}:1", ABSENT_IMAGE))
    try:
        yield
    finally:
        for name in names:
            run(*lab.platform.on_node(name, *images, "rm", ABSENT_IMAGE))


def test_a_damaged_artifact_is_refused_and_a_good_version_follows(lab: Lab, iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    iris.release("4", alias=False)
    iris.release("3", alias=False)
    with trial.loaded():
        with lab.registry.damaged("4"):
            iris.move_alias("2")
            message = iris.waits_for("Ready", "False", "RolledBack")
        trial.remark(message)
        assert [version for version, _ in iris.rejected()] == ["2"]
        trial.answered_by("1")
        follows(iris, trial, "1", "3")


def test_a_quota_holds_a_new_version_up_until_it_is_raised(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    held_up(iris, trial, "ResourceQuota", {"hard": {"pods": "2", "limits.memory": "1Gi"}}, "Quota")


def test_a_limit_range_holds_a_new_version_up_until_it_goes(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    held_up(iris, trial, "LimitRange", {"limits": [{"type": "Container", "max": {"memory": "256Mi"}}]}, "Quota")


def held_up(iris: Subject, trial: Trial, kind: str, spec: dict[str, object], reason: str) -> None:
    iris.release("2", alias=False)
    with trial.loaded(), limited(iris, kind, spec) as lift:
        iris.move_alias("2")
        iris.waits_for("Progressing", "False", reason)
        assert iris.condition("Available")[0] == "True"
        trial.answered_by("1")
        with trial.transition("1", "2"):
            lift()
            iris.serves("2")
    assert iris.rejected() == []


def test_pods_that_no_node_has_room_for_are_waited_for(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    with trial.loaded():
        iris.patch(serving={"resources": {"requests": {"cpu": "1000"}}})
        iris.waits_for("Progressing", "False", "Unschedulable")
        trial.answered_by("1")
        iris.patch(serving={"resources": ENOUGH})
        iris.serves("1")
        follows(iris, trial, "1", "2")
    assert iris.rejected() == []
