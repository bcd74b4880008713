"""What the registry calls READY is not always a model: it never serves, and what served before stays."""

from pathlib import Path

import model_dirs
from fault_lab import Subject, file_of, good_model


def test_a_truncated_download_is_tried_again_until_it_is_whole(iris: Subject) -> None:
    iris.release()
    iris.lab.registry.fail("truncate", where="model.onnx")
    iris.apply(rollout={"progressDeadline": "10m"})
    iris.until(lambda: "ArtifactTruncated" in iris.condition("Progressing")[2], "the condition says what is wrong")
    iris.until(lambda: iris.lab.registry.asked("model.onnx")[2:], "the server tries again by itself")
    assert iris.rejected() == []
    assert iris.ask().status == 0
    assert iris.condition("Progressing")[0] == "True"
    assert "ArtifactTruncated" in iris.status["candidate"]["waitingFor"]

    iris.lab.registry.heal()
    iris.serves("1")


def test_a_pickle_is_refused_and_quarantined_while_the_old_version_stays(iris: Subject, tmp_path: Path) -> None:
    iris.goes_live()
    pods = iris.pods()
    iris.release(model_dirs.pickled(tmp_path, {"coef": 1}))
    message = iris.waits_for("Ready", "False", "RolledBack")
    assert "PickleRefused" in message
    assert "version 1 serves; give another version or say retry" in message
    assert iris.condition("Stalled")[:2] == ("True", "RolledBack")
    assert iris.condition("Available")[0] == "True"
    assert iris.rejected() == [("2", "PickleRefused")]
    assert "PickleRefused" in iris.events()["Rejected"] or "pickle" in iris.events()["Rejected"].lower()
    assert iris.ask().version == "1"
    iris.until(lambda: iris.pods() == pods, "only the old version's pods are left")


def test_a_model_with_another_digest_than_the_spec_gives_never_serves(iris: Subject) -> None:
    version = iris.goes_live()
    digest = iris.status["stable"]["digest"]
    iris.release()
    iris.patch(model={"digest": digest})
    message = iris.waits_for("Ready", "False", "RolledBack")
    assert "DigestMismatch" in message
    assert digest in message
    assert iris.rejected() == [("2", "DigestMismatch")]
    assert iris.ask().version == version

    iris.lab.registry.set_alias(iris.model, "champion", version)
    iris.serves(version)
    assert iris.waits_for("Ready", "True", "AsWanted")


def test_an_artifact_that_changes_under_a_serving_version_reaches_no_user(iris: Subject, tmp_path: Path) -> None:
    iris.goes_live(replicas=2)
    first, second = iris.pods()
    forged = file_of(good_model(tmp_path, "forged"), "MLmodel")
    iris.lab.registry.overwrite(iris.model, "1", "MLmodel", forged)
    with iris.load() as load:
        iris.kubectl("delete", "pod", first, "--wait=false")
        new = iris.until(lambda: next(iter(set(iris.pods()) - {first, second}), None), "a new pod is made")
        iris.until(lambda: "DigestMismatch" in iris.kubectl("logs", new), "the new pod refuses the changed artifact")
        iris.until(lambda: iris.status.get("ready") == "1/2", "the status counts what is ready")
        iris.until(lambda: "DigestMismatch" in iris.condition("Ready")[2], "the condition says what is wrong")
        iris.answered(load, "1")
        assert iris.condition("Available")[0] == "True"
        assert not ready(iris, new)
    assert load.lost == []


def ready(subject: Subject, pod: str) -> bool:
    conditions = subject.child("Pod", pod)["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
