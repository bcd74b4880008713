"""A pod of a model ends: asked to, it finishes what is under way and no client loses a request; killed, it cannot.

Requests that take 5 s are the hard case: some come in slowly, some are computed slowly.
"""

import json
import time
from itertools import pairwise
from typing import Any

import requests

from cluster_faults import is_out_of_traffic, lost_only_to_a_dead_pod
from cluster_lab import LAB_NAMESPACE, SERVER_IMAGE, Lab
from cluster_models import SLOW
from cluster_platform import Trigger
from cluster_pods import ScriptPod
from cluster_registry import slow_body
from cluster_subject import Subject
from cluster_trial import Trial

Obj = dict[str, Any]
SLOW_SECONDS = 5
COMPUTED_SECONDS = 8  # longer than new connections are accepted after the pod was asked to end


def endpoint_of(slice_: Obj, pod: Obj) -> bool:
    """Whether the slice sends traffic to the pod."""
    for endpoint in slice_.get("endpoints") or []:
        if pod["status"]["podIP"] in endpoint["addresses"]:
            return bool(endpoint["conditions"].get("ready"))
    return False


def test_a_pod_that_is_deleted_loses_nothing(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    with trial.loaded():
        for pod in iris.pods():
            iris.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
            iris.has_pods(2, without=pod)


def test_a_pod_that_is_deleted_finishes_requests_that_take_5_seconds(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    with trial.loaded(f"--slow={SLOW_SECONDS}", "--rate=10", "--timeout=20") as load:
        load.until(lambda: len(load.answers) > 40, "requests are answered all the time")
        pod = iris.pods()[0]
        iris.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
        iris.has_pods(2, without=pod)
        trial.answered_by("1")
    assert min(answer.ended - answer.began for answer in load.answers) > SLOW_SECONDS - 1
    trial.remark("each request takes 5 s to come in")


def test_a_switch_while_requests_take_5_seconds(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", rollout={"keepWarm": "1s"})
    iris.release("2", alias=False)
    with trial.loaded(f"--slow={SLOW_SECONDS}", "--rate=10", "--timeout=20"):
        with trial.transition("1", "2"):
            iris.move_alias("2")
            iris.serves("2")
        iris.until(lambda: "previous" not in iris.status, "the old version has drained", within=120)
        trial.answered_by("2", pooled=True)
    trial.remark("each request takes 5 s to come in; the old version drains and goes")


def test_the_end_of_a_pod_as_its_clients_see_it(lab: Lab, iris: Subject, trial: Trial) -> None:
    iris.goes_live(SLOW)
    spins = spins_for(iris, COMPUTED_SECONDS)
    pod, other = iris.pods()
    plan = {"path": f"/v2/models/{iris.model}/infer", "quick": slow_body(1), "slow": slow_body(spins)}
    watcher = ScriptPod(
        lab.wire, LAB_NAMESPACE, f"{SERVER_IMAGE}:1", "watched.py", plan, pod["status"]["podIP"], "{plan}"
    )
    watcher.start()
    try:
        iris.until(lambda: "watching" in watcher.log(), "clients are at work")
        deleted = time.time()
        iris.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
        iris.sees(
            "EndpointSlice", lambda o: endpoint_of(o, other) and not endpoint_of(o, pod), "no traffic is sent there"
        )
        gone = time.time() - deleted
        ended = iris.ends_with(pod)
        iris.until(lambda: watcher.phase == "Succeeded", "the clients have seen the end")
        events = json.loads(watcher.log().splitlines()[-1])["events"]
    finally:
        watcher.end()
    assert ended == 0, "it ends by itself and with success"
    assert [event for event in events if event.get("status", 200) != 200] == []
    for client in ("kept", "fresh", "slow"):
        seen = [event for event in events if event["client"] == client]
        # A connection that comes in the very moment in which the listener closes is as good as refused.
        lost = [one for one, after in pairwise([*seen, {}]) if "lost" in one and "refused" not in after]
        assert lost == [], client
    off = next(event["at"] for event in events if event.get("ready") is False)
    answers = [event for event in events if "status" in event]
    after = [event for event in answers if event["at"] > off]
    assert {event["client"] for event in after} == {"kept", "fresh", "slow"}, "all of them are still answered"
    assert all(event["closing"] for event in after), "and told to come back on another connection"
    slow = [event["at"] - deleted for event in answers if event["client"] == "slow"]
    assert len(slow) == 1
    end = max(event["at"] for event in events if event.get("refused")) - deleted
    trial.remark(
        f"endpoint gone after {gone:.1f} s, the last new connection refused or closed after {end:.1f} s, "
        f"a computation of some {COMPUTED_SECONDS} s answered after {max(slow):.1f} s"
    )
    trial.row.sent = len(answers)


def spins_for(iris: Subject, seconds: float) -> int:
    """How many turns the slow model needs for so long, on this machine as it is."""
    url = f"{iris.outside()}/v2/models/{iris.model}/infer"
    iris.until(lambda: took_for(url, 1) is not None, "the slow model answers")
    spins, took = 10_000, 0.0
    while took < 0.5:
        spins *= 2
        took = took_for(url, spins) or 0.0
    return int(spins * seconds / took)


def took_for(url: str, spins: int) -> float | None:
    """Seconds of one answer; None where nobody answers yet."""
    began = time.monotonic()
    try:
        answer = requests.post(url, json=slow_body(spins), timeout=60)
    except requests.ConnectionError:
        return None
    assert answer.status_code == 200, answer.text
    return time.monotonic() - began


def test_a_pod_that_is_killed_loses_only_what_was_sent_to_it(lab: Lab, iris: Subject, trial: Trial) -> None:
    iris.goes_live("1")
    with trial.loaded() as load:
        pod, other = iris.pods()
        trigger = Trigger(lab.platform, pod)
        killed = time.time()
        trigger.fire()
        iris.sees("EndpointSlice", lambda o: endpoint_of(o, other) and not endpoint_of(o, pod), "its endpoint goes")
        told = time.time()
        iris.until(lambda: is_out_of_traffic(iris, pod), "no new connection leads there")
        gone = time.time()
        load.goes_on()
        iris.until(
            lambda: iris.child("Pod", pod["metadata"]["name"])["status"]["containerStatuses"][0]["ready"], "it is back"
        )
        iris.has_pods(2)
        load.goes_on()
    trial.excuse("killed without a warning: requests under way in it, and new connections until its endpoint is gone")
    lost_only_to_a_dead_pod(load, gone)
    last = max((answer.began - killed for answer in load.lost), default=0.0)
    trial.remark(
        f"endpoint gone after {told - killed:.1f} s, out of every node's rules after {gone - killed:.1f} s, "
        f"last request lost {last:.1f} s after the kill"
    )
