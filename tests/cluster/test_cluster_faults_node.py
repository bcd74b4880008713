"""Nodes, the control plane and processes fail under the load: who serves goes on, and a switch is completed."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster_faults import (
    control_plane,
    evict,
    evict_patiently,
    exhaust_memory,
    is_out_of_traffic,
    lost_only_to_a_dead_pod,
    operator_restarts,
    paused,
    server_restarts,
    workers,
)
from cluster_lab import Lab
from cluster_subject import MARK, Subject
from cluster_trial import Trial

Obj = dict[str, Any]

DRAIN_SECONDS = 180
OF_THE_CONTROL_PLANE = ("etcd", "kube-controller-manager", "kube-scheduler", "kube-proxy")
OF_EACH_NODE = ("kubelet", "kube-proxy")
RECOVERY_SECONDS = 180.0


# -- a node is emptied --------------------------------------------------------------------------------------


def test_every_pod_is_evicted_in_turn(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", replicas=3)
    refused = 0
    with trial.loaded() as load:
        for pod in iris.pods():
            refused += evict_patiently(iris, pod, load)
        iris.has_pods(3)
        trial.answered_by("1")
    assert iris.outcomes() == ["Promoted"]
    trial.remark(f"3 pods of 3; the budget refused {refused} evictions, which were tried again")


def test_the_budget_allows_one_eviction_at_a_time(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", replicas=3)
    one, two, _ = iris.pods()
    with trial.loaded() as load:
        assert evict(iris, one)
        assert not evict(iris, two), "the first one has not been replaced yet"
        evict_patiently(iris, two, load)
        iris.has_pods(3)


def test_the_budget_guards_what_serves_also_in_the_middle_of_a_switch(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", rollout={"blueGreen": {"minDuration": "5s"}})
    first = iris.status["stable"]["revision"]
    assert guarded(iris) == first
    iris.release("2", alias=False)
    with trial.loaded() as load, trial.transition("1", "2"):
        iris.move_alias("2")
        iris.until(lambda: iris.step() == "verified", "version 2 is ready beside version 1")
        assert guarded(iris) == first
        assert all(evict(iris, pod) for pod in iris.pods("2")), "the candidate's pods are nobody's loss"
        for pod in iris.pods("1"):
            evict_patiently(iris, pod, load)
        iris.serves("2")
    second = iris.status["stable"]["revision"]
    iris.until(lambda: guarded(iris) == second, "the budget has followed the traffic")


def guarded(subject: Subject) -> str:
    """The revision that the PodDisruptionBudget selects."""
    labels = subject.child("PodDisruptionBudget", subject.name)["spec"]["selector"]["matchLabels"]
    assert labels[MARK] == subject.name
    return str(labels["headgate.dev/revision"])


@pytest.fixture
def several_workers(lab: Lab) -> list[str]:
    names = workers(lab)
    if len(names) < 2:
        pytest.skip("this cluster has one node: there is nowhere to drain to")
    return names


def test_every_worker_is_drained_in_turn(several_workers: list[str], iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", replicas=3)
    with trial.loaded("--seconds=600") as load:
        for name in several_workers:
            # The pod of the load belongs to no controller and would not come back.
            own = f"--pod-selector={MARK}={iris.name}"
            try:
                iris.kubectl("drain", name, own, "--ignore-daemonsets", f"--timeout={DRAIN_SECONDS}s")
                load.refresh()
                iris.has_pods(3)
            finally:
                iris.kubectl("uncordon", name)
        trial.answered_by("1")


# -- parts of the cluster stop and start --------------------------------------------------------------------


@pytest.fixture
def calm(lab: Lab, iris: Subject, trial: Trial) -> Iterator[None]:
    """Whatever the outage, nothing is rolled back or held against a version, no server begins anew."""
    before = operator_restarts(lab)
    yield
    lab.operator.settled()
    assert iris.rejected() == []
    assert set(iris.outcomes()) == {"Promoted"}
    assert server_restarts(iris) == 0
    trial.remark(f"operator restarts: {operator_restarts(lab) - before}")


def restart(lab: Lab, subject: Subject, component: str) -> None:
    """Where each node has one, on those that have a pod of the subject."""
    of_pods = {pod["spec"]["nodeName"] for pod in subject.pods() if "nodeName" in pod["spec"]}
    for node in sorted(of_pods) if component in OF_EACH_NODE else [control_plane(lab)]:
        lab.platform.restart(component, node)


@pytest.mark.usefixtures("calm")
def test_the_kubelet_restarts_at_rest_and_in_the_middle_of_a_switch(lab: Lab, iris: Subject, trial: Trial) -> None:
    restarts_twice(lab, iris, trial, "kubelet")


@pytest.mark.usefixtures("calm")
def test_the_api_server_restarts_at_rest_and_in_the_middle_of_a_switch(lab: Lab, iris: Subject, trial: Trial) -> None:
    # An operator whose API server is away for longer than its Lease holds gives up and begins anew.
    trial.expect_lines("a part ended")
    restarts_twice(lab, iris, trial, "kube-apiserver")


def restarts_twice(lab: Lab, iris: Subject, trial: Trial, component: str) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    with trial.loaded("--seconds=600"):
        restart(lab, iris, component)
        trial.answered_by("1")
        lab.operator.settled()
        with trial.transition("1", "2"):
            iris.move_alias("2")
            iris.until(lambda: iris.step() == "verifying", "version 2 is being brought up")
            restart(lab, iris, component)
            iris.serves("2", within=RECOVERY_SECONDS)
        trial.answered_by("2", pooled=True)


@pytest.mark.usefixtures("calm")
def test_the_rest_of_the_control_plane_restarts_in_the_middle_of_switches(
    lab: Lab, iris: Subject, trial: Trial
) -> None:
    trial.expect_lines("a part ended")
    serving = iris.goes_live("1", rollout={"keepWarm": "1s"})
    versions = [iris.release(mark, alias=False) for mark in ("2", "3", "4", "1")]
    with trial.loaded("--seconds=600"):
        for component, new in zip(OF_THE_CONTROL_PLANE, versions, strict=True):
            with trial.transition(serving, new):
                iris.move_alias(new)
                iris.until(lambda: iris.step() == "verifying", f"version {new} is being brought up")
                restart(lab, iris, component)
                iris.serves(new, within=RECOVERY_SECONDS)
            serving = new
    trial.remark(", ".join(OF_THE_CONTROL_PLANE))


# -- a process dies or sleeps -------------------------------------------------------------------------------


def test_a_serving_pod_runs_out_of_memory(lab: Lab, iris: Subject, trial: Trial) -> None:
    trial.excuse("a pod died: lost is what was under way in it or was sent to it before its endpoint went")
    iris.goes_live("1", replicas=3)
    pod = iris.pods()[0]
    name = pod["metadata"]["name"]
    with trial.loaded() as load:
        exhaust_memory(lab.platform, pod)
        died = time.time()
        iris.until(lambda: name not in endpoints(iris) or server_restarts(iris), "the dead pod is no endpoint any more")
        told = time.time()
        iris.until(lambda: is_out_of_traffic(iris, pod), "no new connection leads there")
        gone = time.time()
        load.goes_on()
        iris.has_pods(3)
        load.goes_on()
    lost_only_to_a_dead_pod(load, gone)
    assert iris.outcomes() == ["Promoted"]
    (ended,) = (s["lastState"]["terminated"] for s in iris.child("Pod", name)["status"]["containerStatuses"])
    assert ended["reason"] == "OOMKilled"
    assert server_restarts(iris) == 1
    last = max((answer.ended for answer in load.lost), default=died)
    trial.remark(
        f"endpoint gone after {told - died:.1f} s, out of every node's rules after {gone - died:.1f} s, "
        f"last request lost {max(0.0, last - died):.1f} s after the death"
    )


def endpoints(subject: Subject) -> set[str]:
    """Pods that the public Service sends new connections to."""
    path = f"{subject.path('EndpointSlice')}?labelSelector=kubernetes.io/service-name%3D{subject.name}"
    found = [e for s in subject.lab.wire.read(path)["items"] for e in s.get("endpoints") or []]
    return {endpoint["targetRef"]["name"] for endpoint in found if endpoint["conditions"].get("ready")}


def test_a_leader_that_is_paused_in_the_middle_of_a_switch_writes_nothing_when_it_wakes(
    lab: Lab, iris: Subject, trial: Trial
) -> None:
    trial.expect_lines("a part ended")
    iris.goes_live("1")
    sleeper = lab.operator.leader()
    name = sleeper["metadata"]["name"]
    iris.release("2", alias=False)
    with trial.loaded(), trial.transition("1", "2"):
        iris.move_alias("2")
        iris.until(lambda: iris.step() == "verifying", "version 2 is being brought up")
        with paused(lab.platform, sleeper):
            iris.until(lambda: other_than(name, lab.operator.holder), "another process leads", within=RECOVERY_SECONDS)
            iris.serves("2", within=RECOVERY_SECONDS)
        woken = datetime.now(UTC)
        iris.until(lambda: begun_anew(lab, sleeper), "the process that woke up has begun anew")
    lab.operator.settled()
    assert written_by(lab, name, since=woken) == []
    assert iris.outcomes() == ["Promoted", "Promoted"]


def other_than(pod: str, holder: str) -> bool:
    return holder != "" and holder.rpartition("_")[0] != pod


def begun_anew(lab: Lab, pod: Obj) -> bool:
    def lives(of: Obj) -> int:
        return sum(int(status["restartCount"]) for status in of["status"].get("containerStatuses") or [])

    now = [p for p in lab.operator.pods() if p["metadata"]["uid"] == pod["metadata"]["uid"]]
    return not now or lives(now[0]) > lives(pod)


def written_by(lab: Lab, pod: str, *, since: datetime) -> list[str]:
    """Writes of this pod that the API server has carried out since then."""
    found = []
    for line in lab.platform.audit():
        told = json.loads(line)
        extra = told["user"].get("extra", {})
        if pod not in extra.get("authentication.kubernetes.io/pod-name", []) or told["stage"] != "ResponseComplete":
            continue
        began = datetime.fromisoformat(told["requestReceivedTimestamp"])
        wrote = told["verb"] not in {"get", "list", "watch"} and told["responseStatus"]["code"] < 400
        if wrote and began > since:
            found.append(f"{told['verb']} {told['requestURI']}")
    return found


# -- several at once ----------------------------------------------------------------------------------------


def test_two_deployments_switch_at_the_same_time(lab: Lab, iris: Subject, trial: Trial) -> None:
    with lab.namespace() as namespace:
        other = Subject(lab, namespace)
        for subject in (iris, other):
            subject.release("1")
            subject.apply()
        for subject in (iris, other):
            subject.serves("1")
            subject.release("2", alias=False)
        with other.load("--rate=15") as beside:
            with trial.loaded("--rate=15"), trial.transition("1", "2"):
                for subject in (iris, other):
                    subject.move_alias("2")
                for subject in (iris, other):
                    subject.serves("2")
            beside.until(lambda: beside.answered_by("2", pooled=False), "version 2 answers in the other namespace")
        assert beside.lost == [], beside.told()
        trial.remark(f"in the other namespace: {len(beside.answers)} requests, 0 lost")


def test_five_deployments_that_are_made_at_once_all_serve(lab: Lab, iris: Subject, trial: Trial) -> None:
    others = [Subject(lab, iris.namespace, name=f"iris-{number}") for number in range(1, 5)]
    iris.goes_live("1")
    with trial.loaded():
        for subject in others:
            subject.apply(replicas=1)
        for subject in others:
            subject.serves("1")
        trial.answered_by("1")
    for subject in others:
        assert subject.outcomes() == ["Promoted"]
        lab.wire.delete(subject.path("ModelDeployment", subject.name))
    for subject in others:
        subject.until(lambda subject=subject: not subject.leftovers(leaving=False), "nothing is left")
