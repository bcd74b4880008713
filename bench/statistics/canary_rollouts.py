"""Simulated rollouts: worlds of traffic, and the operator's own engine, which decides in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from statistics import median

from canary_draws import Latencies, arm, p99_of_tail
from headgate_operator.core.evidence import engine
from headgate_operator.core.evidence.interval import Interval
from headgate_operator.core.evidence.policy import EvidencePolicy

INTERVAL = 10
BASE = 0.01
WEIGHT = 0.1
RATES = (1, 10, 100, 1000)
POLICY = EvidencePolicy(false_rollback=0.02)
OfTime = Callable[[float], float]


def always(value: float) -> OfTime:
    return lambda _at: value


@dataclass(frozen=True)
class World:
    """What the traffic of both versions is like; `at` is the end of an interval, in seconds."""

    name: str
    stable: OfTime = field(default_factory=lambda: always(BASE))
    candidate: OfTime = field(default_factory=lambda: always(BASE))
    weight: OfTime = field(default_factory=lambda: always(WEIGHT))
    latencies: Latencies = field(default_factory=Latencies)
    retries: int = 1
    bursts: float = 0.0  # coefficient of variation of each arm's own rate, from interval to interval
    cold: float = 0.0  # seconds in which the candidate is marked as warming up, and three times as slow
    traffic: bool = True
    seconds: int = 600
    steps: tuple[float, ...] = ()  # a whole rollout: a promotion leads to the next weight
    to_the_end: bool = False  # go on after a promotion: may it still be rolled back?


@dataclass(frozen=True)
class Outcome:
    verdict: str
    seconds: float
    requests: int
    """Of the candidate, from its first."""


def run(world: World, rate: float, seed: int, policy: EvidencePolicy = POLICY) -> Outcome:
    rng = Random(f"{world.name}/{rate}/{seed}")
    state, outcome = engine.begin(policy), None
    step, began, had = 0, 0.0, 0
    for number in range(1, world.seconds // INTERVAL + 1):
        at = float(number * INTERVAL)
        weight = world.steps[step] if world.steps else world.weight(at)
        state = engine.update(policy, state, _interval(rng, world, rate * INTERVAL * world.traffic, weight, at))
        said = engine.judge(policy, state, seconds_in_step=at - began, requests_in_step=state.candidate_requests - had)
        if said.verdict == "rollback":
            return Outcome("rollback", at, state.candidate_requests)
        if said.verdict == "promote":
            step, began, had = step + 1, at, state.candidate_requests
            if step < len(world.steps):
                continue
            outcome = outcome or Outcome("promote", at, state.candidate_requests)
            if not world.to_the_end:
                return outcome
            step -= 1
    return outcome or Outcome("wait", float(world.seconds), state.candidate_requests)


def _interval(rng: Random, world: World, mean: float, weight: float, at: float) -> Interval:
    cold = at <= world.cold
    theirs, ours = (_burst(rng, world, rate(at)) for rate in (world.stable, world.candidate))
    latencies = replace(world.latencies, scale=3.0) if cold else world.latencies
    return Interval(
        at=at,
        stable=arm(rng, mean * (1 - weight), theirs, Latencies(), retries=world.retries),
        candidate=arm(rng, mean * weight, ours, latencies, retries=world.retries, cold=cold),
    )


def _burst(rng: Random, world: World, rate: float) -> float:
    if not world.bursts:
        return rate
    shape = 1 / world.bursts**2
    return min(rate * rng.gammavariate(shape, 1 / shape), 1.0)


@dataclass(frozen=True)
class Cell:
    """Many rollouts in the same world."""

    runs: int
    rolled_back: int
    promoted: int
    seconds: float | None  # median, of those that were decided as most were
    requests: float | None

    @property
    def waiting(self) -> int:
        return self.runs - self.rolled_back - self.promoted


def cell(world: World, rate: float, runs: int, *, first_seed: int = 0, policy: EvidencePolicy = POLICY) -> Cell:
    outcomes = [run(world, rate, seed, policy) for seed in range(first_seed, first_seed + runs)]
    by = {verdict: [one for one in outcomes if one.verdict == verdict] for verdict in ("rollback", "promote")}
    decided = max(by.values(), key=len)
    return Cell(
        runs=runs,
        rolled_back=len(by["rollback"]),
        promoted=len(by["promote"]),
        seconds=median(one.seconds for one in decided) if decided else None,
        requests=median(one.requests for one in decided) if decided else None,
    )


def worse(points: float) -> World:
    return World(f"+{points:g} percentage points", candidate=always(BASE + points / 100))


def between(first: float, last: float, inside: float, outside: float) -> OfTime:
    return lambda at: inside if first < at <= last else outside


def climbing(first: float, last: float, seconds: float = 600) -> OfTime:
    return lambda at: first + (last - first) * min(at / seconds, 1.0)


EQUAL = World("equal", steps=(0.1, 0.5), seconds=3600)
NO_TRAFFIC = World("no traffic", traffic=False)
ERRORS = (World("equal, one step"), worse(0.5), worse(2), worse(5), worse(10), worse(30))
LATENCY = (
    World("1.1 times as slow", latencies=Latencies(scale=1.1)),
    World("1.5 times as slow", latencies=Latencies(scale=1.5)),
    World("twice as slow", latencies=Latencies(scale=2.0)),
    World("p99 four times as slow", latencies=p99_of_tail(4.0)),
)
OUTAGE = between(240, 300, 0.2, BASE)
RISING = climbing(0.005, 0.03)
BROKEN = tuple(
    replace(world, to_the_end=True)
    for world in (
        NO_TRAFFIC,
        World("outage of both: 20 % for 60 s", stable=OUTAGE, candidate=OUTAGE),
        World("weight 5 to 50 % while errors rise 0.5 to 3 %", RISING, RISING, climbing(0.05, 0.5)),
        World("each failure counted three times", retries=3),
        World("bursts of each version, CV 0.5", bursts=0.5),
        World("bursts of each version, CV 1", bursts=1.0),
        World("one burst of 20 % in the candidate, 10 s", candidate=between(240, 250, 0.2, BASE)),
        World("three times as slow in the first 30 s", cold=30),
        World("5 % errors in the first 30 s", candidate=between(0, 30, 0.05, BASE)),
    )
)
