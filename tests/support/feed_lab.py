"""Pods that count, and a feed that looks at them: for tests of what becomes of raw counters.

A `Process` counts what it really answered. The lab hands the feed any answers a test makes of that, old and doubled
ones included, and keeps the intervals that came out.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from headgate_operator.core.evidence.interval import Arm, Interval
from headgate_operator.core.observed import Answered, Counters, Pod, PodAddress, Traffic
from headgate_operator.feed import Feed
from headgate_operator.ports import Key

IRIS = Key("ml", "iris")
BEGAN = datetime(2026, 11, 21, 12, tzinfo=UTC)
ARMS = {"stable": "aaaa", "candidate": "bbbb"}
LADDER = (0.1, 0.2)
_ids = itertools.count(1)


@dataclass(frozen=True)
class Policy:
    interval: float = 10.0
    bounds: tuple[float, ...] = LADDER


EVERY_10_S = Policy()


@dataclass(frozen=True)
class State:
    """Stands for the engine's: it remembers what it was fed."""

    seconds: int = 0
    fed: tuple[Interval, ...] = ()


class Remembers:
    """Implements `feeds.engines.Engine`."""

    def begin(self, policy: Policy) -> State:
        return State()

    def update(self, policy: Policy, state: State, interval: Interval) -> State:
        return State(int(interval.at), (*state.fed, interval))

    def seconds(self, state: State) -> float:
        return float(state.seconds)

    def told(self, policy: Policy) -> dict[str, Any]:
        return {"interval_s": policy.interval}


@dataclass
class Process:
    """One life of a server: counts from zero, and has an id of its own."""

    revision: str
    began: float  # by its own clock, which nobody sets
    ladder: tuple[float, ...] = LADDER
    start_id: str = field(default_factory=lambda: f"start-{next(_ids)}")
    rows: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    predictions: Counter[str | int] = field(default_factory=Counter)

    def answers(self, number: int, *, code: int = 200, group: str = "predict", bucket: int = 0) -> None:
        row = self.rows.setdefault((group, code), [0] * (len(self.ladder) + 1))
        row[bucket] += number

    def traffic(self, steady: float) -> Traffic:
        return Traffic(
            start_id=self.start_id,
            revision=self.revision,
            version="1",
            bounds=self.ladder,
            rows=tuple(Answered(g, c, sum(buckets), tuple(buckets)) for (g, c), buckets in sorted(self.rows.items())),
            uptime_seconds=steady - self.began,
            predictions=tuple(self.predictions.items()),
        )


@dataclass
class Server:
    """A pod and the process in it."""

    name: str
    process: Process
    ready_since: datetime | None
    silent: bool = False
    ready: bool = True

    def answers(self, number: int, *, code: int = 200, group: str = "predict", bucket: int = 0) -> None:
        self.process.answers(number, code=code, group=group, bucket=bucket)

    def restarts(self, lab: Lab) -> None:
        self.process = Process(self.process.revision, lab.steady, self.process.ladder)
        self.ready_since = lab.now

    def told(self, lab: Lab) -> Pod:
        traffic = None if self.silent else self.process.traffic(lab.steady)
        return pod_of(self.name, self.process.revision, traffic, ready=self.ready, ready_since=self.ready_since)


def pod_of(
    name: str, revision: str, traffic: Traffic | None, *, ready: bool = True, ready_since: datetime | None = None
) -> Pod:
    counters = Counters(in_flight=0, open_connections=0, last_request_age_seconds=None, traffic=traffic)
    return Pod(
        name=name,
        uid=f"uid-{name}",
        revision=revision,
        address=PodAddress("127.0.0.1", 1, 1),
        ready=ready,
        ready_since=ready_since,
        counters=None if traffic is None else counters,
    )


class Lab:
    """Begins with one long-warm pod an arm, and a baseline taken."""

    def __init__(self, *, look: bool = True, policy: Policy = EVERY_10_S) -> None:
        self.now, self.steady = BEGAN, 0.0
        self.told: list[str] = []
        self.feed: Feed[Policy, State] = Feed(Remembers(), told=self.told.append)
        self.policy = policy
        self.rollout = 1
        self.state: State | None = None
        self.servers: list[Server] = []
        self.stable, self.candidate = self.starts("stable"), self.starts("candidate")
        for server in self.servers:
            self.long_warm(server)
        if look:
            self.look()

    def starts(self, role: str, name: str = "") -> Server:
        """A pod whose server begins, and is Ready, now."""
        server = Server(name or f"{role}-{next(_ids)}", Process(ARMS[role], self.steady), self.now)
        self.servers.append(server)
        return server

    def long_warm(self, server: Server) -> None:
        server.process.began, server.ready_since = self.steady - 3600, self.now - timedelta(hours=1)
        server.answers(1000)

    def passes(self, seconds: float) -> None:
        """Less than none: the clock is set back."""
        self.now += timedelta(seconds=seconds)
        self.steady += max(seconds, 0.0)

    def look(self, pods: Iterable[Pod] | None = None) -> State:
        seen = [server.told(self) for server in self.servers] if pods is None else list(pods)
        self.state = self.feed.take(IRIS, self.rollout, self.policy, self.state, ARMS, seen, self.now)
        return self.state

    def tick(self, seconds: float = 10.0, pods: Sequence[Pod] | None = None) -> Interval:
        """The interval that this tick fed."""
        before = 0 if self.state is None else len(self.state.fed)
        self.passes(seconds)
        state = self.look(pods)
        assert len(state.fed) == before + 1, "this tick fed nothing"
        return state.fed[-1]

    def fed_nothing(self, seconds: float = 10.0) -> bool:
        before = self.state
        self.passes(seconds)
        return self.look() == before


def counts(arm: Arm | None) -> tuple[float, float, float] | None:
    return None if arm is None else (arm.requests, arm.errors, arm.client_errors)


def without_uptime(pod: Pod) -> Pod:
    assert pod.counters is not None
    assert pod.counters.traffic is not None
    traffic = replace(pod.counters.traffic, uptime_seconds=None)
    return replace(pod, counters=replace(pod.counters, traffic=traffic))
