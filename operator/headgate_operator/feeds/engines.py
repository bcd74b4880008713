"""What learns from intervals: the comparison of two arms, and the guard of one arm that serves alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from headgate_operator.api.evidence import EvidenceState, GuardState
from headgate_operator.core.evidence import cases, engine, guard
from headgate_operator.core.evidence.guard import GuardPolicy
from headgate_operator.core.evidence.interval import Interval
from headgate_operator.core.evidence.policy import EvidencePolicy


class Terms(Protocol):
    @property
    def interval(self) -> float: ...

    @property
    def bounds(self) -> tuple[float, ...]:
        """The ladder that latencies are compared on; empty where they are not."""
        ...


TakesTerms = TypeVar("TakesTerms", contravariant=True)
State = TypeVar("State")


class Engine(Protocol[TakesTerms, State]):
    def begin(self, policy: TakesTerms) -> State: ...
    def update(self, policy: TakesTerms, state: State, interval: Interval) -> State: ...
    def seconds(self, state: State) -> float:
        """The end of the last interval."""
        ...

    def told(self, policy: TakesTerms) -> dict[str, Any]:
        """What the log says of the terms, in the words of `headgate replay`."""
        ...


class TwoArms:
    def begin(self, policy: EvidencePolicy) -> EvidenceState:
        return engine.begin(policy)

    def update(self, policy: EvidencePolicy, state: EvidenceState, interval: Interval) -> EvidenceState:
        return engine.update(policy, state, interval)

    def seconds(self, state: EvidenceState) -> float:
        return float(state.seconds)

    def told(self, policy: EvidencePolicy) -> dict[str, Any]:
        return cases.told(policy)


@dataclass(frozen=True, slots=True)
class GuardTerms:
    policy: GuardPolicy
    interval: float = 10.0
    bounds: tuple[float, ...] = ()


class OneArm:
    """Of the role `stable`: the version that serves alone after a switch."""

    def begin(self, policy: GuardTerms) -> GuardState:
        return guard.begin(policy.policy)

    def update(self, policy: GuardTerms, state: GuardState, interval: Interval) -> GuardState:
        return guard.update(policy.policy, state, interval.stable)

    def seconds(self, state: GuardState) -> float:  # noqa: ARG002
        return 0.0

    def told(self, policy: GuardTerms) -> dict[str, Any]:
        return {"interval_s": policy.interval, "guard": asdict(policy.policy)}
