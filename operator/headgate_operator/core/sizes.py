"""How many pods each role shall have at this moment: a function of the status, so that every pass says the same.

Capacity comes before traffic and goes after it: a stable revision that shall shrink keeps its pods until those of the
candidate are there and have their share.
"""

from __future__ import annotations

from dataclasses import dataclass

from headgate_operator.api.spec import Capacity, Step, Strategy
from headgate_operator.api.status import Candidate, Phase, Previous, Status
from headgate_operator.core.view import View
from headgate_operator.core.weights import WHOLE, Split, least_stable, split


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    stable: int
    candidate: int
    previous: int


def sizes(view: View, status: Status) -> Sizes:
    stable, candidate = _stable_and_candidate(view, status)
    return Sizes(stable=stable, candidate=candidate, previous=_previous(view, status.previous))


def in_steps(status: Status) -> bool:
    """Whether the rollout shares the traffic out step by step. Without a stable revision there is nothing to share."""
    rollout = status.rollout
    return status.stable is not None and rollout is not None and rollout.strategy in {Strategy.CANARY, Strategy.ROLLING}


def shares_traffic(status: Status) -> bool:
    return status.rollout is not None and status.rollout.phase is Phase.CANARY


def can_return(view: View, status: Status) -> bool:
    """Traffic is never taken from pods that answer and given to none. Where nobody answers, nothing is taken."""
    stable, candidate = status.stable, status.candidate
    if stable is None:
        return False
    return view.ready_pods(stable.revision) > 0 or (candidate is not None and view.ready_pods(candidate.revision) == 0)


def last_step(view: View, status: Status) -> int:
    """The number of the step after which the candidate gets everything."""
    rollout = status.rollout
    if rollout is not None and rollout.strategy == Strategy.ROLLING:
        return max(0, view.spec.replicas - 1)
    return len(view.policy.steps) - 1


def at_step(view: View, status: Status, step: int) -> Split:
    """The pods of a step, once it is in force. Steps that the spec no longer has are the last one."""
    replicas, step = view.spec.replicas, min(step, last_step(view, status))
    if status.rollout is not None and status.rollout.strategy == Strategy.ROLLING:
        return Split(replicas - step - 1, step + 1)
    return split(view.policy.capacity, replicas, step_at(view, status, step).weight)


def step_at(view: View, status: Status, step: int) -> Step:
    if status.rollout is not None and status.rollout.strategy == Strategy.ROLLING:
        return Step(weight=WHOLE * (step + 1) // max(1, view.spec.replicas))
    return view.policy.steps[min(step, last_step(view, status))]


def following_step(candidate: Candidate) -> int:
    return 0 if candidate.step is None else candidate.step + 1


def _stable_and_candidate(view: View, status: Status) -> tuple[int, int]:
    replicas, candidate = view.spec.replicas, status.candidate
    if replicas == 0 or candidate is None:
        return replicas, 0
    if not in_steps(status):
        return replicas, replicas
    if candidate.step is None:
        return replicas, at_step(view, status, 0).candidate
    now = at_step(view, status, candidate.step)
    return max(now.stable, _kept_until_then(view, status, candidate, now.candidate)), now.candidate


def _kept_until_then(view: View, status: Status, candidate: Candidate, wanted: int) -> int:
    """The stable pods that are still needed: until the candidate has its `wanted` pods, and where it loses some before
    the others are gone."""
    if candidate.step is None:
        return 0
    before = view.spec.replicas if candidate.step == 0 else at_step(view, status, candidate.step - 1).stable
    if candidate.step_started_at is None:
        return before
    stable = view.deployment(status.stable.revision) if status.stable is not None else None
    if stable is None or view.ready_pods(candidate.revision) >= wanted:
        return 0
    return min(before, stable.wanted)


def _previous(view: View, previous: Previous | None) -> int:
    """Warm, it follows spec.replicas: going back must never mean fewer pods. Draining, it does not grow any more."""
    if previous is None or previous.drained:
        return 0
    if previous.draining_since is not None or view.policy.capacity is Capacity.ECONOMICAL:
        return min(previous.replicas, view.spec.replicas)
    return view.spec.replicas


def returns_with(view: View, previous: Previous) -> int:
    """How many ready pods the previous revision must have for traffic to go back to it at once."""
    if view.policy.capacity is Capacity.ECONOMICAL:
        return min(view.spec.replicas, max(previous.replicas, least_stable(Capacity.ECONOMICAL, view.spec.replicas)))
    return view.spec.replicas
