"""Evidence, tick by tick: what the pods' raw counters say at the end of each interval goes into the engine.

Memory only. A process that starts, a change of leader, a clock that jumps and a tick that comes too late all begin with
a baseline: the time before it counts as no data, and the engine goes on from the state that was checkpointed. What is
scraped between two ticks is not looked at.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from headgate_operator.core.observed import Pod
from headgate_operator.feeds.engines import Engine, Terms
from headgate_operator.feeds.intervals import interval_of, line
from headgate_operator.feeds.processes import Heard, Processes
from headgate_operator.feeds.tally import tally
from headgate_operator.ports import Key

log = logging.getLogger(__name__)

LATE = 3
"""Intervals that one tick may make up for. One that is later has seen too much of the day to be one stratum."""
CLOSEST = 0.5
"""Of an interval, between two ticks: after a late one the next comes at its own time, or not at all."""


P = TypeVar("P", bound=Terms)
S = TypeVar("S")


@dataclass(slots=True)
class _Following(Generic[S]):
    rollout: int
    arms: dict[str, str]
    state: S
    at: float
    ticked: datetime
    due: datetime
    processes: Processes = field(default_factory=Processes)


class Feed(Generic[P, S]):
    """`told` is given the outcome of each tick: both, one_arm, no_data, or anew for a baseline."""

    def __init__(self, engine: Engine[P, S], *, told: Callable[[str], None] = lambda _outcome: None) -> None:
        self._engine, self._told = engine, told
        self._following: dict[Key, _Following[S]] = {}

    def due(self, key: Key, now: datetime) -> bool:
        """Shall the pods be asked for their counters? `take` is then given the same `now`."""
        following = self._following.get(key)
        return following is None or now >= following.due or now < following.ticked

    def next(self, key: Key) -> datetime | None:
        following = self._following.get(key)
        return None if following is None else following.due

    def forget(self, key: Key) -> None:
        """The rollout is over, or the deployment gone."""
        self._following.pop(key, None)

    def take(
        self,
        key: Key,
        rollout_id: int,
        policy: P,
        checkpoint: S | None,
        arms: Mapping[str, str],  # the revision of each role
        pods: Iterable[Pod],
        now: datetime,
    ) -> S:
        """The state of the evidence at `now`; the same as before where no tick is due."""
        following = self._following.get(key)
        if following is None or (following.rollout, following.arms) != (rollout_id, dict(arms)):
            state = checkpoint if checkpoint is not None else self._engine.begin(policy)
            following = _Following(rollout_id, dict(arms), state, self._engine.seconds(state), now, now)
            self._following[key] = following
            self._begin_anew(key, following, policy, pods, now, "first look")
        elif now < following.ticked:
            self._begin_anew(key, following, policy, pods, now, "the clock was set back")
        elif now >= following.due:
            self._tick(key, following, policy, pods, now)
        return following.state

    def _tick(self, key: Key, following: _Following[S], policy: P, pods: Iterable[Pod], now: datetime) -> None:
        since, seconds = following.ticked, (now - following.ticked).total_seconds()
        following.at += seconds
        if seconds > LATE * policy.interval:
            self._begin_anew(key, following, policy, pods, now, f"no look for {seconds:.0f} s")
            return
        heard = list(_heard(pods, following.arms))
        increments = following.processes.increments(heard, since=since, at=now)
        interval = interval_of(increments, following.at, policy.bounds)
        following.state = self._engine.update(policy, following.state, interval)
        following.ticked, following.due = now, _next(following.due, now, policy.interval)
        told: dict[str, Any] = {"deployment": str(key), "rollout": following.rollout, "seconds": seconds}
        told |= line(interval) | {"processes": len(increments), "answers": len(heard)}
        log.info("evidence", extra=told)
        self._told(
            ("no_data", "one_arm", "both")[sum(arm is not None for arm in (interval.stable, interval.candidate))]
        )

    def _begin_anew(
        self, key: Key, following: _Following[S], policy: P, pods: Iterable[Pod], now: datetime, why: str
    ) -> None:
        following.processes.begin_anew(_heard(pods, following.arms), now)
        following.ticked, following.due = now, now + timedelta(seconds=policy.interval)
        told: dict[str, Any] = {"deployment": str(key), "rollout": following.rollout, "why": why, "t": following.at}
        log.info("evidence begins anew", extra=told | {"arms": following.arms} | self._engine.told(policy))
        self._told("anew")


def _heard(pods: Iterable[Pod], arms: Mapping[str, str]) -> Iterator[Heard]:
    """Of pods that say themselves that they are what their label says."""
    roles = {revision: role for role, revision in arms.items()}
    for pod in pods:
        traffic = pod.traffic or (pod.counters.traffic if pod.counters is not None else None)
        role = roles.get(pod.revision)
        if traffic is not None and role is not None and traffic.revision == pod.revision:
            yield Heard(
                role=role,
                pod=pod.uid or pod.name,
                start_id=traffic.start_id,
                tally=tally(traffic),
                uptime_seconds=traffic.uptime_seconds,
                ready=pod.ready,
                ready_since=pod.ready_since,
            )


def _next(due: datetime, now: datetime, interval: float) -> datetime:
    """On the grid of the first tick, so that late ticks do not make all later ones later."""
    steps = math.ceil((now - due).total_seconds() / interval + CLOSEST)
    return due + timedelta(seconds=interval * max(steps, 1))
