"""People edit what is not theirs, scale, pause, undo and retry, while clients ask without end.

Where a good pod existed, no request is lost: not on a connection that is kept, not on a fresh one.
"""

import time
from pathlib import Path

from fault_lab import Subject, file_of, good_model


def two_versions(iris: Subject, **spec: object) -> None:
    """Version 2 serves, version 1 is warm."""
    iris.goes_live(**spec)
    iris.release()
    iris.serves("2")


def test_a_selector_that_somebody_widened_is_narrowed_again_without_a_loss(iris: Subject) -> None:
    two_versions(iris)
    good = iris.child("Service", iris.name)["spec"]["selector"]
    with iris.load() as load:
        iris.kubectl("set", "selector", "service", iris.name, f"headgate.dev/deployment={iris.name}")
        iris.until(lambda: iris.child("Service", iris.name)["spec"]["selector"] == good, "it is mended")
        iris.serves("2")
        iris.answered(load, "2")

        warm = iris.deployment("previous")
        uid = iris.child("Deployment", warm)["metadata"]["uid"]
        iris.kubectl("delete", "deployment", warm)
        iris.until(lambda: iris.child("Deployment", warm).get("metadata", {}).get("uid", uid) != uid, "made anew")
        iris.answered(load, "2")
    assert load.lost == []


def test_a_service_that_was_deleted_or_points_nowhere_comes_back(iris: Subject) -> None:
    iris.goes_live()
    pods = iris.pods()
    iris.kubectl("set", "selector", "service", iris.name, "app=nowhere")
    iris.serves("1")
    uid = iris.child("Service", iris.name)["metadata"]["uid"]
    iris.kubectl("delete", "service", iris.name)
    iris.until(lambda: iris.child("Service", iris.name).get("metadata", {}).get("uid", uid) != uid, "made anew")
    iris.serves("1")
    assert iris.pods() == pods


def test_a_deployment_that_somebody_scales_is_scaled_back_without_a_loss(iris: Subject) -> None:
    iris.goes_live(replicas=2)
    name = iris.deployment()
    with iris.load() as load:
        iris.kubectl("scale", "deployment", name, "--replicas=1")
        iris.until(lambda: iris.child("Deployment", name)["spec"]["replicas"] == 2, "it is mended")
        iris.until(lambda: len(iris.pods()) == 2 and iris.status["ready"] == "2/2", "two pods are ready")
    assert load.lost == []
    assert iris.outcomes() == ["Promoted"]


def test_a_deployment_that_was_deleted_is_made_again(iris: Subject) -> None:
    iris.goes_live()
    name = iris.deployment()
    uid = iris.child("Deployment", name)["metadata"]["uid"]
    iris.kubectl("delete", "deployment", name)
    iris.until(lambda: iris.child("Deployment", name).get("metadata", {}).get("uid", uid) != uid, "made anew")
    iris.serves("1")
    assert iris.waits_for("Ready", "True", "AsWanted")
    assert iris.outcomes() == ["Promoted"]


def test_scaling_up_and_down_loses_no_request(iris: Subject) -> None:
    iris.goes_live()
    with iris.load() as load:
        iris.kubectl("scale", "mdep", iris.name, "--replicas=2")
        iris.until(lambda: iris.status.get("ready") == "2/2", "two pods are ready")
        iris.kubectl("scale", "mdep", iris.name, "--replicas=1")
        iris.until(lambda: len(iris.pods()) == 1 and iris.status.get("ready") == "1/1", "one pod is left")
        iris.answered(load, "1")
    assert load.lost == []


def test_scaled_to_zero_nothing_runs_and_back_again_the_same_revision_serves(iris: Subject) -> None:
    iris.goes_live()
    revision = iris.status["stable"]["revision"]
    iris.kubectl("scale", "mdep", iris.name, "--replicas=0")
    assert "0" in iris.waits_for("Available", "False", "ScaledToZero")
    iris.until(lambda: iris.pods() == [], "no pod is left")
    iris.until(lambda: iris.ask().status == 0, "pods that end answer no longer than they need")
    assert iris.condition("Ready")[:2] == ("True", "ScaledToZero")
    iris.kubectl("scale", "mdep", iris.name, "--replicas=1")
    iris.serves("1")
    assert iris.status["stable"]["revision"] == revision
    assert iris.outcomes() == ["Promoted"]


def test_paused_it_holds_a_move_of_the_alias_repairs_what_serves_and_then_lets_it_go(iris: Subject) -> None:
    iris.goes_live()
    iris.patch(paused=True)
    iris.release()
    assert "spec.paused" in iris.waits_for("Ready", "True", "Paused")
    assert iris.condition("UpToDate")[:2] == ("False", "Paused")
    assert len(iris.pods()) == 1
    name = iris.deployment()
    iris.kubectl("scale", "deployment", name, "--replicas=2")
    iris.until(lambda: iris.child("Deployment", name)["spec"]["replicas"] == 1, "what serves is repaired")
    iris.until(lambda: len(iris.pods()) == 1, "the surplus pod goes")
    assert iris.ask().version == "1"
    assert "candidate" not in iris.status

    iris.patch(paused=False)
    iris.serves("2")
    assert iris.condition("Ready")[:2] == ("True", "AsWanted")


def test_the_old_version_leaves_after_keep_warm_and_an_undo_brings_it_back_without_a_loss(iris: Subject) -> None:
    iris.goes_live(rollout={"keepWarm": "1s"})
    old = iris.deployment()
    with iris.load() as load:
        iris.release()
        iris.serves("2")
        iris.until(lambda: iris.child("Deployment", old) == {}, "the old Deployment goes", within=90)
        iris.until(lambda: "previous" not in iris.status, "nothing is left to drain")
        gone = time.monotonic()
        iris.answered(load, "2")
        assert load.versions(since=gone) == {"2"}, "also over connections that were open all the time"
        assert load.versions(pooled=True) == {"1", "2"}
        assert {"Draining", "Removed"} <= set(iris.events())

        assert "version 1 is brought up again; version 2 serves until then" in iris.headgate("undo")
        iris.serves("1")
        assert "say retry" in iris.waits_for("Ready", "True", "HeldByUndo")
        iris.answered(load, "1")
    assert load.lost == []
    assert iris.rejected() == [("2", "Undo")]


def test_a_version_whose_artifact_was_repaired_serves_after_a_retry(iris: Subject, tmp_path: Path) -> None:
    iris.goes_live()
    bad = good_model(tmp_path, "2")
    whole = file_of(bad, "model.onnx")
    (bad / "model.onnx").write_bytes(b"not a model")
    iris.release(bad)
    assert "say retry" in iris.waits_for("Ready", "False", "RolledBack")
    iris.lab.registry.overwrite(iris.model, "2", "model.onnx", whole)
    with iris.load() as load:
        iris.until(lambda: load.count() > 20, "the load goes on")
        assert iris.ask().version == "1"
        assert iris.condition("Ready")[:2] == ("False", "RolledBack")
        assert "version 2 starts anew" in iris.headgate("retry")
        iris.serves("2")
    assert load.lost == []
    assert iris.rejected() == []
    assert iris.condition("Ready")[:2] == ("True", "AsWanted")
