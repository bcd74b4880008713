"""The operator is killed at each step of a switch, in the moment in which the step is written down.

Two replicas run: the standby takes over once the Lease of the dead one has run out, and goes on from the status. The
clients notice nothing.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster_lab import Lab
from cluster_strikes import (
    Release,
    Steps,
    Strike,
    candidate,
    delete_pods,
    kill_processes,
    made,
    previous,
    promoted,
    selected,
    switching,
)
from cluster_subject import Subject
from cluster_trial import Trial

STEPS: Steps = {
    "the rollout is begun and nothing is made of it yet": ("ModelDeployment", candidate),
    "the new Deployment is made and no pod is ready": ("Deployment", made),
    "the new pods are verified": ("ModelDeployment", lambda o, to: "verifiedAt" in candidate(o, to)),
    "the switch is decided": ("ModelDeployment", lambda o, to: promoted(o, to) and switching(o)),
    "the Service selects the new version": ("Service", selected),
    "the switch is over": ("ModelDeployment", lambda o, to: promoted(o, to) and not switching(o)),
    "the old version begins to drain": ("ModelDeployment", lambda o, to: "drainingSince" in previous(o)),
    "the old version has drained": ("ModelDeployment", lambda o, to: previous(o).get("drained")),
    "the old version is forgotten": ("ModelDeployment", lambda o, to: promoted(o, to) and not previous(o)),
}


def struck_at_each_step(strike: Strike, lab: Lab, trial: Trial) -> None:
    iris = trial.subject
    iris.goes_live("1", rollout={"keepWarm": "1s"})
    new = iris.release("2", alias=False)
    iris.patch(rollout={"blueGreen": {"minDuration": "1s"}})  # so that a verified candidate is a state of its own
    to = Release(new, iris.status["stable"]["revision"])
    with trial.loaded():
        lab.operator.settled()
        with trial.transition("1", new):
            iris.move_alias(new)
            strike(iris, to, lab, STEPS)
            iris.serves(new)
        lab.operator.settled()
        iris.until(lambda: "previous" not in iris.status, "the old version is gone")
    assert iris.outcomes() == ["Promoted", "Promoted"]


@pytest.mark.timeout(900)
def test_the_process_of_the_operator_is_killed_at_each_step_of_a_switch(lab: Lab, trial: Trial) -> None:
    struck_at_each_step(kill_processes, lab, trial)
    trial.remark(
        f"{len(STEPS)} leaders die one after the other; each time the standby waits 15 s for the Lease to run out"
    )


@pytest.mark.timeout(900)
def test_the_pod_of_the_operator_is_deleted_by_force_at_each_step_of_a_switch(lab: Lab, trial: Trial) -> None:
    struck_at_each_step(delete_pods, lab, trial)
    trial.remark(f"{len(STEPS)} leaders go one after the other")


def test_the_operator_is_killed_while_an_undo_is_under_way(lab: Lab, iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    iris.release("2")
    iris.serves("2")
    with trial.loaded(), ThreadPoolExecutor(max_workers=1) as beside:
        leader = lab.operator.leader()
        kill = lab.operator.aim(leader)
        back = Release("1", iris.status["stable"]["revision"])
        with trial.transition("2", "1", rollback=True):
            said = beside.submit(iris.headgate, "undo")
            iris.sees("ModelDeployment", lambda o: promoted(o, back) and switching(o), "the undo is decided")
            kill.fire()
            iris.serves("1")
        said.result()
        lab.operator.replace(leader)
        lab.operator.settled()
    trial.rests_with(UpToDate="False")
    trial.remark("killed between the decision and the write: the standby waits 15 s for the Lease to run out")
