"""Versions change while clients ask without end, from inside the cluster and from outside, and lose nothing."""

from cluster_subject import Subject
from cluster_trial import Trial


def test_an_alias_that_moves_switches_all_clients_without_a_loss(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    with trial.loaded():
        with trial.transition("1", "2"):
            iris.move_alias("2")
            iris.serves("2")
        trial.answered_by("2", pooled=True)
