"""Versions and settings change while clients ask without end, from inside the cluster and from outside."""

from cluster_subject import Subject
from cluster_trial import Trial


def on_two(iris: Subject, **spec: object) -> None:
    """Version 2 serves, version 1 is warm."""
    iris.goes_live("1", **spec)
    iris.release("2")
    iris.serves("2")


def test_an_alias_that_moves_switches_all_clients(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    with trial.loaded():
        with trial.transition("1", "2"):
            iris.move_alias("2")
            iris.serves("2")
        trial.answered_by("2", pooled=True)
    assert iris.outcomes() == ["Promoted", "Promoted"]


def test_an_undo_brings_back_the_version_that_is_still_warm(iris: Subject, trial: Trial) -> None:
    on_two(iris)
    with trial.loaded():
        with trial.transition("2", "1", rollback=True):
            iris.headgate("undo")
            iris.serves("1")
        trial.answered_by("1", pooled=True)
    assert iris.condition("Ready")[1] == "HeldByUndo"
    trial.rests_with(UpToDate="False")


def test_a_version_that_is_pinned_while_it_is_warm_serves_at_once(iris: Subject, trial: Trial) -> None:
    on_two(iris)
    with trial.loaded(), trial.transition("2", "1", rollback=True):
        iris.patch(model={"alias": None, "version": "1"})
        iris.serves("1")
    assert iris.outcomes()[-1] == "Reverted"


def test_new_settings_of_the_same_version_go_the_same_way(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    old = iris.status["stable"]["revision"]
    with trial.loaded(), trial.transition("1", "1"):
        iris.patch(serving={"env": [{"name": "OMP_NUM_THREADS", "value": "1"}]})
        iris.until(lambda: iris.status["stable"]["revision"] != old, "the new settings are a new revision")
        iris.serves("1")


def test_scaling_up_and_down_again(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    with trial.loaded() as load:
        for replicas in (4, 2):
            iris.kubectl("scale", "mdep", iris.name, f"--replicas={replicas}")
            iris.has_pods(replicas)
            trial.answered_by("1")
        assert load.by_version().keys() == {"1"}
    assert iris.outcomes() == ["Promoted"]


def test_a_deployment_that_is_deleted_in_the_middle_of_a_switch_leaves_nothing(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    with trial.loaded():
        iris.patch(rollout={"blueGreen": {"minDuration": "5m"}})
        iris.release("2")
        iris.until(lambda: iris.step() == "verified", "version 2 is ready beside version 1")
        trial.answered_by("1")
    trial.leaves_nothing()
    iris.apply()
    iris.serves("2")


def test_the_same_manifest_from_several_managers_changes_nothing(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    before = iris.versions_to_the_world()
    pods = [pod["metadata"]["uid"] for pod in iris.pods()]
    manifest = iris.manifest()
    with trial.loaded():
        iris.kubectl("apply", "-f", "-", given=manifest)
        for manager in ("git-sync", "ci"):
            apply = ("apply", "--server-side", f"--field-manager={manager}", "--force-conflicts", "-f", "-")
            iris.kubectl(*apply, given=manifest)
        iris.kubectl("apply", "-f", "-", given=manifest)
        trial.answered_by("1")
        assert iris.read()["metadata"]["generation"] == 1
    after = iris.versions_to_the_world()
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= {f"ModelDeployment {iris.name}"}, "only the managers of its fields are noted"
    assert [pod["metadata"]["uid"] for pod in iris.pods()] == pods


def test_an_alias_that_moves_on_before_a_switch_is_over(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    versions = [iris.release(mark, alias=False) for mark in ("2", "3", "4")]
    with trial.loaded(), trial.transition("1", versions[0]):
        for version in (versions[0], versions[1], "1", versions[2], versions[1], versions[0]):
            iris.move_alias(version)
            iris.until(lambda v=version: iris.status["wanted"].startswith(f"{v} "), f"version {version} is wanted")
        iris.serves(versions[0])
        iris.until(lambda: iris.condition("UpToDate")[0] == "True", "nothing else is wanted any more")
