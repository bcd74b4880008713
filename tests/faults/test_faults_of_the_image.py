"""Images that crash and images that are not there: the first is the version's fault, the second is not."""

from fault_lab import CRASH_IMAGE, Subject


def test_an_image_that_crashes_is_quarantined_at_once_and_not_after_the_deadline(iris: Subject) -> None:
    version = iris.goes_live(rollout={"progressDeadline": "1h"})
    pods = iris.pods()
    iris.patch(serving={"image": CRASH_IMAGE})
    message = iris.waits_for("Ready", "False", "RolledBack")
    assert "CrashLoop" in message
    assert "ended with code 1" in message
    assert [gate for _, gate in iris.rejected()] == ["CrashLoop"]
    assert iris.status["rejected"][0]["scope"] == "Revision"
    assert iris.ask().version == version

    iris.patch(serving={"image": None})
    iris.waits_for("Ready", "True", "AsWanted")
    iris.until(lambda: iris.pods() == pods, "the old pods were there all the time, and are alone again")


def test_a_first_version_that_crashes_says_that_nothing_serves_and_a_mended_spec_goes_live(iris: Subject) -> None:
    iris.release()
    iris.apply(serving={"image": CRASH_IMAGE})
    message = iris.waits_for("Ready", "False", "FirstRolloutFailed")
    assert "give another version or say retry" in message
    assert iris.condition("Stalled")[:2] == ("True", "FirstRolloutFailed")
    assert iris.condition("Available")[0] == "False"
    assert iris.outcomes() == ["FirstRolloutFailed"]
    assert iris.ask().status == 0

    iris.patch(serving={"image": None})
    iris.serves("1")
    assert iris.outcomes() == ["FirstRolloutFailed", "Promoted"]


def test_an_image_that_cannot_be_pulled_is_waited_for_and_never_quarantined(iris: Subject) -> None:
    iris.release()
    iris.apply(serving={"image": "example.test/typo:1"}, rollout={"progressDeadline": "1s"})
    message = iris.waits_for("Progressing", "False", "ImagePull")
    assert "example.test/typo:1" in message
    assert iris.condition("Ready")[:2] == ("False", "ImagePull")
    assert iris.condition("Stalled")[0] == "False"
    assert iris.events()["ImagePull"] == message
    iris.until(lambda: backed_off(iris), "the kubelet has tried more than once")
    assert iris.rejected() == []

    iris.patch(serving={"image": "example.test/headgate-server:1"}, rollout={"progressDeadline": "1m"})
    iris.serves("1")
    assert iris.rejected() == []


def backed_off(subject: Subject) -> bool:
    states = [s.get("state", {}) for p in subject.children("Pod") for s in p["status"].get("containerStatuses", [])]
    return any(state.get("waiting", {}).get("reason") == "ImagePullBackOff" for state in states)
