"""From everywhere the world must come to rest, once nothing bad happens any more: the pods start, the endpoints follow,
the registry answers, nobody interferes. And where it rests, the wanted version serves, or the last good one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from modelcheck import oracle
from modelcheck.engine import GOOD, Acts, Pass, Saves, carry_out, saved, version_of
from modelcheck.events import World, progress, until_next_moment
from modelcheck.state import Budget, State, later
from modelcheck.telling import BrokenRuleError, told

MOST_STEPS = 120
LATE = "a moment that counts goes by, and the operator has not asked to look"
LATE_BY = 1.5  # seconds after a moment that counts by which the operator must have asked to look


class Patience:
    """Follows the benign schedule from a state until it meets a state that is known to come to its end."""

    def __init__(self, world: World, work: Callable[[State], Pass]) -> None:
        self._world, self._work = world, work
        self._good: set[tuple[object, ...]] = set()

    def ends(self, state: State) -> None:
        state = _calm(state)
        trail = [("from now on nothing bad happens", state)]
        keys = []
        while state.world() not in self._good:
            keys.append(state.world())
            state = replace(state, proven=oracle.proven(self._world.operator, state))
            try:
                step = following(self._world, state, self._work)
            except BrokenRuleError as broken:
                raise BrokenRuleError(broken.rule, (*trail, *broken.trail)) from None
            wrong = next(_at_rest(self._world, state), None) if step is None else None
            if step is not None and step[0] == LATE:
                wrong = LATE
            if step is not None and len(trail) > MOST_STEPS:
                wrong = f"no rest after {MOST_STEPS} steps"
            if wrong is not None:
                raise BrokenRuleError(wrong, tuple(trail))
            if step is None:
                break
            trail.append(step)
            state = step[1]
        self._good.update(keys)


def following(world: World, state: State, work: Callable[[State], Pass]) -> tuple[str, State] | None:
    """What comes next where nothing bad happens: the operator, then whatever is on its way, then time. None = rest."""
    done = work(state)
    if isinstance(done, Saves):
        return "the operator decides", saved(state, done)
    if done.writes:
        return f"the operator: {told(state, done)}", _carried_out(state, done)
    for step in progress(world, state):
        if not step.passed:
            return step.what, step.after
    wait = until_next_moment(world.operator, state)
    if wait is None:
        return None
    if world.operator.wake(state) > wait.total_seconds() + LATE_BY:
        return LATE, state
    return f"{wait.total_seconds():g} s pass", later(state, wait)


def _carried_out(state: State, done: Acts) -> State:
    state = replace(state, status=done.status)
    for write in done.writes:
        after = carry_out(state, write)
        assert after is not None, "nobody writes meanwhile, and a write is stale"
        state = after
    return state


def _calm(state: State) -> State:
    """Whatever users have asked for stays asked for, but for a pause, which may hold up everything."""
    return replace(state, paused=False, registry=True, budget=Budget(), replicas=max(1, state.replicas))


def _at_rest(world: World, state: State) -> Iterator[str]:
    status, how = state.status, world.operator.behaviours
    if status.rollout is not None or status.candidate is not None or status.previous is not None:
        yield "it rests in the middle of a rollout"
    rejected = {entry.version for entry in status.rejected}
    good = how.get(state.wanted, GOOD) == GOOD
    stable = status.stable
    if stable is None:
        if good and state.wanted not in rejected:
            yield f"version {state.wanted} is good and wanted, and nothing serves"
        return
    if stable.version != state.wanted and good and state.wanted not in rejected:
        yield f"version {state.wanted} is good and wanted, and version {stable.version} serves"
    if state.selected() != {stable.revision}:
        yield f"version {stable.version} is stable, and the public Service selects something else"
    if state.deployments() != {stable.revision: state.replicas}:
        sizes = {version_of(state, name): size for name, size in state.deployments().items()}
        yield f"at rest there are Deployments {sizes}"
    if how.get(stable.version, GOOD) == GOOD and state.ready(stable.revision) != state.replicas:
        yield f"{state.ready(stable.revision)} pods are ready at rest"
    if how.get(stable.version, GOOD) != GOOD:
        yield f"version {stable.version} serves, which is no good one"
