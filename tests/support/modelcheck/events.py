"""What happens around the operator: progress, which is free, and what users and accidents do, which is rationed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from headgate_operator.api.spec import Strategy
from headgate_operator.api.status import Status
from headgate_operator.core.command import Command, current_rollout
from headgate_operator.core.failures import deadline_runs
from headgate_operator.core.traffic_rules import BACKSTOP, GUARD_UNREADY
from modelcheck.engine import NEVER_READY_KINDS, Operator, version_of
from modelcheck.state import CONTENTS, NAME, NOW, UID, Budget, PodState, Shown, State, later

MOST_RESTARTS = 2
LEAST_STEP = timedelta(seconds=60)  # analysis.minDuration where nobody sets it


@dataclass(frozen=True, slots=True)
class Step:
    """`of_the_object`: it writes the ModelDeployment, so a pass that read it before can no longer write its status."""

    what: str
    after: State
    of_the_object: bool = False
    passed: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What may happen in it."""

    operator: Operator
    versions: tuple[str, ...] = ("1", "2")
    sizes: tuple[int, ...] = ()
    orders: tuple[str, ...] = ("undo", "retry")
    pauses: bool = False
    accidents: tuple[str, ...] = ("death", "edit", "loss", "registry")


def happenings(world: World, state: State) -> Iterator[Step]:
    yield from progress(world, state)
    users, faults = state.budget
    if users > 0:
        for step in _users(world, state):
            yield replace(step, after=replace(step.after, budget=Budget(users - 1, faults)))
    if faults > 0:
        for step in _accidents(world, state):
            yield replace(step, after=replace(step.after, budget=Budget(users, faults - 1)))


# --- progress ---------------------------------------------------------------------------------------------------------


def progress(world: World, state: State) -> Iterator[Step]:
    for revision, pods in state.pods:
        starting = next((pod for pod in pods if pod.life == "starting"), None)
        version = version_of(state, revision)
        if starting is not None and world.operator.behaviours.get(version) not in NEVER_READY_KINDS:
            yield Step(
                f"a pod of version {version} becomes ready",
                _changed(state, revision, starting, PodState("ready", starting.restarts)),
            )
        if any(pod.life == "ending" for pod in pods):
            staying = tuple(pod for pod in pods if pod.life != "ending")
            yield Step(f"the ending pods of version {version} are gone", state.with_pods(revision, staying))
    if state.shown != shown(state):
        yield Step("the endpoints catch up", _caught_up(state))
    for revision in state.busy:
        if all(one.revision != revision for one in state.shown):
            rest = tuple(one for one in state.busy if one != revision)
            yield Step(f"clients leave version {version_of(state, revision)}", replace(state, busy=rest))
    wait = until_next_moment(world.operator, state)
    if wait is not None:
        yield Step(
            f"{wait.total_seconds():g} s pass, until the next moment that counts", later(state, wait), passed=wait
        )


def shown(state: State) -> tuple[Shown, ...]:
    """What the EndpointSlices of the public Service say once they are up to date."""
    found = []
    for revision in sorted(state.selected()):
        staying = [pod for pod in state.pods_of(revision) if pod.life != "ending"]
        if staying:
            found.append(Shown(revision, len(staying), sum(pod.life == "ready" for pod in staying)))
    return tuple(found)


def _caught_up(state: State) -> State:
    """Who is listed as ready gets requests."""
    listed = shown(state)
    busy = {one.revision for one in listed if one.ready} | set(state.busy)
    return replace(state, shown=listed, busy=tuple(sorted(busy)))


def until_next_moment(operator: Operator, state: State) -> timedelta | None:
    return min((due - NOW for due in _moments(operator, state.status) if due > NOW), default=None)


def _moments(operator: Operator, status: Status) -> Iterator[datetime]:
    policy = operator.rollout
    candidate, previous, stable, rollout = status.candidate, status.previous, status.stable, status.rollout
    if candidate is not None and deadline_runs(candidate) and policy.progress_deadline is not None:
        yield candidate.deadline_from + policy.progress_deadline
    if candidate is not None and candidate.verified_at is not None and policy.min_duration is not None:
        yield candidate.verified_at + policy.min_duration
    canary = rollout is not None and rollout.strategy == Strategy.CANARY
    if canary and candidate is not None and candidate.step_started_at is not None:
        yield candidate.step_started_at + LEAST_STEP
    if previous is not None and previous.draining_since is not None:
        yield previous.draining_since + BACKSTOP
    elif previous is not None and previous.warm_until is not None:
        yield previous.warm_until
    if stable is not None and stable.unready_since is not None:
        yield stable.unready_since + GUARD_UNREADY
    if rollout is not None and rollout.decided_at is not None:
        yield rollout.decided_at + BACKSTOP


# --- users ------------------------------------------------------------------------------------------------------------


def _users(world: World, state: State) -> Iterator[Step]:
    for version in world.versions:
        if version != state.wanted:
            yield Step(f"the alias moves to version {version}", replace(state, wanted=version))
    for size in world.sizes:
        if size != state.replicas:
            yield Step(f"spec.replicas becomes {size}", replace(state, replicas=size), of_the_object=True)
    if world.pauses:
        paused = not state.paused
        yield Step(f"spec.paused becomes {paused}", replace(state, paused=paused), of_the_object=True)
    for verb in world.orders:
        yield Step(f"somebody orders {verb!r}", replace(state, command=_order(state, verb)), of_the_object=True)


def _order(state: State, verb: str) -> Command:
    stable = state.status.stable
    return Command(
        id="order",
        verb=verb,
        uid=UID,
        rollout=current_rollout(state.status),
        stable=stable.revision if stable else "",
        issued_at=NOW,
        by="erika",
    )


# --- accidents --------------------------------------------------------------------------------------------------------


def _accidents(world: World, state: State) -> Iterator[Step]:
    if "death" in world.accidents:
        yield from _deaths(state)
    if "edit" in world.accidents and state.status.stable is not None:
        yield from _edits(state, [{"headgate.dev/revision": name} for name, _ in state.pods])
    if "widening" in world.accidents:
        yield from _edits(state, [{}])
    # With the status goes the knowledge of what a selector should say: then it must not be wrong as well.
    if "loss" in world.accidents and state.status.stable is not None and state.selected() <= state.proven:
        yield Step("the status is lost", replace(state, status=Status()), of_the_object=True)
    if "registry" in world.accidents:
        word = "cannot be reached" if state.registry else "answers again"
        yield Step(f"the registry {word}", replace(state, registry=not state.registry))
    if "absence" in world.accidents:
        yield Step("another operator process takes over", replace(state, watched=timedelta(0)))


def _deaths(state: State) -> Iterator[Step]:
    for revision, pods in state.pods:
        alive = next((pod for pod in pods if pod.life == "ready"), None)
        if alive is not None:
            version = version_of(state, revision)
            again = PodState("starting", min(MOST_RESTARTS, alive.restarts + 1))
            yield Step(f"the container of a pod of version {version} dies", _changed(state, revision, alive, again))
            lost = replace(state, pods=state.pods)
            for _ in range(sum(pod.life == "ready" for pod in pods)):
                one = next(pod for pod in lost.pods_of(revision) if pod.life == "ready")
                lost = _changed(lost, revision, one, PodState("starting"))
            yield Step(f"all pods of version {version} are lost with their node", lost)


def _edits(state: State, narrow: list[dict[str, str]]) -> Iterator[Step]:
    """Somebody writes the public Service's selector."""
    public = state.object("Service", NAME)
    if public is None:
        return
    for selector in ({"headgate.dev/deployment": NAME, **one} for one in narrow):
        if selector != public["spec"]["selector"]:
            edited = {**public, "spec": {**public["spec"], "selector": selector}}
            revision = selector.get("headgate.dev/revision")
            what = "all pods" if revision is None else f"version {version_of(state, revision)}"
            yield Step(
                f"somebody makes the public Service select {what}",
                state.with_object("Service", NAME, CONTENTS.number(edited)),
            )


def _changed(state: State, revision: str, old: PodState, new: PodState) -> State:
    pods = list(state.pods_of(revision))
    pods.remove(old)
    return state.with_pods(revision, (*pods, new))
