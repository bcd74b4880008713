"""A checker that finds nothing may be blind. So bugs are planted, one at a time, and each has to be found.

Each bug is what a hurried change of the engine could do. What is found is the shortest history that shows it: printed,
and its length asserted, since a longer one would mean that the search is not breadth-first or that a world lost a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from headgate_operator.api.spec import OnInconclusive, RolloutSpec, Step, Strategy
from headgate_operator.api.status import Phase, Rejected, Status
from headgate_operator.core import (
    advance,
    canary_rules,
    candidate_rules,
    failures,
    gates,
    memory_rules,
    plan,
    quarantine,
    render,
    sizes,
    traffic_rules,
    wake,
    wanted,
)
from headgate_operator.core.revision import Revision
from headgate_operator.core.view import View
from modelcheck import engine
from modelcheck.beginnings import rationed, serving, undisturbed
from modelcheck.engine import DIGESTS_DIFFER, GOLDEN_FAILS, GOOD, Operator
from modelcheck.events import World
from modelcheck.search import Search
from modelcheck.state import KEEP_WARM

Patch = pytest.MonkeyPatch


def without(rules: tuple[Any, ...], *left_out: Any) -> tuple[Any, ...]:
    return tuple(rule for rule in rules if rule not in left_out)


def instead(patch: Patch, rule: Callable[[View, Status], Status], other: Callable[[View, Status], Status]) -> None:
    patch.setattr(advance, "RULES", tuple(other if one is rule else one for one in advance.RULES))


def scale_down_before_the_switch_is_seen(patch: Patch) -> None:
    size = sizes._previous
    patch.setattr(sizes, "_previous", lambda view, role: size(view, role) if role is None or role.warm_until else 0)
    patch.setattr(plan, "_serves", lambda _view, _status, _obj: False)


def delete_while_endpoints_remain(patch: Patch) -> None:
    patch.setattr(View, "has_public_endpoints", lambda _view, _revision: False)
    patch.setattr(View, "switched", lambda view, revision: view.publicly_selected(revision))


def forget_quarantine(patch: Patch) -> None:
    patch.setattr(wanted, "entry_for", lambda _status, _revision: None)


def release_what_is_not_wanted(patch: Patch) -> None:
    patch.setattr(memory_rules, "trim", lambda status, wanted: replace(status, rejected=_about(status, wanted)))


def _about(status: Status, wanted: Revision | None) -> tuple[Rejected, ...]:
    return tuple(entry for entry in status.rejected if wanted is not None and entry.revision == wanted.hash)


def switch_without_verifying(patch: Patch) -> None:
    patch.setattr(candidate_rules, "READY_TO_SWITCH", (gates.not_paused, gates.unhindered))


def skip_the_golden_prediction(patch: Patch) -> None:
    patch.setattr(candidate_rules, "VERIFY", without(gates.VERIFY, gates.golden_passed))
    patch.setattr(failures, "CHECKS", without(failures.CHECKS, failures.golden_failure))


def skip_the_digest_check(patch: Patch) -> None:
    for name in ("VERIFY", "READY_TO_SWITCH"):
        patch.setattr(candidate_rules, name, without(getattr(gates, name), gates.digests_agree))
    patch.setattr(engine, "BEFORE_GOLDEN", without(gates.BEFORE_GOLDEN, gates.digests_agree))
    patch.setattr(failures, "CHECKS", without(failures.CHECKS, failures.digest_disagreement))


def return_to_a_rejected_version(patch: Patch) -> None:
    patch.setattr(quarantine, "is_rejected", lambda _status, _revision, _identity: False)


def drain_on_a_timer_alone(patch: Patch) -> None:
    patch.setattr(traffic_rules, "_idle", lambda _pod: True)


def destroy_twice_in_a_pass(patch: Patch) -> None:
    patch.setattr(plan, "_up_to_the_first_destruction", lambda writes: list(writes))


def select_the_candidate_at_once(patch: Patch) -> None:
    public = render.public_revision

    def hurried(view: View, status: Status) -> str:
        return status.candidate.revision if status.candidate is not None else public(view, status)

    patch.setattr(render, "public_revision", hurried)


def keep_the_previous_for_ever(patch: Patch) -> None:
    instead(patch, traffic_rules.forget_previous, lambda _view, status: status)


def forget_to_ask_for_a_look(patch: Patch) -> None:
    patch.setattr(wake, "_moments", lambda _view, _status: [])


def two_rules_that_undo_each_other(patch: Patch) -> None:
    def restless(_view: View, status: Status) -> Status:
        stable = status.stable
        if stable is None or status.previous is None:
            return status
        return replace(status, stable=replace(stable, replicas=1 - stable.replicas))

    patch.setattr(advance, "RULES", (*advance.RULES, restless))


def decide_again_what_was_decided(patch: Patch) -> None:
    """A decision that is another one when it is looked at again: each pass would write."""
    decide = advance.summarise

    def restless(view: View, status: Status) -> Status:
        told = decide(view, status)
        if told.stable is None:
            return told
        return replace(told, last_rollback_milliseconds=(told.last_rollback_milliseconds or 0) + 1)

    patch.setattr(advance, "summarise", restless)


def widen_before_the_old_pods_are_gone(patch: Patch) -> None:
    patch.setattr(render, "_may_be_wide", lambda _view, status: sizes.shares_traffic(status))
    patch.setattr(canary_rules, "WIDEN", (gates.verified,))
    patch.setattr(canary_rules, "make_way", lambda _view, status: _into_the_first_step(status))


def _into_the_first_step(status: Status) -> Status:
    assert status.candidate is not None
    assert status.rollout is not None
    entered = replace(status.candidate, step=0, weight=50)
    return replace(status, candidate=entered, rollout=replace(status.rollout, phase=Phase.CANARY))


def switch_to_a_candidate_that_is_not_complete(patch: Patch) -> None:
    patch.setattr(canary_rules, "REACH_STEP", ())
    patch.setattr(canary_rules, "LEAVE_STEP", ())


def forget_to_narrow_on_rollback(patch: Patch) -> None:
    public = render.public_revision
    patch.setattr(render, "public_revision", lambda view, status: None if view.wide else public(view, status))


def shrink_stable_before_the_candidate_is_there(patch: Patch) -> None:
    patch.setattr(sizes, "_kept_until_then", lambda _view, _status, _candidate, _wanted: 0)


PLANTED_IN_A_CANARY: list[tuple[Callable[[Patch], None], Strategy, str, int]] = [
    (
        widen_before_the_old_pods_are_gone,
        Strategy.CANARY,
        "the selector becomes wide while 3 revisions have pods (1, 2, 3)",
        6,
    ),
    (
        switch_to_a_candidate_that_is_not_complete,
        Strategy.CANARY,
        "traffic is decided to go from 3 ready pods to 1 of version 2",
        1,
    ),
    (forget_to_narrow_on_rollback, Strategy.CANARY, "it rests in the middle of a rollout", 21),
    (
        shrink_stable_before_the_candidate_is_there,
        Strategy.ROLLING,
        "version 1 is scaled from 3 to 2 pods, and traffic still reaches it",
        1,
    ),
]

PLANTED: list[tuple[Callable[[Patch], None], str, str, int]] = [
    (
        scale_down_before_the_switch_is_seen,
        GOOD,
        "version 1 is scaled from 2 to 0 pods, and traffic still reaches it",
        7,
    ),
    (delete_while_endpoints_remain, GOOD, "version 1 counts as drained, and traffic still reaches it", 12),
    (forget_quarantine, GOLDEN_FAILS, "default/iris: no decision after 100 rounds", 6),
    (release_what_is_not_wanted, GOLDEN_FAILS, "the quarantine forgets a version", 6),
    (switch_without_verifying, GOOD, "version 2 is decided to serve, and it has not shown that it can", 2),
    (skip_the_golden_prediction, GOLDEN_FAILS, "version 2 is decided to serve, and it has not shown that it can", 6),
    (skip_the_digest_check, DIGESTS_DIFFER, "version 2 is decided to serve, and it has not shown that it can", 6),
    (return_to_a_rejected_version, GOOD, "version 2 is rejected, and it is decided to serve", 10),
    (drain_on_a_timer_alone, GOOD, "version 1 counts as drained in the middle of requests", 11),
    (destroy_twice_in_a_pass, GOOD, "a pass makes 2 destructive writes", 6),
    (select_the_candidate_at_once, GOOD, "traffic moves before capacity is added", 3),
    (keep_the_previous_for_ever, GOOD, "it rests in the middle of a rollout", 18),
    (forget_to_ask_for_a_look, GOOD, "a moment that counts goes by, and the operator has not asked to look", 12),
    (two_rules_that_undo_each_other, GOOD, "default/iris: no decision after 100 rounds", 6),
    (decide_again_what_was_decided, GOOD, "deciding again changes the decision", 1),
]


@pytest.mark.parametrize(("bug", "second", "rule", "steps"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_bug_is_found(
    monkeypatch: Patch, bug: Callable[[Patch], None], second: str, rule: str, steps: int
) -> None:
    world = World(operator=Operator({"2": second}), accidents=("death",))
    beginning = serving(world)
    bug(monkeypatch)
    found = Search(world, most_states=4_000).run(*rationed([beginning], users=3))
    assert found.counterexample is not None, f"not found in {found.states} states"
    print(found.counterexample)
    assert (found.counterexample.rule, found.counterexample.length - 1) == (rule, steps)


@pytest.mark.parametrize(
    ("bug", "strategy", "rule", "steps"), PLANTED_IN_A_CANARY, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_bug_planted_in_a_canary_is_found(
    monkeypatch: Patch, bug: Callable[[Patch], None], strategy: Strategy, rule: str, steps: int
) -> None:
    minute = timedelta(seconds=60)
    policy = RolloutSpec(keep_warm=KEEP_WARM, max_duration=minute, on_inconclusive=OnInconclusive.PROMOTE)
    if strategy is Strategy.CANARY:
        policy = replace(policy, steps=(Step(weight=25),))
    world = World(
        operator=Operator({}, policy, strategy), versions=("1", "2", "3"), orders=("abort",), accidents=("death",)
    )
    path = undisturbed(world, replace(serving(world, replicas=3), wanted="2"))
    bug(monkeypatch)
    found = Search(world, most_states=6_000).run(*rationed(path, users=1))
    assert found.counterexample is not None, f"not found in {found.states} states"
    print(found.counterexample)
    assert (found.counterexample.rule, found.counterexample.length - 1) == (rule, steps)
