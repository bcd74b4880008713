"""The world of one seed: a cluster, two operator processes that compete, a registry, users, and accidents."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from datetime import timedelta
from typing import Any

from fake_runtime import Script
from headgate_operator.api.model import Identity
from headgate_operator.core.observed import (
    Counters,
    Example,
    Golden,
    GoldenUnknown,
    PodAddress,
    PodSilent,
    Readiness,
    Resolution,
    Unresolved,
)
from headgate_operator.ports import Key, ModelRequest, Result
from model_catalogue import Catalogue, Followed
from operator_world import Receiver, RuntimeProbe, model_deployment
from simulation.oracle import NAME, NAMESPACE, Oracle
from simulation.process import Process, Wall
from simulation.wire import Sent, Weather, Wire

Obj = dict[str, Any]
KEY = Key(NAMESPACE, NAME)
VERSIONS = ("1", "2", "3", "4")
GOOD, LATE, ERRS = "good", "fails later", "errs"
log = logging.getLogger(__name__)


class ShakyProbe(RuntimeProbe):
    """Pods that sometimes do not answer the operator."""

    def __init__(self, runtime: Any, weather: Weather, chance: random.Random) -> None:
        super().__init__(runtime)
        self._weather, self._chance = weather, chance

    async def _delayed(self) -> bool:
        await asyncio.sleep(self._chance.uniform(0, 0.02))
        return self._chance.random() >= self._weather.probe

    async def readiness(self, pod: PodAddress) -> Readiness:
        return await super().readiness(pod) if await self._delayed() else PodSilent("no answer in time")

    async def counters(self, pod: PodAddress) -> Counters | None:
        return await super().counters(pod) if await self._delayed() else None

    async def golden(self, pod: PodAddress, body: bytes, *, version: str) -> Golden:
        if await self._delayed():
            return await super().golden(pod, body, version=version)
        return GoldenUnknown("no answer in time")


class SlowCatalogue(Catalogue):
    def __init__(self, chance: random.Random, **aliases: str) -> None:
        super().__init__(**aliases)
        self._chance = chance

    async def resolve(self, request: ModelRequest) -> Resolution:
        await asyncio.sleep(self._chance.uniform(0, 0.02))
        return await super().resolve(request)

    async def example(self, request: ModelRequest, identity: Identity) -> Example | Unresolved:
        await asyncio.sleep(self._chance.uniform(0, 0.02))
        return await super().example(request, identity)


class World:
    def __init__(self, seed: int, cluster: Any) -> None:
        self.chance = random.Random(seed)
        self.cluster = cluster
        self.loop = asyncio.get_running_loop()
        self.log: list[str] = []
        self.weather = Weather()
        self.kinds = {"1": GOOD}  # how each version behaves
        self.registry = SlowCatalogue(self.chance, champion="1")
        self.interests = Followed()
        self.receiver = Receiver()
        self.probe = ShakyProbe(cluster, self.weather, self.chance)
        self.oracle = Oracle(cluster, is_good=self.is_good, now=self.loop.time, note=self.note)
        self.processes: dict[str, Process] = {}
        self.walls = {machine: Wall() for machine in ("a", "b")}
        self.passes = 0
        self._serials = dict.fromkeys(self.walls, 0)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._commands = 0
        self._statuses: Obj = {}
        cluster.on_change(self._changed)
        cluster.hurt = self.oracle.accident

    # --- what a process finds around it -------------------------------------------------------------------------------

    def wire(self, process: str) -> Wire:
        return Wire(self.cluster, process, self.weather, self.chance, began=self._began, done=self._done)

    def note(self, text: str) -> None:
        self.log.append(f"{self.loop.time():9.2f}  {text}")

    def began_pass(self, process: str) -> None:
        self.passes += 1
        self.oracle.began_pass(process)

    def ended_pass(self, process: str, result: Result) -> None:
        if result.reason == "defect":
            self.oracle.broken("a pass raised an error")
        if result.backoff:
            self.note(f"{process}: {result.reason}"[:160])

    def _began(self, sent: Sent) -> None:
        self.oracle.began(sent)

    def _done(self, sent: Sent, reply: Any) -> None:
        self.oracle.done(sent, reply)
        if "/leases" not in sent.path and "/events" not in sent.path:
            more = ""
            if sent.body is not None and sent.method == "PATCH":
                spec = sent.body.get("spec", {})
                more = f" replicas {spec['replicas']}" if "replicas" in spec else f" {spec.get('selector', '')}"
            self.note(f"{sent.process}: {sent.method} {sent.path.split('/namespaces/')[-1]}{more} -> {reply.status}")

    def _changed(self, kind: str, old: Obj | None, new: Obj | None) -> None:
        self.oracle.changed(kind, old, new)
        obj = new or old
        if kind == "ModelDeployment" and new is not None:
            self._tell_status(new.get("status", {}))
        if kind in {"ModelDeployment", "Deployment", "Service", "Pod", "EndpointSlice"} and obj is not None:
            self._tell_watchers()

    def _tell_status(self, status: Obj) -> None:
        told = {role: _short(status[role]) for role in ("stable", "candidate", "previous") if role in status}
        told |= {"rollout": status.get("rollout", {}).get("phase", "-")}
        told |= {"step": status.get("candidate", {}).get("step", "-")}
        told |= {"rejected": [entry["version"] for entry in status.get("rejected", [])]}
        if told != self._statuses:
            self._statuses = told
            self.note("status: " + ", ".join(f"{key} {value}" for key, value in told.items()))

    def _tell_watchers(self) -> None:
        for process in self.processes.values():
            if process.leads and self.chance.random() >= self.weather.watch_lost:
                self.loop.call_later(self.chance.uniform(0, self.weather.watch_late), process.queue.add, KEY)

    # --- machines -----------------------------------------------------------------------------------------------------

    def start(self, machine: str) -> None:
        self._serials[machine] += 1
        process = Process(machine, self.walls[machine], self, self._serials[machine])
        self.processes[machine] = process
        self._tasks[machine] = asyncio.create_task(self._supervise(machine, process))

    async def _supervise(self, machine: str, process: Process) -> None:
        try:
            await process.run()
        except asyncio.CancelledError:
            if self.processes.get(machine) is not process:
                raise
        except Exception as error:  # noqa: BLE001 - a part of the operator must not end in any other way
            self.oracle.broken(f"{process.name} ends by {error!r}")
        self.loop.call_later(self.chance.uniform(1, 4), self._restart, machine, process)

    def _restart(self, machine: str, process: Process) -> None:
        if self.processes.get(machine) is process:
            self.start(machine)

    def crash(self, machine: str) -> None:
        self.note(f"{self.processes[machine].name} crashes")
        self._tasks[machine].cancel()

    async def end(self) -> None:
        self.processes.clear()
        for task in self._tasks.values():
            task.cancel()
        for task in self._tasks.values():
            with contextlib.suppress(asyncio.CancelledError):
                await task

    # --- users and registries -----------------------------------------------------------------------------------------

    def is_good(self, version: str) -> bool:
        return self.kinds.get(version, GOOD) in {GOOD, LATE, ERRS}

    def behaves(self, version: str, kind: str, script: Script) -> None:
        self.kinds[version] = kind
        self.cluster.script(version, script)
        self.registry.examples[version] = b"{}"
        if kind == ERRS:
            self.cluster.erring.add(version)
        if kind == "golden fails":
            self.probe.golden_fails[version] = "not finite"

    def create(self, **spec: Any) -> None:
        self.cluster.create(model_deployment(**spec))

    def edit(self, **spec: Any) -> None:
        self.cluster.merge("ModelDeployment", NAMESPACE, NAME, {"spec": spec})

    def move_alias(self, version: str) -> None:
        self.registry.aliases["champion"] = version
        for process in self.processes.values():
            self.loop.call_later(self.chance.uniform(0, 15), process.queue.add, KEY)  # its poller finds out

    def order(self, verb: str) -> None:
        status = self.status()
        self._commands += 1
        leading = [machine for machine, process in self.processes.items() if process.leads]  # a clock that is right
        last = max((entry["rollout"] for entry in status.get("history", [])), default=0)
        command = {
            "id": f"command-{self._commands}",
            "verb": verb,
            "uid": self.object()["metadata"]["uid"],
            "rollout": status.get("rollout", {}).get("id", last),
            "stable": status.get("stable", {}).get("revision", ""),
            "issuedAt": self.walls[leading[0] if leading else "a"].now().isoformat(),
        }
        self.oracle.retried |= verb == "retry"
        annotations = {"headgate.dev/command": json.dumps(command)}
        self.cluster.merge("ModelDeployment", NAMESPACE, NAME, {"metadata": {"annotations": annotations}})

    # --- what is seen -------------------------------------------------------------------------------------------------

    def object(self) -> Obj:
        found: Obj | None = self.cluster.get("ModelDeployment", NAMESPACE, NAME)
        assert found is not None
        return found

    def status(self) -> Obj:
        status: Obj = self.object().get("status", {})
        return status

    def serving_pods(self) -> list[str]:
        return self.oracle.listed()

    def jump(self, machine: str, by: timedelta) -> None:
        self.walls[machine].offset += by


def _short(role: Obj) -> str:
    words = [name for name in ("verifiedAt", "drainingSince", "drained", "unreadySince") if role.get(name)]
    return f"{role['version']}{f' ({chr(44).join(words)})' if words else ''}"
