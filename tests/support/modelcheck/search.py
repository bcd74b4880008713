"""Breadth-first over everything that can happen: the first broken rule found has the shortest history there is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from headgate_operator.core.plan import Write
from modelcheck import oracle
from modelcheck.benign import Patience
from modelcheck.engine import Acts, Pass, Saves, carry_out, saved
from modelcheck.events import Step, World, happenings
from modelcheck.state import State
from modelcheck.telling import BrokenRuleError, describe, of_write, told


@dataclass(frozen=True, slots=True)
class Counterexample:
    rule: str
    history: tuple[tuple[str, State], ...]  # what happened, and how the world was then

    @property
    def length(self) -> int:
        return len(self.history)

    def __str__(self) -> str:
        lines = [f"{number:3}. {what}\n     {describe(state)}" for number, (what, state) in enumerate(self.history)]
        return "\n".join([f"After {self.length - 1} steps: {self.rule}", *lines])


@dataclass(slots=True)
class Found:
    """What a search has seen."""

    states: int = 0
    steps: int = 0
    passes: int = 0
    exhausted: bool = True  # False: it stopped at its size
    counterexample: Counterexample | None = None


Key = tuple[object, ...]


@dataclass(slots=True)
class Search:
    world: World
    most_states: int = 20_000
    found: Found = field(default_factory=Found)
    _origins: dict[Key, tuple[Key | None, str, State]] = field(default_factory=dict)
    _passes: dict[Key, Pass] = field(default_factory=dict)

    def run(self, *beginnings: State) -> Found:
        """First all that may never happen, nearest first; then that every state that was met comes to its end."""
        frontier: deque[tuple[Key, State]] = deque()
        for state in beginnings:
            self._meet(frontier, None, "the beginning", state)
        key: Key | None = None
        try:
            while frontier:
                key, state = frontier.popleft()
                for step in self._steps(state):
                    self.found.steps += 1
                    self._meet(frontier, key, step.what, step.after)
            patience = Patience(self.world, self._work)
            for key, (_, _, state) in self._origins.items():  # noqa: B007 - for the history, where one does not end
                patience.ends(state)
        except BrokenRuleError as broken:
            self.found.counterexample = Counterexample(broken.rule, (*self._history(key), *broken.trail))
        self.found.states = len(self._origins)
        self.found.passes = len(self._passes)
        return self.found

    def _meet(self, frontier: deque[tuple[Key, State]], origin: Key | None, what: str, state: State) -> None:
        key = (*state.world(), state.budget)
        if key in self._origins:
            return
        if len(self._origins) >= self.most_states:
            self.found.exhausted = False
            return
        self._origins[key] = (origin, what, state)
        frontier.append((key, state))

    def _history(self, key: Key | None) -> tuple[tuple[str, State], ...]:
        steps = []
        while key is not None:
            origin, what, state = self._origins[key]
            steps.append((what, state))
            key = origin
        return tuple(reversed(steps))

    # --- what can follow ----------------------------------------------------------------------------------------------

    def _steps(self, state: State) -> Iterator[Step]:
        events = list(happenings(self.world, state))
        yield from events
        seen = replace(state, proven=oracle.proven(self.world.operator, state))
        done = self._work(seen)
        if isinstance(done, Saves):
            yield from self._saved(seen, done, events)
        else:
            yield from self._acted(seen, done, events)

    def _work(self, state: State) -> Pass:
        """What a pass over this state does; every decision and every plan is judged once."""
        key = state.world()
        if key not in self._passes:
            try:
                done = self._passes[key] = self.world.operator.work(state)
            except AssertionError as error:
                raise BrokenRuleError(str(error), (("the operator looks", state),)) from error
            if isinstance(done, Saves):
                what = "the operator decides"
                self._judge(oracle.of_a_decision(state, done.status), (what, replace(state, status=done.status)))
            else:
                self._judge(oracle.of_a_pass(state, done.writes), (f"the operator plans {told(state, done)}", state))
        return self._passes[key]

    def _saved(self, seen: State, done: Saves, events: list[Step]) -> Iterator[Step]:
        yield Step("the operator decides", saved(seen, done))
        for event in self._meanwhile(seen, events):
            if not event.of_the_object:
                after = saved(replace(event.after, proven=seen.proven), done)
                yield Step(f"the operator looks; {event.what}; the operator decides by what it saw", after)

    def _acted(self, seen: State, done: Acts, events: list[Step]) -> Iterator[Step]:
        seen_and_told = replace(seen, status=done.status)
        states = [seen_and_told]
        for write in done.writes:
            states.append(self._written(seen, states[-1], write, ""))
        if not done.writes:
            return
        yield Step(f"the operator: {told(seen, done)}", states[-1])
        if seen.budget.faults == 0:
            return
        spent = seen.budget._replace(faults=seen.budget.faults - 1)
        for number, state in enumerate(states[1:-1], start=1):
            what = told(seen, Acts(done.status, done.writes[:number]))
            crashed = replace(state, budget=spent, watched=timedelta(0))
            yield Step(f"the operator: {what}; there it crashes", crashed)
        for number in range(len(done.writes)):
            yield from self._interrupted(seen, states[number], done, number, events)

    def _interrupted(self, seen: State, state: State, done: Acts, number: int, events: list[Step]) -> Iterator[Step]:
        """Something happens after `number` writes, and the pass goes on without knowing it."""
        for event in self._meanwhile(seen, events):
            after = _merged(seen, state, event.after)
            if after is None:
                continue
            after = replace(after, proven=seen.proven)
            before = told(seen, Acts(done.status, done.writes[:number])) or "looks"
            for write in done.writes[number:]:
                following = self._written(seen, after, write, f"{before}; {event.what}")
                if following is after:
                    break
                after = following
            rest = told(seen, Acts(done.status, done.writes[number:]))
            yield Step(f"the operator: {before}; {event.what}; {rest}", after)

    def _meanwhile(self, seen: State, events: list[Step]) -> Iterator[Step]:
        """An event in the middle of a pass costs one accident, whatever it is."""
        if seen.budget.faults == 0:
            return
        for event in events:
            if not event.passed and event.after.budget.faults == seen.budget.faults:
                budget = replace_faults(event.after)
                yield replace(event, after=budget)

    def _written(self, seen: State, before: State, write: Write, meanwhile: str) -> State:
        """`before` itself where the write is refused as stale."""
        after = carry_out(before, write)
        if after is None:
            return before
        what = f"the operator: {meanwhile + '; ' if meanwhile else ''}{of_write(before, write)}"
        self._judge(oracle.of_a_write(seen, before, after, write), (what, after))
        return after

    def _judge(self, broken: Iterator[str], last: tuple[str, State]) -> None:
        rule = next(broken, None)
        if rule is not None:
            raise BrokenRuleError(rule, (last,))


def replace_faults(state: State) -> State:
    return replace(state, budget=state.budget._replace(faults=state.budget.faults - 1))


def _merged(seen: State, state: State, event: State) -> State | None:
    """`event` happened to `seen`, and shall have happened to `state`, which some writes have led to. Only changes of
    what no write touches can be moved; None = another kind."""
    if event.objects != seen.objects or event.pods != seen.pods:
        if state is not seen and (state.objects, state.pods) != (seen.objects, seen.pods):
            return None
        return replace(event, status=state.status) if event.status == seen.status else None
    return replace(
        event,
        objects=state.objects,
        pods=state.pods,
        status=state.status if event.status == seen.status else event.status,
    )
