"""The operator in the cluster: installed from the chart by helm, found by its labels, killed in several ways.

What its pods log is collected before each of them is killed and at the end of each scenario, so that no line is lost
with its container but the very last ones.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from cluster_platform import ROOT, Platform, Trigger, run
from kube_wire import Wire

Obj = dict[str, Any]
T = TypeVar("T")

CHART = ROOT / "charts" / "headgate"
NAMESPACE = "headgate-system"
RELEASE = "headgate"
LABELS = "app.kubernetes.io%2Fname%3Dheadgate-operator"
HELM_SECONDS = 180
TAKEOVER_SECONDS = 60.0
Life = tuple[str, str, int]
"""One container's life: its pod's name and uid, and how often it was started anew before."""


class Operator:
    def __init__(self, platform: Platform, wire: Wire, folder: Path, values: Obj) -> None:
        self._platform, self._wire, self._folder = platform, wire, folder
        self._values = values
        self._lines: dict[Life, list[str]] = {}
        self._seen: dict[Life, int] = {}

    # -- helm -----------------------------------------------------------------------------------------------

    def install(self, **values: Any) -> None:
        """Install or upgrade the release with the usual values and these, and wait until it runs."""
        self.collect()
        file = self._folder / "values.yaml"
        file.write_text(yaml.safe_dump(self._values | values), encoding="utf-8")
        command = ["upgrade", "--install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--create-namespace"]
        # The definition may be there already, from other tests or from a hand.
        command += ["--values", str(file), "--take-ownership", "--wait", "--timeout", f"{HELM_SECONDS}s"]
        run(*self._platform.helm(), *command, timeout=HELM_SECONDS + 30)

    def uninstall(self) -> None:
        self.collect()
        command = ["uninstall", RELEASE, "--namespace", NAMESPACE, "--ignore-not-found", "--wait"]
        run(*self._platform.helm(), *command, timeout=HELM_SECONDS + 30)

    # -- its pods -------------------------------------------------------------------------------------------

    def pods(self) -> list[Obj]:
        """Those that are not on their way out."""
        listed = self._wire.read(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={LABELS}")["items"]
        return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]

    @property
    def holder(self) -> str:
        """The identity in the Lease: empty while nobody leads."""
        answer = self._wire.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{RELEASE}")
        return str((answer.body["spec"].get("holderIdentity") or "") if answer.status == 200 else "")

    def leader(self) -> Obj:
        """The pod that leads."""

        def found() -> Obj | None:
            name = self.holder.rpartition("_")[0]
            return next((pod for pod in self.pods() if pod["metadata"]["name"] == name), None)

        return self._until(found, "a pod of the operator leads")

    def aim(self, pod: Obj) -> Trigger:
        """Whoever fires it kills the process of this pod; the kubelet starts it anew."""
        self.collect()
        return Trigger(self._platform, pod)

    def delete(self, pod: Obj, *, force: bool = False) -> None:
        name, body = pod["metadata"]["name"], {"gracePeriodSeconds": 0} if force else None
        answer = self._wire.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{name}", body)
        assert answer.status in (200, 202, 404), answer.body

    def aim_at_all(self, replicas: int = 2) -> dict[str, Trigger]:
        """By pod: who will lead next is not told before it does, and then it acts at once."""
        self._all_ready(replicas)
        return {pod["metadata"]["name"]: self.aim(pod) for pod in self.pods()}

    def replace(self, killed: Obj) -> None:
        """A killed pod makes way for a new one: the kubelet starts a container that was killed later each time."""
        self.collect()
        self.delete(killed, force=True)
        uid = killed["metadata"]["uid"]
        self._until(lambda: all(pod["metadata"]["uid"] != uid for pod in self.pods()) or None, "the killed pod is gone")

    def settled(self, replicas: int = 2) -> None:
        """All its pods are ready and one of them leads."""
        self._all_ready(replicas)
        self.leader()

    def _all_ready(self, replicas: int) -> None:
        self._until(
            lambda: len(self.pods()) == replicas and all(map(ready, self.pods())), "the operator's pods are ready"
        )

    # -- what it logged -------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Read the logs of all its containers that can be read now."""
        answer = self._wire.get(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={LABELS}")
        for pod in answer.body.get("items", []):
            for status in pod["status"].get("containerStatuses") or []:
                life = int(status["restartCount"])
                self._collect(pod, life, previous=False)
                if life:
                    self._collect(pod, life - 1, previous=True)

    def _collect(self, pod: Obj, life: int, *, previous: bool) -> None:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}/log"
        answer = self._wire.get(path, previous=previous)
        # Of a container that has just gone the kubelet says so, in the log's place and with a 200.
        gone = isinstance(answer.body, str) and answer.body.startswith("unable to retrieve container logs for ")
        if answer.status == 200 and isinstance(answer.body, str) and not gone:
            key = (pod["metadata"]["name"], pod["metadata"]["uid"], life)
            lines = answer.body.splitlines()
            if len(lines) >= len(self._lines.get(key, [])):
                self._lines[key] = lines

    def lines(self) -> list[str]:
        """Everything that was logged since the last `forget`, with the pod's name before each line."""
        new = {key: lines[self._seen.get(key, 0) :] for key, lines in self._lines.items()}
        return [f"{pod}: {line}" for (pod, _, _), lines in new.items() for line in lines]

    def forget(self) -> None:
        """What is known so far is not told again."""
        self._seen = {key: len(lines) for key, lines in self._lines.items()}

    def alarming(self) -> list[str]:
        """Lines that tell of an error, and those that are no log lines at all: a traceback, a warning of Python's."""
        return [line for line in self.lines() if _level(line.partition(": ")[2]) not in ("debug", "info", "warning")]

    def _until(self, met: Callable[[], T | None], what: str) -> T:
        end = time.monotonic() + TAKEOVER_SECONDS
        while not (seen := met()):
            tail = "\n".join(self.lines()[-20:])
            assert time.monotonic() < end, f"not within {TAKEOVER_SECONDS:.0f} s: {what}\n{tail}"
            time.sleep(0.1)
        return seen


def ready(pod: Obj) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def _level(line: str) -> str:
    try:
        told = json.loads(line)
    except ValueError:
        return "no log line"
    return str(told.get("level", "no level")).lower() if isinstance(told, dict) else "no log line"
