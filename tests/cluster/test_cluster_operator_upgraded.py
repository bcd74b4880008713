"""The release of the operator changes while models serve: that is nothing that a model or its clients notice."""

from concurrent.futures import ThreadPoolExecutor

from cluster_lab import SERVER_IMAGE, Lab
from cluster_subject import Subject
from cluster_trial import Trial


def test_a_new_release_of_the_operator_in_the_middle_of_a_switch(lab: Lab, iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    iris.patch(rollout={"blueGreen": {"minDuration": "5s"}})
    iris.release("2", alias=False)
    with trial.loaded(), ThreadPoolExecutor(max_workers=1) as beside:
        with trial.transition("1", "2"):
            iris.move_alias("2")
            iris.until(lambda: iris.step() == "verified", "version 2 is verified")
            upgrade = beside.submit(lab.operator.install, podAnnotations={"example.com/release": "2"})
            iris.serves("2")
        upgrade.result()
        lab.operator.settled()
        trial.answered_by("2", pooled=True)
    assert iris.outcomes() == ["Promoted", "Promoted"]


def test_a_new_default_image_of_the_server_restarts_no_model(lab: Lab, iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    before = [(pod["metadata"]["uid"], pod["status"]["startTime"]) for pod in iris.pods()]
    written = iris.read()["metadata"]["resourceVersion"]
    try:
        with trial.loaded():
            lab.operator.install(serverImage=f"{SERVER_IMAGE}:2")
            lab.operator.settled()
            iris.kubectl("annotate", "mdep", iris.name, "example.com/look=again")
            iris.until(lambda: iris.read()["metadata"]["resourceVersion"] != written, "the operator is woken")
            assert [(pod["metadata"]["uid"], pod["status"]["startTime"]) for pod in iris.pods()] == before
            with trial.transition("1", "2"):
                iris.move_alias("2")
                iris.serves("2")
            images = {pod["spec"]["containers"][0]["image"] for pod in iris.pods("2")}
            assert images == {f"{SERVER_IMAGE}:2"}, "the next version takes the new default"
            assert [pod["metadata"]["uid"] for pod in iris.pods("1")] == [uid for uid, _ in before]
    finally:
        lab.operator.install()
        lab.operator.settled()
