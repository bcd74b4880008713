"""One pass of the operator over a state, as its reconciler makes it: either the status is written, or its writes.

The decisions are the operator's own (`advance`, `plan`); here is only what its shell does around them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from headgate_operator.api.codec import from_json, to_json
from headgate_operator.api.model import ByAlias
from headgate_operator.api.reasons import Reason
from headgate_operator.api.spec import ModelSpec, RolloutSpec, Spec, Strategy
from headgate_operator.api.status import Status
from headgate_operator.core import advance as deciding
from headgate_operator.core import plan as planning
from headgate_operator.core.gates import BEFORE_GOLDEN, held_by, proven
from headgate_operator.core.observed import (
    Children,
    Counters,
    Deployment,
    Endpoint,
    GoldenFailed,
    GoldenPassed,
    Pod,
    PodAddress,
    PodNotReady,
    PodReady,
    Readiness,
    Resolution,
    Resolved,
    Service,
    Unresolved,
)
from headgate_operator.core.plan import Apply, Write
from headgate_operator.core.revision import Revision
from headgate_operator.core.stored import read_revision
from headgate_operator.core.view import View
from headgate_operator.core.wake import next_wake
from model_catalogue import MODEL, identity
from modelcheck.state import CONTENTS, DEADLINE, KEEP_WARM, NAME, NOW, UID, PodState, State, remembered

IMAGE = "server:1"
RESYNC = 1e6  # never: what only a resync would find is not waited for
ADDRESS = PodAddress("127.1.1.1", 8080, 8081)
IDLE = Counters(in_flight=0, open_connections=0, last_request_age_seconds=None)
BUSY = Counters(in_flight=1, open_connections=1, last_request_age_seconds=0.0)

GOOD, LOAD_FAILS, GOLDEN_FAILS, DIGESTS_DIFFER, CRASHES, NEVER_READY = (
    "good", "load fails", "golden fails", "digests differ", "crashes", "never ready",
)  # fmt: skip
NEVER_READY_KINDS = {LOAD_FAILS, CRASHES, NEVER_READY}


@dataclass(frozen=True, slots=True)
class Saves:
    """The pass ends with this status."""

    status: Status


@dataclass(frozen=True, slots=True)
class Acts:
    """The pass carries these out, in order; none = it has nothing to do. `status` is as it was read, or differs from it
    only in what nobody decides by."""

    status: Status
    writes: tuple[Write, ...]


Pass = Saves | Acts


class Operator:
    """`behaviours`: how the pods of each model version behave."""

    def __init__(
        self,
        behaviours: Mapping[str, str],
        rollout: RolloutSpec | None = None,
        strategy: Strategy = Strategy.BLUE_GREEN,
    ) -> None:
        self.behaviours = dict(behaviours)
        self.rollout = replace(rollout or RolloutSpec(keep_warm=KEEP_WARM), strategy=strategy)
        self.shares = strategy is not Strategy.BLUE_GREEN
        if self.rollout.progress_deadline is None:
            self.rollout = replace(self.rollout, progress_deadline=DEADLINE)

    # --- a pass -------------------------------------------------------------------------------------------------------

    def work(self, state: State) -> Pass:
        """A status that differs only in what people read is written too, and then the pass that follows is this one."""
        status = state.status
        for _ in range(4):
            view = self.view(state, status)
            decided = deciding.advance(view, status)
            if decided == status:
                return Acts(status, tuple(planning.plan(view, status, state.live(), frozenset())))
            again = deciding.advance(view, decided)
            assert again == decided, "deciding again changes the decision"
            answered = decided.last_command is not status.last_command
            if answered or remembered(decided) != remembered(status):
                return Saves(_as_stored(decided))
            status = decided
        raise AssertionError("the status is written again and again, and says nothing new")

    def wake(self, state: State) -> float:
        return next_wake(self.view(state, state.status), state.status, RESYNC)

    # --- what it sees -------------------------------------------------------------------------------------------------

    def spec(self, state: State) -> Spec:
        return _spec(state.replicas, state.paused, self.rollout)

    def view(self, state: State, status: Status) -> View:
        answer: Resolution = Resolved(_identity(state.wanted))
        if not state.registry:
            answer = Unresolved(Reason.REGISTRY_UNREACHABLE, "down")
        view = View(
            namespace="default",
            name=NAME,
            uid=UID,
            generation=1,
            spec=self.spec(state),
            resolution=answer,
            revisions=tuple(
                found for kind, _, n in state.objects if kind == "ControllerRevision" and (found := _revision(n))
            ),
            children=self._children(state, status),
            default_image=IMAGE,
            now=NOW,
            watching_since=NOW - state.watched,
            command=state.command,
        )
        return self._with_golden(view, status)

    def _children(self, state: State, status: Status) -> Children:
        pods = {name: self._pods(state, status, name) for name, _ in state.pods}
        selector = state.selector()
        return Children(
            pods=tuple(pod for found in pods.values() for pod in found),
            deployments={
                revision: Deployment(revision=revision, wanted=size, ready=state.ready(revision), current=True)
                for revision, size in state.deployments().items()
            },
            public=None if selector is None else Service(revision=selector.get("headgate.dev/revision")),
            public_endpoints=tuple(
                Endpoint(pod=f"{shown.revision}-{number}", ready=number < shown.ready)
                for shown in state.shown
                for number in range(shown.total)
            ),
            preview_endpoints=self._preview(state, pods),
            digests={
                obj["metadata"]["labels"]["headgate.dev/revision"]: obj["data"]["digest"]
                for kind, _, n in state.objects
                if kind == "ConfigMap" and (obj := CONTENTS.obj(n))
            },
        )

    def _preview(self, state: State, pods: Mapping[str, tuple[Pod, ...]]) -> tuple[Endpoint, ...]:
        preview = state.object("Service", f"{NAME}-candidate")
        if preview is None:
            return ()
        selected = pods.get(preview["spec"]["selector"].get("headgate.dev/revision"), ())
        return tuple(Endpoint(pod=pod.name, ready=pod.ready) for pod in selected if not pod.terminating)

    def _pods(self, state: State, status: Status, revision: str) -> tuple[Pod, ...]:
        """The shell asks only pods whose answer matters now (`observe.ask_pods`)."""
        candidate = status.candidate is not None and status.candidate.revision == revision
        stable = status.stable is not None and status.stable.revision == revision
        previous = status.previous
        draining = previous is not None and previous.revision == revision and previous.draining_since is not None
        version = version_of(state, revision)
        how = self.behaviours.get(version, GOOD)
        # Those that are ready come first: as endpoints are shown.
        mine = sorted(state.pods_of(revision), key=lambda pod: (pod.life != "ready", pod))
        return tuple(
            _pod(
                revision, version, number, pod, how, candidate or (stable and pod.life != "ready"), draining,
                revision in state.busy,
            )
            for number, pod in enumerate(mine)
        )  # fmt: skip

    def _with_golden(self, view: View, status: Status) -> View:
        """As `observe.ask_for_golden`, with pods that answer at once."""
        candidate = status.candidate
        if candidate is None or candidate.verified_at is not None or view.revision(candidate.revision) is None:
            return view
        if held_by(BEFORE_GOLDEN, view, status, candidate) is not None or proven(view, candidate):
            return view
        fails = self.behaviours.get(candidate.version) == GOLDEN_FAILS
        golden = GoldenFailed("not finite") if fails else GoldenPassed()
        pods = tuple(
            replace(pod, golden=golden) if pod.revision == candidate.revision else pod for pod in view.children.pods
        )
        return replace(view, children=replace(view.children, pods=pods))


def saved(state: State, done: Saves) -> State:
    """The world after the status was written. A command that was answered is over, and its answer is left out."""
    answer, command = done.status.last_command, state.command
    if answer is None or command is None or answer.id != command.id:
        return replace(state, status=done.status)
    return replace(state, command=None, status=replace(done.status, last_command=None))


def carry_out(state: State, write: Write) -> State | None:
    """The world after a write, with pods of a Deployment that became smaller on their way out. None = a conflict."""
    name = write.name
    found = state.content(write.kind, name)
    if not isinstance(write, Apply):
        if found is None:
            return state
        if str(found) != write.resource_version:
            return None
        after = state.with_object(write.kind, name, None)
    else:
        expected = write.obj["metadata"].get("resourceVersion")
        if expected != (None if found is None else str(found)):
            return None
        after = state.with_object(write.kind, name, CONTENTS.number(write.obj))
    return _scaled(after) if write.kind == "Deployment" else after


def _scaled(state: State) -> State:
    sizes = state.deployments()
    for revision in sorted({*sizes, *(name for name, _ in state.pods)}):
        size, pods = sizes.get(revision, 0), state.pods_of(revision)
        staying = [pod for pod in pods if pod.life != "ending"]
        # A controller takes those away first that are not ready.
        staying.sort(key=lambda pod: pod.life != "ready")
        kept = staying[:size] + [PodState("starting")] * (size - len(staying))
        ending = [PodState("ending")] if len(staying) > size or len(pods) > len(staying) else []
        state = state.with_pods(revision, (*kept, *ending))
    return state


def version_of(state: State, revision: str) -> str:
    for kind, _, number in state.objects:
        if kind in {"ControllerRevision", "Deployment"}:
            labels = CONTENTS.obj(number)["metadata"]["labels"]
            if labels["headgate.dev/revision"] == revision:
                return str(labels["headgate.dev/model-version"])
    return _VERSIONS.get(revision, "")


_VERSIONS: dict[str, str] = {}


@cache
def _spec(replicas: int, paused: bool, rollout: RolloutSpec) -> Spec:
    model = ModelSpec(name=MODEL, ref=ByAlias("champion"))
    return Spec(model=model, replicas=replicas, paused=paused, rollout=rollout)


_identity = lru_cache(maxsize=None)(identity)


@cache
def _revision(number: int) -> Revision | None:
    found = read_revision(CONTENTS.obj(number))
    if found is not None:
        _VERSIONS[found.hash] = found.identity.version
    return found


@cache
def _pod(
    revision: str, version: str, number: int, pod: PodState, how: str, asked: bool, drains: bool, busy: bool
) -> Pod:
    ready = pod.life == "ready"
    return Pod(
        name=f"{revision}-{number}",
        revision=revision,
        address=ADDRESS,
        ready=ready,
        terminating=pod.life == "ending",
        restarts=pod.restarts,
        crash_looping=how == CRASHES and not ready,
        readiness=_says(revision, version, number, ready, how) if asked and pod.life != "ending" else None,
        counters=(BUSY if busy else IDLE) if drains and pod.life != "ending" else None,
    )


def _says(revision: str, version: str, number: int, ready: bool, how: str) -> Readiness:
    if not ready:
        failed = how == LOAD_FAILS
        return PodNotReady(reason="LoadFailed" if failed else "Loading", permanent=failed, message="")
    other = how == DIGESTS_DIFFER and number > 0
    digest = f"sha256:{'f' if other else version:0>64}"
    return PodReady(model=MODEL, version=version, revision=revision, digest=digest, golden="passed")


@lru_cache(maxsize=50_000)
def _as_stored(status: Status) -> Status:
    """What is not kept by being written and read again is not remembered."""
    kept = from_json(Status, json.loads(json.dumps(to_json(status))))
    assert kept == status, "the status does not survive being written and read"
    return kept
