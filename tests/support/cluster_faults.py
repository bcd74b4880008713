"""What the end-to-end tests do to nodes, pods and processes, beyond restarting a part of the control plane."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cluster_lab import Lab
from cluster_load import Load, listed
from cluster_platform import Platform, container_of, first_process, run
from cluster_subject import Subject
from kube_wire import eventually

Obj = dict[str, Any]

NODES = "/api/v1/nodes"
GONE_SECONDS = 120.0


# -- nodes --------------------------------------------------------------------------------------------------


def nodes(lab: Lab) -> list[Obj]:
    return list(lab.wire.read(NODES)["items"])


def control_plane(lab: Lab) -> str:
    """The node that the API server runs on; the only one where no node says so."""
    names = [node["metadata"]["name"] for node in nodes(lab)]
    marked = [name for name, node in zip(names, nodes(lab), strict=True) if _is_control_plane(node)]
    return str((marked or names)[0])


def workers(lab: Lab) -> list[str]:
    return [str(node["metadata"]["name"]) for node in nodes(lab) if not _is_control_plane(node)]


def _is_control_plane(node: Mapping[str, Any]) -> bool:
    return "node-role.kubernetes.io/control-plane" in node["metadata"].get("labels", {})


@contextmanager
def cordoned(lab: Lab) -> Iterator[None]:
    """No node takes a pod that is not there yet."""
    names = [node["metadata"]["name"] for node in nodes(lab)]
    try:
        for name in names:
            assert lab.wire.patch(f"{NODES}/{name}", {"spec": {"unschedulable": True}}).status == 200
        yield
    finally:
        for name in names:
            lab.wire.patch(f"{NODES}/{name}", {"spec": {"unschedulable": None}})


# -- evictions ----------------------------------------------------------------------------------------------


def evict(subject: Subject, pod: Mapping[str, Any]) -> bool:
    """As `kubectl drain` does: False where a budget refuses it for now."""
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": subject.namespace}}
    answer = subject.lab.wire.post(f"{subject.path('Pod', name)}/eviction", body)
    assert answer.status in (201, 429), answer.body
    return answer.status == 201


def evict_patiently(subject: Subject, pod: Mapping[str, Any], load: Load) -> int:
    """Asked again until the budget allows it and the pod is gone, while the load goes on; how often it was refused."""
    refused = 0

    def allowed() -> bool:
        nonlocal refused
        if evict(subject, pod):
            return True
        refused += 1
        return False

    name = pod["metadata"]["name"]
    load.until(allowed, f"the budget lets {name} go", within=GONE_SECONDS)
    load.until(lambda: not subject.child("Pod", name), f"{name} is gone", within=GONE_SECONDS)
    return refused


# -- processes ----------------------------------------------------------------------------------------------


@contextmanager
def paused(platform: Platform, pod: Mapping[str, Any]) -> Iterator[None]:
    """SIGSTOP to a container's first process, and SIGCONT when it is over."""
    node, number = pod["spec"]["nodeName"], first_process(platform, pod)
    run(*platform.on_node(node, "kill", "-STOP", number))
    try:
        yield
    finally:
        # Its kubelet may have killed it meanwhile, since it answered no probe.
        subprocess.run(platform.on_node(node, "kill", "-CONT", number), capture_output=True, timeout=30, check=False)


# Each is smaller than the server, so that the kernel, which ends the largest, ends the server.
HOG = """
import os, time
for _ in range(40):
    if os.fork() == 0:
        kept = b"x" * (40 << 20)
        break
time.sleep(300)
"""


def exhaust_memory(platform: Platform, pod: Mapping[str, Any]) -> None:
    """More processes in the container take all the memory that it may have; they end with its first one."""
    task = ("ctr", "--namespace", "k8s.io", "task", "exec", "--exec-id", "hog", container_of(pod))
    command = (*task, "python", "-c", HOG)
    subprocess.run(platform.on_node(pod["spec"]["nodeName"], *command), capture_output=True, timeout=60, check=False)


def is_out_of_traffic(subject: Subject, pod: Mapping[str, Any]) -> bool:
    """Whether the death of this pod reaches no new connection any more.

    What the API says of endpoints is not what clients see: each kube-proxy follows when it comes to it. A process that
    was started anew and is ready again answers, whoever leads to it; nobody may have looked in between.
    """
    name, lab = pod["metadata"]["name"], subject.lab
    (then,), (now,) = (of["status"]["containerStatuses"] for of in (pod, subject.child("Pod", name)))
    if now["ready"] and now["restartCount"] > then["restartCount"]:
        return True
    rules = ("sh", "-c", "iptables-save -t nat; nft list ruleset 2>/dev/null || true")
    leads = re.compile(rf"(--to-destination|dnat to) {re.escape(pod['status']['podIP'])}[:\s]")
    return not any(leads.search(run(*lab.platform.on_node(node["metadata"]["name"], *rules))) for node in nodes(lab))


def lost_only_to_a_dead_pod(load: Load, gone: float) -> None:
    """What a death without a warning may cost: requests sent before no new connection led there. Those are cut off or
    refused, or answered by the new process that has not loaded its model."""
    late = [answer for answer in load.lost if answer.began > gone]
    assert late == [], f"{len(late)} after no node led there any more, which was at {gone:.3f}:\n{listed(late)}"
    strange = [a for a in load.lost if a.lost.partition(":")[0] not in ("refused", "reset")]
    strange = [answer for answer in strange if "MODEL_NOT_READY" not in answer.lost]
    assert strange == [], f"a client sees at once that nobody is there:\n{listed(strange)}"


# -- the operator -------------------------------------------------------------------------------------------


def operator_restarts(lab: Lab) -> int:
    statuses = [status for pod in lab.operator.pods() for status in pod["status"].get("containerStatuses") or []]
    return sum(int(status["restartCount"]) for status in statuses)


def server_restarts(subject: Subject) -> int:
    statuses = [status for pod in subject.pods() for status in pod["status"].get("containerStatuses") or []]
    return sum(int(status["restartCount"]) for status in statuses)


# -- namespaces ---------------------------------------------------------------------------------------------


@contextmanager
def limited(subject: Subject, kind: str, spec: Obj) -> Iterator[Callable[[], None]]:
    """A ResourceQuota or LimitRange in the subject's namespace; what is handed out takes it away."""
    folder = subject.path("Pod").removesuffix("pods") + f"{kind.lower()}s"
    wire = subject.lab.wire
    wire.create(folder, {"apiVersion": "v1", "kind": kind, "metadata": {"name": "narrow"}, "spec": spec})
    if kind == "ResourceQuota":
        # Until its controller has counted, the quota admits nothing at all.
        eventually(lambda: "used" in wire.read(f"{folder}/narrow").get("status", {}), "the quota has counted")
    try:
        yield lambda: _drop(subject, f"{folder}/narrow")
    finally:
        _drop(subject, f"{folder}/narrow")


def _drop(subject: Subject, path: str) -> None:
    subject.lab.wire.delete(path)
