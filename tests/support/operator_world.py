"""The operator's shell on the in-process plane, in virtual time: real controllers, scripted containers, one process.

`Operated` drives one ModelDeployment as the work queue would: woken by changes, by the delays that a pass asks for, and
with back-off after failures. Its oracle looks at every change of the store: what may never happen, happens nowhere.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from fake_runtime import FakeRuntime, Script, loop_clock
from headgate_local.client import LocalClient
from headgate_local.plane import Plane
from headgate_local.store import Change
from headgate_operator.core.event import Event
from headgate_operator.core.observed import (
    Counters,
    Golden,
    GoldenFailed,
    GoldenPassed,
    Pod,
    PodAddress,
    PodNotReady,
    PodReady,
    PodSilent,
    Readiness,
    Traffic,
)
from headgate_operator.counters import read as read_counters
from headgate_operator.egress import AllowList
from headgate_operator.feed import Feed
from headgate_operator.feeds.engines import OneArm, TwoArms
from headgate_operator.feeds.series import Sample
from headgate_operator.gathering import Gathering
from headgate_operator.goldens import Goldens
from headgate_operator.kube import Kube
from headgate_operator.metric_looks import MetricLooks
from headgate_operator.monitoring import Monitoring
from headgate_operator.ports import Key, Result
from headgate_operator.posting import NotPostedError, Posted
from headgate_operator.prometheus import Answer, Prometheus, Trouble
from headgate_operator.reconciler import Reconciler, Settings
from headgate_operator.webhooks import Hosts, Webhooks
from in_process_transport import CrashError, InProcessTransport
from model_catalogue import MODEL, Catalogue, Followed

Obj = dict[str, Any]
NAMESPACE = "default"
NAME = "iris"
IMAGE = "ghcr.io/headgate/headgate-server:test"
CRD = Path(__file__).parents[2] / "crds" / "modeldeployments.headgate.dev.yaml"


class RuntimeProbe:
    """Implements `ports.Probe` by asking the scripted containers."""

    def __init__(self, runtime: FakeRuntime) -> None:
        self._runtime = runtime
        self.golden_fails: dict[str, str] = {}  # by version
        self.golden_asked: list[str] = []

    async def readiness(self, pod: PodAddress) -> Readiness:
        answer = self._runtime.readyz(pod.ip)
        if answer is None:
            return PodSilent("connection refused")
        status, body = answer
        if status == 200:
            return PodReady(**{name: body[name] for name in ("model", "version", "revision", "digest", "golden")})
        return PodNotReady(reason=body["reason"], permanent=body["permanent"], message=body["message"])

    async def counters(self, pod: PodAddress) -> Counters | None:
        return read_counters(self._runtime.counters(pod.ip))

    async def golden(self, pod: PodAddress, body: bytes, *, version: str) -> Golden:
        self.golden_asked.append(pod.ip)
        failure = self.golden_fails.get(version)
        return GoldenPassed() if failure is None else GoldenFailed(failure)


class Recorder:
    """Implements `ports.Events`."""

    def __init__(self) -> None:
        self.told: list[Event] = []

    async def emit(self, about: Obj, events: Sequence[Event]) -> None:
        self.told += events

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.told]


class Receiver:
    """Webhooks at one host: each path answers what a test says, and remembers what it was sent."""

    host = "bots.example.com"

    def __init__(self) -> None:
        self.answers: dict[str, Posted] = {}
        self.posted: list[tuple[str, dict[str, Any]]] = []

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Posted:
        path = urlsplit(url).path
        self.posted.append((path, json.loads(body)))
        if path not in self.answers:
            raise NotPostedError("does not accept connections")
        return self.answers[path]


class FakePrometheus:
    """Implements `prometheus.Prometheus`: what the pods are told to have been scraped of, and what queries give."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str]] = []
        self.values: dict[str, float] = {}  # by query
        self.trouble: Trouble | None = None
        self.told: Callable[[Pod], Traffic | None] = lambda _pod: None

    async def instant(self, uri: str | None, promql: str) -> Answer:
        self.asked.append((uri, promql))
        return self.trouble or tuple(Sample({}, self.values[one]) for one in [promql] if one in self.values)

    async def count(
        self, uri: str | None, namespace: str, pods: Iterable[Pod], revisions: Iterable[str]
    ) -> tuple[Pod, ...] | Trouble:
        self.asked.append((uri, namespace))
        wanted = set(revisions)
        return self.trouble or tuple(replace(pod, traffic=self.told(pod)) for pod in pods if pod.revision in wanted)


class NoMonitoring(Monitoring):
    """For worlds without a Prometheus."""

    def __init__(self) -> None:
        nothing = Prometheus(AllowList(None))
        super().__init__(nothing, MetricLooks(nothing, now=loop_clock))


class VirtualClock:
    def now(self) -> datetime:
        return loop_clock()


class Oracle:
    """What must hold after every single change: traffic only for verified revisions, and never too few ready pods.

    Whether a revision is verified is asked of its containers, not of the status: the status is what is being judged.
    """

    def __init__(self, client: LocalClient, promise: int | None, shown: Callable[[str, str], str]) -> None:
        self._client = client
        self._shown = shown
        self.promise = promise
        self.established = False
        self.verified: set[str] = set()
        self.violations: list[str] = []
        self.fewest: int | None = None
        self.budgets = True  # False where a test puts a disruption budget of its own in the way

    def __call__(self, change: Change) -> None:
        if self.promise is None:
            return
        if change.kind == "ModelDeployment" and change.new is not None:
            self._remember(change.new.get("status", {}))
        if change.kind == "Service" and change.new is not None and change.new["metadata"]["name"] == NAME:
            self._judge_selector(change.new)
        if change.kind == "PodDisruptionBudget" and change.new is not None and self.budgets:
            self._judge_budget(change.new)
        if change.kind in {"Service", "EndpointSlice", "Pod"}:
            self._judge_capacity(str(change.type))

    def _remember(self, status: Obj) -> None:
        claimed = [role for role in (status.get("candidate", {}),) if "verifiedAt" in role]
        claimed += [status["stable"]] if status.get("stable") else []
        for role in claimed:
            if role["revision"] in self.verified:
                continue
            missing = self._shown(role["revision"], role["version"])
            if missing:
                self.violations.append(f"version {role['version']} counts as verified, but {missing}")
            self.verified.add(role["revision"])

    def _judge_selector(self, service: Obj) -> None:
        revision = service["spec"]["selector"].get("headgate.dev/revision")
        if revision is None:
            self._judge_sharing()
            return
        if revision != "none" and revision not in self.verified:
            self.violations.append(f"the public Service selects {revision}, which was never verified")

    def _judge_sharing(self) -> None:
        """A selector without a revision reaches the pods of all: two, and both verified."""
        pods = self._client.list("Pod", NAMESPACE, {"headgate.dev/deployment": NAME})
        revisions = {
            pod["metadata"]["labels"]["headgate.dev/revision"]
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
        }
        if len(revisions) > 2 or not revisions <= self.verified:
            self.violations.append(f"the public Service selects every pod, of {revisions}; verified: {self.verified}")

    def _judge_budget(self, budget: Obj) -> None:
        """An eviction fails for good where two budgets speak of one pod."""
        revision = budget["spec"]["selector"]["matchLabels"].get("headgate.dev/revision")
        if revision not in self.verified:
            self.violations.append(f"the disruption budget selects {revision}, which was never verified")
        names = [found["metadata"]["name"] for found in self._client.list("PodDisruptionBudget", NAMESPACE)]
        if names != [NAME]:
            self.violations.append(f"disruption budgets {names}")

    def _judge_capacity(self, what: str) -> None:
        promise = self.promise or 0
        service = self._client.get("Service", NAMESPACE, NAME)
        if service is None:
            if self.established:
                self.violations.append(f"{what}: the public Service is gone")
            return
        revision = service["spec"]["selector"].get("headgate.dev/revision")
        labels = {"headgate.dev/deployment": NAME} | ({"headgate.dev/revision": revision} if revision else {})
        ready = sum(is_ready(pod) for pod in self._client.list("Pod", NAMESPACE, labels))
        if ready >= promise and (revision is None or revision in self.verified) and self._routed() >= promise:
            self.established = True
        if not self.established:
            return
        self.fewest = ready if self.fewest is None else min(self.fewest, ready)
        routed = self._routed()
        if routed < promise:
            self.violations.append(f"{what}: {routed} ready endpoints in the public EndpointSlices, {promise} promised")
        if ready < promise:
            self.violations.append(f"{what}: {ready} ready pods behind the public Service, {promise} promised")

    def _routed(self) -> int:
        """Endpoints that traffic is sent to and that would answer."""
        slices = self._client.list("EndpointSlice", NAMESPACE, {"kubernetes.io/service-name": NAME})
        endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or []]
        names = [e["targetRef"]["name"] for e in endpoints if e["conditions"].get("ready")]
        pods = [self._client.get("Pod", NAMESPACE, name) for name in names]
        return sum(pod is not None and is_ready(pod) for pod in pods)


def is_ready(pod: Obj) -> bool:
    conditions = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


class Operated:
    """One ModelDeployment, its world and the operator's process."""

    def __init__(self, plane: Plane, runtime: FakeRuntime, promise: int | None) -> None:
        self.plane, self.runtime, self.client = plane, runtime, plane.client
        self.registry = Catalogue(champion="1")
        self.probe = RuntimeProbe(runtime)
        self.events = Recorder()
        self.interests = Followed()
        self.transport = InProcessTransport(plane.api)
        self.oracle = Oracle(self.client, promise, self._missing_evidence)
        self.key = Key(NAMESPACE, NAME)
        self.results: list[Result] = []
        self.restarts = 0
        self.image = IMAGE
        self.receiver = Receiver()
        self.prometheus = FakePrometheus()
        self._woken = asyncio.Event()
        self._ids = itertools.count(1)
        self.start_process()
        plane.api.store.on_change(self._on_change)
        plane.api.store.on_change(self.oracle)

    def start_process(self) -> None:
        """A new operator process: nothing of the old one's memory is left."""
        self.reconciler = Reconciler(
            kube=Kube(self.transport),
            registry=self.registry,
            probe=self.probe,
            webhooks=Webhooks(
                self.receiver,
                Hosts([self.receiver.host]),
                read_secret=self._secret,
                wake=lambda _key: self.wake(),
                now=VirtualClock().now,
            ),
            goldens=Goldens(self.probe, wake=lambda _key: self.wake(), clock=asyncio.get_running_loop().time),
            evidence=Gathering(Feed(TwoArms()), Feed(OneArm())),
            monitoring=Monitoring(self.prometheus, MetricLooks(self.prometheus, now=VirtualClock().now)),  # type: ignore[arg-type]
            events=self.events,
            interests=self.interests,
            clock=VirtualClock(),
            settings=Settings(server_image=self.image),
        )

    async def _secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.client.get("Secret", namespace, name)

    def _missing_evidence(self, revision: str, version: str) -> str:
        """What the pods of a revision have not shown of what a verified one must have shown; empty = nothing."""
        labels = {"headgate.dev/deployment": NAME, "headgate.dev/revision": revision}
        pods = [pod for pod in self.client.list("Pod", NAMESPACE, labels) if is_ready(pod)]
        asked = self.object()["spec"]
        wanted = 1 if asked.get("rollout", {}).get("strategy") in {"Canary", "Rolling"} else asked["replicas"]
        if len(pods) < wanted:
            return f"only {len(pods)} pods are ready"
        for pod in pods:
            name, ip = pod["metadata"]["name"], pod["status"]["podIP"]
            code, body = self.runtime.readyz(ip) or (0, {})
            if (code, body.get("version"), body.get("revision")) != (200, version, revision):
                return f"pod {name} does not serve it"
            if version in self.registry.examples and ip not in self.probe.golden_asked:
                return f"pod {name} was not asked for the golden prediction"
        if version in self.registry.examples and version in self.probe.golden_fails:
            return "its golden prediction fails"
        return ""

    def _on_change(self, change: Change) -> None:
        if change.kind in {"ModelDeployment", "Deployment", "Pod", "Service", "EndpointSlice", "ConfigMap"}:
            self._woken.set()

    async def run(self) -> None:
        failures = 0
        while True:
            self._woken.clear()
            try:
                result = await self.reconciler.reconcile(self.key)
            except CrashError:
                self.restarts += 1
                self.start_process()
                await asyncio.sleep(1)  # what a supervisor needs to start it again
                continue
            self.results.append(result)
            failures = failures + 1 if result.backoff else 0
            delay = result.requeue_after if result.requeue_after is not None else 3600.0
            if result.backoff:
                await asyncio.sleep(max(min(0.5 * 2**failures, 60.0), result.requeue_after or 0.0))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):  # not wait_for, which can swallow a cancellation
                    await self._woken.wait()

    def wake(self) -> None:
        """The registry poller's hint."""
        self._woken.set()

    # --- what users do ------------------------------------------------------------------------------------------------

    def create(self, **spec: Any) -> Obj:
        return self.client.create(model_deployment(**spec))

    def edit(self, spec: Obj) -> None:
        self.client.patch_merge("ModelDeployment", NAMESPACE, NAME, {"spec": spec})

    def move_alias(self, version: str) -> None:
        self.registry.aliases["champion"] = version
        self.wake()

    def order(self, verb: str, **different: Any) -> str:
        """A command as the CLI writes it; `different` overrides what it would say."""
        obj, status = self.object(), self.status()
        rollout = status.get("rollout", {}).get("id") or max(
            (e["rollout"] for e in status.get("history", [])), default=0
        )
        command = {
            "id": f"command-{next(self._ids)}",
            "verb": verb,
            "args": {},
            "uid": obj["metadata"]["uid"],
            "rollout": rollout,
            "stable": status.get("stable", {}).get("revision", ""),
            "issuedAt": loop_clock().isoformat(),
            "by": "erika",
        } | different
        annotations = {"headgate.dev/command": json.dumps(command)}
        self.client.patch_merge("ModelDeployment", NAMESPACE, NAME, {"metadata": {"annotations": annotations}})
        return str(command["id"])

    # --- what is seen -------------------------------------------------------------------------------------------------

    def object(self) -> Obj:
        found = self.client.get("ModelDeployment", NAMESPACE, NAME)
        assert found is not None
        return found

    def status(self) -> Obj:
        status: Obj = self.object().get("status", {})
        return status

    def stable(self) -> str:
        return str(self.status().get("stable", {}).get("version", ""))

    def condition(self, kind: str) -> Obj:
        return next((c for c in self.status().get("conditions", []) if c["type"] == kind), {})

    def at_rest_on(self, version: str) -> bool:
        status = self.status()
        busy = any(status.get(field) for field in ("candidate", "rollout"))
        return self.stable() == version and not busy and self.serving() == {version}

    def outcomes(self) -> list[str]:
        return [entry["outcome"] for entry in self.status().get("history", [])]

    def children(self, kind: str) -> list[Obj]:
        return self.client.list(kind, NAMESPACE, {"headgate.dev/deployment": NAME})

    def protected(self) -> str:
        """The revision that the disruption budget speaks of."""
        budget = self.client.get("PodDisruptionBudget", NAMESPACE, NAME)
        return budget["spec"]["selector"]["matchLabels"]["headgate.dev/revision"] if budget else ""

    def deployed(self) -> set[str]:
        """Versions that have a Deployment."""
        return {d["metadata"]["labels"]["headgate.dev/model-version"] for d in self.children("Deployment")}

    def public_endpoints(self) -> list[Obj]:
        slices = self.client.list("EndpointSlice", NAMESPACE, {"kubernetes.io/service-name": NAME})
        return [endpoint for one in slices for endpoint in one.get("endpoints") or []]

    def serving(self) -> set[str]:
        """Versions that a request to the public Service could reach now."""
        pods = {pod["metadata"]["name"]: pod for pod in self.client.list("Pod", NAMESPACE)}
        ready = [e["targetRef"]["name"] for e in self.public_endpoints() if e["conditions"].get("ready")]
        return {pods[name]["metadata"]["labels"]["headgate.dev/model-version"] for name in ready if name in pods}

    async def until(self, condition: Callable[[], Any], within: float = 300.0) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while True:
            found = condition()
            if found:
                return found
            if loop.time() > deadline:
                told = (
                    json.dumps(self.status(), indent=1) if self.client.get("ModelDeployment", NAMESPACE, NAME) else "-"
                )
                raise AssertionError(f"not within {within:g} s; status: {told}; last: {self.results[-3:]}")
            await asyncio.sleep(0.25)

    async def established(self, version: str = "1") -> None:
        await self.until(lambda: self.at_rest_on(version))


def model_deployment(**spec: Any) -> Obj:
    """Switched at once, where a test says nothing else."""
    spec["rollout"] = {"strategy": "BlueGreen", **spec.get("rollout", {})}
    return {
        "apiVersion": "headgate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"model": {"name": MODEL, "alias": "champion"}, "replicas": 2, **spec},
    }


@cache
def definition() -> Obj:
    definition: Obj = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    return definition


@asynccontextmanager
async def operated(
    *, promise: int | None = 2, script: Script | None = None, running: bool = True
) -> AsyncIterator[Operated]:
    """A plane with the CRD, and the operator's loop for one key. Leaving it asserts what the oracle saw.

    `promise` None = no oracle, for tests in which users break things themselves.
    """
    runtime = FakeRuntime(script)
    plane = Plane(now=loop_clock, runtime=runtime)
    async with plane:
        plane.client.create(definition())
        world = Operated(plane, runtime, promise)
        task = asyncio.create_task(world.run()) if running else None
        try:
            yield world
        finally:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
    assert world.oracle.violations == []
