"""The registry goes away under the load, at every stage of a version's life: what serves never depends on it."""

from cluster_faults import cordoned
from cluster_lab import Lab
from cluster_subject import Subject
from cluster_trial import Trial


def tells_of_the_outage(iris: Subject) -> None:
    iris.waits_for("ModelResolved", "Unknown", "RegistryUnreachable")


def knows_the_registry_again(iris: Subject) -> None:
    iris.waits_for("ModelResolved", "True", "Resolved")


def test_the_registry_is_away_at_rest_and_the_operator_begins_anew_without_it(
    lab: Lab, iris: Subject, trial: Trial
) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    pods = [pod["metadata"]["uid"] for pod in iris.pods()]
    with trial.loaded("--seconds=600"):
        with lab.registry.away():
            tells_of_the_outage(iris)
            for pod in lab.operator.pods():
                lab.operator.delete(pod, force=True)
            lab.operator.settled()
            # What was resolved before is known from the status, and acted on.
            iris.kubectl("annotate", "mdep", iris.name, "example.test/touched=true")
            tells_of_the_outage(iris)
            trial.answered_by("1")
            assert [pod["metadata"]["uid"] for pod in iris.pods()] == pods
        knows_the_registry_again(iris)
        with trial.transition("1", "2"):
            iris.move_alias("2")
            iris.serves("2")
    assert iris.rejected() == []


def test_the_registry_goes_before_the_pods_of_a_new_version_have_its_files(
    lab: Lab, iris: Subject, trial: Trial
) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    with trial.loaded("--seconds=600"), trial.transition("1", "2"):
        with cordoned(lab):
            iris.move_alias("2")
            iris.until(lambda: len(iris.pods("2")) == 2, "the pods of version 2 wait for a node")
            lab.registry.stop()
        try:
            iris.waits_for("Progressing", "False", "RegistryUnreachable")
            trial.answered_by("1")
        finally:
            lab.registry.start()
        iris.serves("2")
    assert iris.rejected() == []
    assert iris.outcomes() == ["Promoted", "Promoted"]


def test_the_registry_goes_once_a_new_version_is_loaded_and_the_switch_needs_it_no_more(
    lab: Lab, iris: Subject, trial: Trial
) -> None:
    iris.goes_live("1", rollout={"blueGreen": {"minDuration": "5s"}})
    iris.release("2", alias=False)
    with trial.loaded("--seconds=600"):
        with trial.transition("1", "2"):
            iris.move_alias("2")
            iris.until(lambda: iris.step() == "verified", "version 2 is ready beside version 1")
            lab.registry.stop()
            try:
                iris.serves("2")
                tells_of_the_outage(iris)
            finally:
                lab.registry.start()
        knows_the_registry_again(iris)
    assert iris.outcomes() == ["Promoted", "Promoted"]
