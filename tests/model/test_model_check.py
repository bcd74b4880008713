"""Every history of small worlds, breadth-first: the delivery engine breaks no rule, and always comes to rest.

A world has two or three model versions, one to three pods of each, and a ration of what users and accidents may do;
passes, pods, endpoints and time go on as they please. A pass may end after any of its writes, and anything may happen
between its look and its writes. What is found is printed as the shortest history that leads there.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from headgate_operator.api.spec import OnInconclusive, RolloutSpec, Step, Strategy
from modelcheck import engine
from modelcheck.beginnings import nothing, rationed, serving, undisturbed
from modelcheck.engine import CRASHES, DIGESTS_DIFFER, GOLDEN_FAILS, LOAD_FAILS, NEVER_READY, Operator
from modelcheck.events import World
from modelcheck.search import Found, Search
from modelcheck.state import State

BAD = [LOAD_FAILS, GOLDEN_FAILS, DIGESTS_DIFFER, CRASHES, NEVER_READY]


def world(second: str = engine.GOOD, **more: object) -> World:
    return World(operator=Operator({"2": second}), **more)  # type: ignore[arg-type]


def search(world: World, beginnings: list[State], *, at_most: int) -> Found:
    found = Search(world, most_states=at_most).run(*beginnings)
    print(f"{found.states} states, {found.steps} steps, {found.passes} passes, all of them: {found.exhausted}")
    assert found.counterexample is None, f"\n{found.counterexample}"
    return found


def test_no_two_accidents_and_no_user_break_a_rule_between_one_version_and_the_next() -> None:
    small = world()
    found = search(small, rationed([serving(small)], users=1, faults=2), at_most=12_000)
    assert found.states == 12_000


def test_a_single_pod_is_no_exception() -> None:
    small = world()
    found = search(small, rationed([serving(small, replicas=1)], users=1, faults=2), at_most=7_000)
    assert found.states == 7_000


def test_nothing_that_users_and_accidents_do_at_any_point_of_a_rollout_breaks_a_rule() -> None:
    small = world(accidents=("death", "edit", "loss", "registry", "absence"))
    path = rollout(small)
    assert len(path) > 12
    each = search(small, [*rationed(path, users=1), *rationed(path, faults=1)], at_most=12_000)
    assert each.exhausted
    search(small, rationed(path, users=1, faults=1), at_most=12_000)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_version_never_gets_traffic_and_the_last_good_one_goes_on_serving(bad: str) -> None:
    small = world(bad)
    each = search(small, rationed([serving(small)], users=1, faults=1), at_most=4_000)
    assert each.exhausted
    search(small, rationed([serving(small)], users=1, faults=2), at_most=3_000)


@pytest.mark.parametrize("first", [engine.GOOD, LOAD_FAILS, GOLDEN_FAILS])
def test_the_first_version_comes_to_serve_or_is_given_up(first: str) -> None:
    small = World(operator=Operator({"1": first}), accidents=("death", "registry"))
    search(small, rationed([nothing()], users=1, faults=1), at_most=6_000)


def test_users_may_scale_whenever_they_like() -> None:
    small = world(sizes=(0, 1, 2, 3), orders=(), accidents=("death",))
    path = rollout(small)
    once = search(small, rationed(path, users=1), at_most=6_000)
    assert once.exhausted
    search(small, rationed(path, users=2), at_most=5_000)


def test_users_may_change_their_minds_about_three_versions() -> None:
    small = world(versions=("1", "2", "3"), accidents=())
    search(small, rationed([serving(small, replicas=1)], users=3), at_most=5_000)


def test_users_may_pause_whenever_they_like() -> None:
    small = world(pauses=True, accidents=())
    search(small, rationed([serving(small, replicas=1)], users=3), at_most=4_000)


def test_a_switch_that_waits_for_its_time_is_no_exception() -> None:
    slow = RolloutSpec(keep_warm=timedelta(0), min_duration=timedelta(seconds=20))
    small = World(operator=Operator({}, slow), accidents=("death",))
    search(small, rationed([serving(small)], users=1, faults=1), at_most=6_000)


def rollout(world: World) -> list[State]:
    """From version 1 at rest to version 2 at rest, state by state."""
    return undisturbed(world, replace(serving(world), wanted="2"))


@pytest.mark.parametrize("strategy", [Strategy.CANARY, Strategy.ROLLING])
def test_sharing_the_traffic_breaks_no_rule(strategy: Strategy) -> None:
    small = World(operator=sharing(strategy), orders=("abort", "undo"), accidents=("death",))
    found = search(small, rationed([serving(small)], users=1, faults=1), at_most=6_000)
    assert found.exhausted or strategy is Strategy.ROLLING  # which has more states than can be told here
    search(small, rationed([serving(small)], users=2), at_most=3_000)


def test_a_canary_of_a_bad_version_gets_no_traffic() -> None:
    small = World(operator=sharing(Strategy.CANARY, GOLDEN_FAILS), orders=("abort", "promote"), accidents=("death",))
    found = search(small, rationed([serving(small)], users=1, faults=1), at_most=4_000)
    assert found.exhausted


def sharing(strategy: Strategy, second: str = engine.GOOD) -> Operator:
    """No pod tells of its traffic: a step ends because it has lasted, which is the same to whoever moves it."""
    step = timedelta(seconds=60)
    rollout = RolloutSpec(keep_warm=timedelta(minutes=10), max_duration=step, on_inconclusive=OnInconclusive.PROMOTE)
    if strategy is Strategy.CANARY:
        rollout = replace(rollout, steps=(Step(weight=50),))
    return Operator({"2": second}, rollout, strategy)
