"""A state of the small world: what the user wants, what the API server shows, what the pods do, and the clock.

Two states with the same key behave alike from here on: times count from now and only as far as a rule looks back,
texts and numbers that no decision reads are left out. So a search meets each situation once.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple

from headgate_operator.api.status import HistoryEntry, Status
from headgate_operator.core.command import Command
from headgate_operator.core.traffic_rules import BACKSTOP, GUARD_UNREADY

Obj = dict[str, Any]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""Always: see `later`."""
NAME = "iris"
UID = "uid-1"
KEEP_WARM = timedelta(minutes=10)
DEADLINE = timedelta(minutes=10)


class PodState(NamedTuple):
    """`life`: starting, ready, ending. One `ending` stands for all of its revision."""

    life: str
    restarts: int = 0


class Shown(NamedTuple):
    """What the public EndpointSlices list of one revision."""

    revision: str
    total: int
    ready: int


class Budget(NamedTuple):
    """What users and accidents may still do; progress is free."""

    users: int = 0
    faults: int = 0


Pods = tuple[tuple[str, tuple[PodState, ...]], ...]
Objects = tuple[tuple[str, str, int], ...]  # kind, name, number of the content


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    replicas: int
    wanted: str
    status: Status = field(default_factory=Status)
    paused: bool = False
    registry: bool = True
    objects: Objects = ()
    pods: Pods = ()
    shown: tuple[Shown, ...] = ()
    busy: tuple[str, ...] = ()  # revisions with requests under way
    watched: timedelta = timedelta(0)  # for how long this process has been looking
    command: Command | None = None
    budget: Budget = field(default_factory=Budget)
    proven: frozenset[str] = frozenset()  # seen complete, ready and right by the oracle, not by the operator

    def pods_of(self, revision: str) -> tuple[PodState, ...]:
        return next((pods for name, pods in self.pods if name == revision), ())

    def ready(self, revision: str) -> int:
        return sum(pod.life == "ready" for pod in self.pods_of(revision))

    def with_pods(self, revision: str, pods: tuple[PodState, ...]) -> State:
        others = [(name, theirs) for name, theirs in self.pods if name != revision]
        mine = [(revision, tuple(sorted(pods)))] if pods else []
        return dataclasses.replace(self, pods=tuple(sorted(others + mine)))

    def content(self, kind: str, name: str) -> int | None:
        return next((number for k, n, number in self.objects if (k, n) == (kind, name)), None)

    def object(self, kind: str, name: str) -> Obj | None:
        number = self.content(kind, name)
        return None if number is None else CONTENTS.obj(number)

    def with_object(self, kind: str, name: str, number: int | None) -> State:
        others = [one for one in self.objects if one[:2] != (kind, name)]
        mine = [(kind, name, number)] if number is not None else []
        return dataclasses.replace(self, objects=tuple(sorted(others + mine)))

    def live(self) -> Mapping[tuple[str, str], Obj]:
        return {(kind, name): CONTENTS.obj(number) for kind, name, number in self.objects}

    def deployments(self) -> dict[str, int]:
        """Size by revision."""
        sizes = {}
        for kind, _, number in self.objects:
            if kind == "Deployment":
                obj = CONTENTS.obj(number)
                sizes[obj["metadata"]["labels"]["headgate.dev/revision"]] = obj["spec"]["replicas"]
        return sizes

    def selector(self) -> dict[str, str] | None:
        """Of the public Service; None where there is none."""
        public = self.object("Service", NAME)
        return None if public is None else public["spec"]["selector"]

    def selected(self) -> frozenset[str]:
        """The revisions that the public Service selects pods of."""
        selector = self.selector()
        if selector is None:
            return frozenset()
        narrow = selector.get("headgate.dev/revision")
        if narrow is not None:
            return frozenset([narrow])
        return frozenset(name for name, pods in self.pods if any(pod.life != "ending" for pod in pods))

    def world(self) -> tuple[object, ...]:
        """All that decides what happens next, but for what users and accidents may still do."""
        return (
            self.replicas,
            self.wanted,
            self.paused,
            self.registry,
            remembered(self.status),
            self.objects,
            self.pods,
            self.shown,
            self.busy,
            min(self.watched, DEADLINE),
            None if self.command is None else self.command.verb,
            self.proven,
        )


class Contents:
    """Every content that an object of the API server ever had, once. An object's version is the number of its content:
    a change that is taken back is no change, which makes stale writes succeed more often than in truth."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._objects: list[Obj] = []

    def number(self, obj: Mapping[str, Any]) -> int:
        server_fields = {"uid", "resourceVersion"}
        metadata = {key: value for key, value in obj["metadata"].items() if key not in server_fields}
        text = json.dumps({**obj, "metadata": metadata}, sort_keys=True)
        if text not in self._numbers:
            number = len(self._objects)
            stored: Obj = json.loads(text)
            stored["metadata"] |= {"uid": f"{obj['kind']}/{metadata['name']}", "resourceVersion": str(number)}
            self._numbers[text] = number
            self._objects.append(stored)
        return self._numbers[text]

    def obj(self, number: int) -> Obj:
        return self._objects[number]


CONTENTS = Contents()

# What no decision reads: derived, for people, or only ever growing.
_LEFT_OUT = {
    "Status": {
        "observed_generation", "conditions", "url", "wanted", "serving", "ready", "replicas", "selector",
        "last_rollback_milliseconds", "last_command",
    },
    "Stable": {"replicas", "ready_replicas"},
    "Candidate": {"started_at", "waiting_for", "replicas", "evidence"},
    "Rollout": {"id", "started_at", "policy", "message", "strategy", "reason", "from_", "to", "decisions"},
    "Rejected": {"at", "by", "gate", "message", "digest"},
}  # fmt: skip
# How far back (or ahead) a rule looks at a time; further is all the same.
_HORIZON = {
    "deadline_from": DEADLINE,
    "warm_until": KEEP_WARM,
    "draining_since": BACKSTOP,
    "unready_since": GUARD_UNREADY,
    "decided_at": BACKSTOP,
}
_DEFAULT_HORIZON = timedelta(minutes=1)


@cache
def _fields(kind: type) -> tuple[str, ...]:
    left_out = _LEFT_OUT.get(kind.__name__, set())
    return tuple(field.name for field in dataclasses.fields(kind) if field.name not in left_out)


@lru_cache(maxsize=200_000)
def remembered(status: Status) -> object:
    """A status without what no decision reads."""
    return _plain(status, "")


def _plain(value: object, name: str) -> object:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, datetime):
        horizon = _HORIZON.get(name, _DEFAULT_HORIZON)
        return max(-horizon, min(horizon, NOW - value))
    if name == "history":
        return _history(value)
    if isinstance(value, tuple):
        return tuple(_plain(one, name) for one in value)
    return tuple(_plain(getattr(value, name), name) for name in _fields(type(value)))


def later(state: State, passed: timedelta) -> State:
    """The clock stands still: as time passes, what is remembered moves into the past."""
    status = state.status
    roles = ("stable", "candidate", "previous", "rollout")
    moved = {name: _moved(getattr(status, name), passed) for name in roles}
    return dataclasses.replace(
        state, status=dataclasses.replace(status, **moved), watched=min(state.watched + passed, DEADLINE)
    )


def _moved(role: Any, passed: timedelta) -> Any:
    if role is None:
        return None
    times = {
        field.name: value - passed
        for field in dataclasses.fields(role)
        if isinstance(value := getattr(role, field.name), datetime)
    }
    return dataclasses.replace(role, **times)


def _history(entries: Any) -> tuple[tuple[str, str], ...]:
    """Which outcomes each revision had, the latest of each last: that is what rules ask of it."""
    latest: dict[tuple[str, str], None] = {}
    for entry in entries:
        assert isinstance(entry, HistoryEntry)
        pair = (entry.to_revision, str(entry.outcome))
        latest.pop(pair, None)
        latest[pair] = None
    return tuple(latest)
