"""Where searches begin: at rest, and at every point of a rollout that nothing disturbs."""

from __future__ import annotations

from dataclasses import replace

from modelcheck import oracle
from modelcheck.benign import following
from modelcheck.engine import version_of
from modelcheck.events import World
from modelcheck.state import Budget, State

LONGEST = 200


def nothing(*, replicas: int = 2, version: str = "1") -> State:
    return State(replicas=replicas, wanted=version)


def serving(world: World, *, replicas: int = 2, version: str = "1") -> State:
    """At rest on a good version."""
    state = undisturbed(world, nothing(replicas=replicas, version=version))[-1]
    assert state.status.stable is not None
    assert {version_of(state, name) for name in state.selected()} == {version}
    return state


def undisturbed(world: World, state: State) -> list[State]:
    """The state and all that follow it, until the world is at rest."""
    states = [state]
    for _ in range(LONGEST):
        state = replace(state, proven=oracle.proven(world.operator, state))
        step = following(world, state, world.operator.work)
        if step is None:
            return [*states[:-1], state]
        state = step[1]
        states.append(state)
    raise AssertionError(f"no rest after {LONGEST} steps")


def rationed(states: list[State], *, users: int = 0, faults: int = 0) -> list[State]:
    return [replace(state, budget=Budget(users, faults)) for state in states]
