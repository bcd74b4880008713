"""A version that looks good until it has traffic is taken back on evidence, and nobody's answers suffer but its own."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cluster_lab import Lab
from cluster_load import Load
from cluster_models import FOREST, NARROW
from cluster_strikes import Obj, Release, selected
from cluster_subject import Subject
from cluster_trial import Trial

CANARY = {
    "replicas": 3,
    "rollout": {"strategy": "Canary", "steps": [{"weight": 30}, {"weight": 50}]},
    "analysis": {
        "errorRate": {"maxIncrease": "0.02"},
        "latency": {"maxRatio": "1.9"},
        "interval": "2s",
        "minDuration": "90s",  # so that nothing but evidence ends a step
        "minRequests": 20,
    },
}
ROLLBACK_SECONDS = 150.0
FAILED = 'http 500: {"error":{"code":"MODEL_FAILURE"'


def test_a_version_that_fails_for_some_inputs_is_rolled_back_on_evidence(iris: Subject, trial: Trial) -> None:
    bad = shares_traffic(iris, NARROW)
    trial.expect_failures(bad, FAILED)
    with trial.loaded() as load:
        rolled_back(iris, trial, bad, "errorRate")
    assert trial.failures != [], "it had its share"
    tells(trial, load, bad)


def test_a_slow_version_is_rolled_back_on_evidence(iris: Subject, trial: Trial) -> None:
    bad = shares_traffic(iris, FOREST)
    with trial.loaded() as load:
        rolled_back(iris, trial, bad, "latency")
    assert load.by_version()[bad] > 0, "it had its share"
    tells(trial, load, bad)


def test_a_bad_version_is_rolled_back_also_where_the_operator_is_killed_meanwhile(
    lab: Lab, iris: Subject, trial: Trial
) -> None:
    bad = shares_traffic(iris, NARROW)
    trial.expect_failures(bad, FAILED)
    to = Release(bad, iris.status["stable"]["revision"])
    lab.operator.settled()
    with trial.loaded() as load, ThreadPoolExecutor(max_workers=1) as beside:
        leader = lab.operator.leader()
        kill = lab.operator.aim(leader)
        killing = beside.submit(strikes, iris, to, kill.fire)
        rolled_back(iris, trial, bad, "errorRate")
        killing.result()
        lab.operator.replace(leader)
        lab.operator.settled()
    tells(trial, load, bad)
    trial.remark(
        "the leader dies as the bad version gets its first traffic; the standby waits 15 s for the Lease to run out"
    )


def strikes(iris: Subject, to: Release, fire: Callable[[], None]) -> None:
    iris.sees("Service", partial(selected, to=to), "the Service selects both versions")
    fire()


def shares_traffic(iris: Subject, mark: str) -> str:
    """Version 1 serves, and the next version of the model is what was logged under `mark`."""
    iris.goes_live("1", **CANARY)
    return iris.release(mark, alias=False)


def rolled_back(iris: Subject, trial: Trial, bad: str, gate: str) -> None:
    """The alias moves to the bad version, which gets traffic, and loses it because of `gate`."""
    good = iris.status["stable"]["revision"]
    iris.move_alias(bad)
    iris.sees("Service", partial(selected, to=Release(bad, good)), "the Service selects both versions")
    began = time.time()
    iris.sees("ModelDeployment", rejects, f"version {bad} is given up", within=ROLLBACK_SECONDS)
    took = time.time() - began
    with trial.transition(bad, "1", rollback=True):
        iris.waits_for("Ready", "False", "RolledBack")
        iris.serves("1")
    trial.answered_by("1", pooled=True)
    assert iris.rejected() == [(bad, gate)]
    (entry,) = iris.status["rejected"]
    assert entry["by"] == "Analysis"
    decisions = iris.status["history"][-1]["decisions"]
    (decision,) = [one for one in decisions if one["what"] == "RolledBack"]
    assert (decision["by"], decision["gate"]) == ("Analysis", gate)
    assert iris.outcomes() == ["Promoted", "RolledBack"]
    trial.remark(f"rolled back {took:.0f} s after its first traffic: {entry['message']}")
    trial.rests_with(Ready="False", UpToDate="False", Stalled="True")


def tells(trial: Trial, load: Load, bad: str) -> None:
    """What the bad version was given, in the row."""
    asked = load.by_version().get(bad, 0) + len(trial.failures)
    trial.remark(
        f"{asked} requests reached version {bad}, which itself answered {len(trial.failures)} of them with 500"
    )


def rejects(deployment: Obj) -> bool:
    return bool(deployment.get("status", {}).get("rejected"))
