"""One seed's story: a few bad minutes, then calm, in which everything must come right and stay as it is."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fake_runtime import Script
from simulation.bare_cluster import DIFFERS, BareCluster
from simulation.oracle import NAME, NAMESPACE
from simulation.virtual_time import run
from simulation.world import ERRS, GOOD, LATE, VERSIONS, World

LONGEST_REST = 3600.0  # also after a wall clock was set back by as much
MOST_PASSES = 1500
SILENCE = 650.0  # two resyncs
STRATEGIES = ("BlueGreen", "BlueGreen", "Canary", "Canary", "Canary", "Rolling")
BAD = ("load fails", "never ready", "crashes", "out of memory", "golden fails", "golden fails", "digests differ")


@dataclass(frozen=True, slots=True)
class Told:
    """How a story ended."""

    seed: int
    violations: tuple[str, ...]
    log: tuple[str, ...]
    passes: int
    seconds: float  # virtual

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {violation}" for violation in self.violations]
        return "\n".join([*lines, *self.log, f"Again: SEED={self.seed} pytest tests/simulation"])


def tell(seed: int, cluster: Callable[[random.Random], Any] = BareCluster) -> Told:
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # the story has a log of its own
    try:
        return run(_tell(seed, cluster))
    finally:
        logging.disable(disabled)


async def _tell(seed: int, cluster: Callable[[random.Random], Any]) -> Told:
    async with cluster(random.Random(seed + 1)) as made:
        world = World(seed, made)
        try:
            await _bad_minutes(world)
            await _calm(world)
        finally:
            await world.end()
        return Told(seed, tuple(world.oracle.violations), tuple(world.log), world.passes, world.loop.time())


# --- bad minutes ------------------------------------------------------------------------------------------------------


async def _bad_minutes(world: World) -> None:
    chance = world.chance
    strategy = chance.choice(STRATEGIES)
    for version in VERSIONS:
        kind = GOOD if chance.random() < 0.5 else chance.choice([*BAD, LATE, ERRS])
        if kind == "digests differ" and strategy != "BlueGreen":
            kind = "load fails"  # the first step may have a single pod, which agrees with itself
        world.behaves(version, kind, _script(kind, chance))
    world.weather.api = chance.choice([0, 0, 0.02, 0.1])
    world.weather.watch_lost = chance.choice([0, 0, 0.3, 1.0])
    world.weather.probe = chance.choice([0, 0, 0.2])
    world.cluster.endpoint_lag = chance.choice([0.1, 0.5, 2.0])
    rollout = {"keepWarm": chance.choice(["0s", "5s", "40s"]), "progressDeadline": chance.choice(["30s", "90s"])}
    if chance.random() < 0.3:
        rollout["blueGreen"] = {"minDuration": "7s"}
    rollout |= {"strategy": strategy, "capacity": chance.choice(["Safe", "Economical"])}
    analysis = {"interval": "5s", "minDuration": "10s", "minRequests": 10}
    if strategy == "Canary":
        rollout["steps"] = chance.choice([[{"weight": 25}, {"weight": 50, "minDuration": "15s"}], [{"weight": 50}]])
        rollout |= {"maxDuration": "3m", "onInconclusive": chance.choice(["Promote", "Rollback"])}
    world.note(f"versions {world.kinds}; {world.weather}; {rollout}")
    world.start("a")
    world.start("b")
    fewest = 2 if "digests differ" in world.kinds.values() else 1
    world.create(replicas=chance.choice([fewest, 2, 3]), rollout=rollout, analysis=analysis)
    deeds = _deeds(harmless=chance.random() < 0.5)
    await asyncio.sleep(chance.choice([3.0, 12.0]))
    for _ in range(chance.randint(4, 10)):
        if world.oracle.violations:
            return
        name, deed = chance.choice(deeds)
        world.note(f"--- {name}")
        deed(world)
        await asyncio.sleep(chance.choice([0.1, 1.0, 4.0, 12.0, 30.0]) * chance.uniform(0.5, 1.5))


def _script(kind: str, chance: random.Random) -> Script:
    after = chance.choice([0.5, 2.0, 6.0])
    match kind:
        case "load fails":
            return Script(ready_after=after, fails="LoadFailed")
        case "never ready":
            return Script(never_ready=True)
        case "crashes":
            return Script(ready_after=60.0, crash_after=after)
        case "out of memory":
            return Script(ready_after=60.0, crash_after=after, crash_code=137)
        case "digests differ":
            return Script(ready_after=after, digest=DIFFERS)
        case "fails later":
            return Script(ready_after=after, crash_after=after + chance.choice([5.0, 20.0]), crashes=4)
    return Script(ready_after=after)


Deed = Callable[[World], None]


def _deeds(*, harmless: bool) -> list[tuple[str, Deed]]:
    """`harmless`: nothing touches what serves, so that nothing may be lost at any moment."""
    found: list[tuple[str, Deed]] = [
        *[("the alias moves", _move)] * 9,
        ("somebody scales", _scale),
        ("undo", lambda world: world.order("undo")),
        ("retry", lambda world: world.order("retry")),
        ("promote", lambda world: world.order("promote")),
        ("abort", lambda world: world.order("abort")),
        ("pause", lambda world: world.order("pause")),
        ("resume", lambda world: world.order("resume")),
        ("a pause begins or ends", _pause),
        ("the registry goes down or comes back", _registry),
        *[("an operator crashes", _crash)] * 2,
        ("an operator is told to stop", _stop),
        ("an operator is cut off", _cut_off),
        ("the API server has a bad time", _bad_time),
        ("a wall clock jumps", _jump),
        ("a setting changes", _setting),
    ]
    if harmless:
        return found
    return [
        *found,
        *[("a container of what serves dies", _kill)] * 2,
        ("a node is lost", _lose),
        ("somebody edits the public Service", _edit_service),
        ("somebody deletes the public Service", _delete_service),
        ("somebody scales or deletes a Deployment", _edit_deployment),
        ("somebody deletes what belongs to a revision", _delete_revision),
        ("the status is lost", _lose_status),
    ]


def _move(world: World) -> None:
    version = world.chance.choice([one for one in VERSIONS if one != world.registry.aliases["champion"]])
    world.note(f"to version {version}")
    world.move_alias(version)


def _scale(world: World) -> None:
    lonely = "digests differ" not in world.kinds.values()  # a single pod agrees with itself
    world.edit(replicas=world.chance.choice([0, 1 if lonely else 2, 2, 3, 4]))


def _pause(world: World) -> None:
    world.edit(paused=not world.object()["spec"].get("paused", False))


def _setting(world: World) -> None:
    world.edit(serving={"env": [{"name": "A", "value": world.chance.choice(["1", "2"])}]})


def _registry(world: World) -> None:
    if world.registry.trouble is None:
        world.registry.down()
    else:
        world.registry.up()


def _machine(world: World) -> str:
    leading = [machine for machine, process in world.processes.items() if process.leads]
    return leading[0] if leading and world.chance.random() < 0.8 else world.chance.choice(["a", "b"])


def _crash(world: World) -> None:
    world.crash(_machine(world))


def _stop(world: World) -> None:
    world.processes[_machine(world)].stop.set()


def _cut_off(world: World) -> None:
    wire = world.processes[_machine(world)].wire
    wire.cut = True
    world.loop.call_later(world.chance.choice([2.0, 9.0, 14.0, 40.0]), lambda: setattr(wire, "cut", False))


def _bad_time(world: World) -> None:
    before = world.weather.api
    world.weather.api = 0.5
    world.loop.call_later(world.chance.uniform(2, 20), lambda: setattr(world.weather, "api", before))


def _jump(world: World) -> None:
    seconds = world.chance.choice([-300, -30, 30, 3600])
    world.note(f"by {seconds} s")
    world.jump(_machine(world), timedelta(seconds=seconds))


# --- what hurts what serves -------------------------------------------------------------------------------------------


def _kill(world: World) -> None:
    pods = world.serving_pods()
    if pods:
        world.oracle.accident()
        world.cluster.crash(world.chance.choice(pods), code=world.chance.choice([1, 137]))


def _lose(world: World) -> None:
    world.oracle.accident()
    for pod in world.serving_pods()[: world.chance.choice([1, 9])]:
        world.cluster.lose(pod)


def _edit_service(world: World) -> None:
    revisions = [d["metadata"]["labels"]["headgate.dev/revision"] for d in world.cluster.list("Deployment", NAMESPACE)]
    if not revisions or world.cluster.get("Service", NAMESPACE, NAME) is None:
        return
    chosen = world.chance.choice([*revisions, None])
    world.oracle.accident()
    world.oracle.edited = True
    world.cluster.merge("Service", NAMESPACE, NAME, {"spec": {"selector": {"headgate.dev/revision": chosen}}})
    world.oracle.edited = False


def _delete_service(world: World) -> None:
    world.oracle.accident()
    world.cluster.remove("Service", NAMESPACE, NAME)


def _edit_deployment(world: World) -> None:
    found = world.cluster.list("Deployment", NAMESPACE)
    if not found:
        return
    world.oracle.accident()
    name = world.chance.choice(found)["metadata"]["name"]
    if world.chance.random() < 0.5:
        world.cluster.remove("Deployment", NAMESPACE, name)
    else:
        world.cluster.merge("Deployment", NAMESPACE, name, {"spec": {"replicas": world.chance.choice([0, 1, 5])}})


def _delete_revision(world: World) -> None:
    kind = world.chance.choice(["ConfigMap", "ControllerRevision"])
    found = world.cluster.list(kind, NAMESPACE)
    if kind == "ControllerRevision":  # without its revision what serves goes on, and cannot be scaled
        stable = world.status().get("stable", {}).get("revision")
        found = [one for one in found if one["metadata"]["labels"]["headgate.dev/revision"] != stable]
    if found:
        world.cluster.remove(kind, NAMESPACE, world.chance.choice(found)["metadata"]["name"])


def _lose_status(world: World) -> None:
    world.oracle.status_lost()
    world.cluster.forget_status(NAMESPACE, NAME)


# --- calm -------------------------------------------------------------------------------------------------------------


async def _calm(world: World) -> None:
    """Nothing bad happens any more, but bad versions stay bad. After a broken rule there is nothing left to show."""
    if world.oracle.violations:
        return
    world.note("--- calm")
    weather = world.weather
    weather.api = weather.watch_lost = weather.probe = 0.0
    world.registry.up()
    for process in world.processes.values():
        process.wire.cut = False
    spec = world.object()["spec"]
    world.edit(paused=False, replicas=spec.get("replicas", 1) or 2)
    world.loop.call_later(45.0, lambda: setattr(weather, "api", 0.0))  # a bad time that was still to end
    await asyncio.sleep(20.0)
    world.order("resume")
    await _rest(world)
    if world.oracle.violations:
        return
    before = (world.oracle.writes, world.passes)
    await asyncio.sleep(SILENCE)
    writes = world.oracle.writes - before[0]
    if writes:
        world.oracle.broken(f"{writes} writes at rest")
    for rule in _wrong(world):
        world.oracle.broken(rule)


async def _rest(world: World) -> None:
    end = world.loop.time() + LONGEST_REST
    silent_since, writes = world.loop.time(), -1
    passes = world.passes + MOST_PASSES
    while world.loop.time() < end and world.passes < passes and not world.oracle.violations:
        await asyncio.sleep(10.0)
        busy = any(world.status().get(role) for role in ("candidate", "previous", "rollout"))
        if busy or world.oracle.writes != writes:
            silent_since, writes = world.loop.time(), world.oracle.writes
        elif world.loop.time() - silent_since >= 400.0:  # every restart back-off and resync is over
            return
    if not world.oracle.violations:
        world.oracle.broken("it comes to no rest")


def _wrong(world: World) -> list[str]:
    found, obj = [], world.object()
    status, replicas = obj.get("status", {}), obj["spec"].get("replicas", 1)
    wanted = world.registry.aliases["champion"]
    stable, rejected = status.get("stable"), {entry["version"] for entry in status.get("rejected", [])}
    reachable = world.kinds[wanted] == GOOD and wanted not in rejected
    if stable is None:
        return [f"nothing serves, and version {wanted} is good and wanted"] if reachable else []
    if reachable and stable["version"] != wanted:
        found.append(f"version {stable['version']} serves, and version {wanted} is good and wanted")
    service = world.cluster.get("Service", NAMESPACE, NAME)
    selected = service["spec"]["selector"].get("headgate.dev/revision") if service else None
    if selected != stable["revision"]:
        found.append(f"the public Service selects {selected}, stable is {stable['revision']}")
    sizes = {
        d["metadata"]["labels"]["headgate.dev/revision"]: d["spec"]["replicas"]
        for d in world.cluster.list("Deployment", NAMESPACE)
    }
    if sizes != {stable["revision"]: replicas}:
        found.append(f"Deployments {sizes} at rest, wanted are {replicas} of {stable['revision']}")
    if world.kinds[stable["version"]] == GOOD and len(world.serving_pods()) != replicas:
        found.append(f"{len(world.serving_pods())} endpoints at rest, {replicas} are promised")
    if status.get("observedGeneration") != obj["metadata"]["generation"]:
        found.append("the status speaks of an older generation")
    conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
    if world.kinds[stable["version"]] == GOOD and conditions.get("Available") != "True":
        found.append("it serves, and is not Available")
    return found
