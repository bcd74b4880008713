"""A new version gets a growing share of the traffic, on evidence of the pods' own counters; clients lose nothing."""

import time
from typing import Any

import pytest

from cluster_lab import Lab
from cluster_strikes import Release, Steps, candidate, kill_processes, promoted, selected, switching
from cluster_subject import Obj, Subject
from cluster_trial import Trial

CANARY: dict[str, Any] = {
    "replicas": 3,
    "rollout": {"strategy": "Canary", "steps": [{"weight": 30}, {"weight": 50}], "keepWarm": "1s"},
    # Steps of seconds, which a margin this wide makes possible at so few requests.
    "analysis": {
        "errorRate": {"maxIncrease": "0.1"},
        "latency": {"maxRatio": "4"},
        "interval": "2s",
        "minDuration": "6s",
        "minRequests": 20,
        "falseRollback": "0.001",
        "predictionShift": "Disabled",  # each version's classes are its own: an answer tells who gave it
    },
}
WITHIN = 400.0


def step(obj: Obj, to: Release, number: int) -> Obj:
    found = candidate(obj, to)
    return found if found.get("step") == number else {}


STEPS: Steps = {
    "the candidate is verified": ("ModelDeployment", lambda o, to: "verifiedAt" in candidate(o, to)),
    "the first step is decided": ("ModelDeployment", lambda o, to: bool(step(o, to, 0))),
    "the Service selects both versions": ("Service", selected),
    "the first step is in force": ("ModelDeployment", lambda o, to: "stepStartedAt" in step(o, to, 0)),
    "the second step is decided": ("ModelDeployment", lambda o, to: bool(step(o, to, 1))),
    "the second step is in force": ("ModelDeployment", lambda o, to: "stepStartedAt" in step(o, to, 1)),
    "the switch is decided": ("ModelDeployment", lambda o, to: promoted(o, to) and switching(o)),
    "the switch is over": ("ModelDeployment", lambda o, to: promoted(o, to) and not switching(o)),
}


def test_an_equal_version_is_promoted_on_evidence(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", **CANARY)
    new = iris.release("2", alias=False)
    to = Release(new, iris.status["stable"]["revision"])
    with trial.loaded() as load:
        with trial.transition("1", new):
            iris.move_alias(new)
            iris.sees("Service", lambda service: selected(service, to), "the Service selects both versions")
            load.until(lambda: load.by_version().get(new, 0) > 20, "version 2 answers its share")
            iris.serves(new, within=WITHIN)
        trial.answered_by(new, pooled=True)
    assert iris.outcomes() == ["Promoted", "Promoted"]


def test_an_abort_takes_the_candidate_out_of_the_traffic_at_once(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", **(CANARY | {"analysis": {"interval": "2s", "minRequests": 1000000}}))
    new = iris.release("2", alias=False)
    last: list[float] = []
    with trial.loaded() as load:
        iris.move_alias(new)
        iris.waits_for("Progressing", "True", "WaitingForEvidence")
        load.until(lambda: load.by_version().get(new, 0) > 20, "version 2 answers its share")
        with trial.transition(new, "1", rollback=True):
            began = time.time()
            iris.headgate("abort")
            iris.serves("1")
            load.until(lambda: load.answered_by("1", pooled=False), "fresh connections lead to version 1")
            last.append(load.last_of(new, since=began, until=time.time()) or began)
        trial.answered_by("1", pooled=True)
    trial.remark(f"the candidate's last fresh connection was opened {last[0] - began:.2f} s after the abort")
    trial.rests_with(Ready="False", UpToDate="False", Stalled="True")


@pytest.mark.timeout(900)
def test_the_operator_is_killed_at_each_step_of_a_canary(lab: Lab, iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", **CANARY)
    new = iris.release("2", alias=False)
    to = Release(new, iris.status["stable"]["revision"])
    with trial.loaded():
        lab.operator.settled()
        with trial.transition("1", new):
            iris.move_alias(new)
            kill_processes(iris, to, lab, STEPS)
            iris.serves(new, within=WITHIN)
        lab.operator.settled()
    assert iris.outcomes() == ["Promoted", "Promoted"]
    trial.remark(f"{len(STEPS)} leaders die one after the other; evidence goes on from its checkpoints")


def test_without_traffic_a_canary_waits_and_says_why(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", **CANARY)
    new = iris.release("2")
    said = iris.waits_for("Progressing", "True", "WaitingForEvidence")
    iris.until(lambda: "no requests to version 2" in iris.condition("Progressing")[2], "it says what it waits for")
    assert iris.condition("Ready")[:2] == ("True", "RollingOut"), said
    assert iris.status["traffic"]["achievable"] == "25"
    iris.headgate("promote", "--full")
    iris.serves(new)


def test_a_version_that_predicts_otherwise_waits_for_a_person(iris: Subject, trial: Trial) -> None:
    analysis = CANARY["analysis"] | {"predictionShift": "Hold", "minDuration": "20s"}
    iris.goes_live("1", **(CANARY | {"analysis": analysis}))
    new = iris.release("2", alias=False)
    with trial.loaded():
        iris.move_alias(new)
        differ = f"predictions of version {new} differ from those of version 1: "
        iris.until(lambda: differ in iris.condition("Progressing")[2], "it says what is otherwise", within=WITHIN)
        assert iris.condition("Ready")[:2] == ("True", "RollingOut")
        assert iris.outcomes() == ["Promoted"]
        with trial.transition("1", new):
            iris.headgate("promote", "--full")
            iris.serves(new, within=WITHIN)
        trial.answered_by(new, pooled=True)
    assert iris.outcomes() == ["Promoted", "Promoted"]
