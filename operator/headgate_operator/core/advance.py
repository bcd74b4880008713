"""The decision of a pass: from the last status and what was seen to the next status. Pure, and the whole of it.

Rules are tried in order until none has anything to say; the summary (conditions, texts, counts) comes last. What is
decided here is written before anything is done about it, and what is done follows from what was written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headgate_operator.api.status import Status
from headgate_operator.core import (
    canary_rules,
    candidate_rules,
    clock_rules,
    command_rules,
    memory_rules,
    traffic_rules,
    webhooks,
)
from headgate_operator.core.ledger import recorded
from headgate_operator.core.settling import settled
from headgate_operator.core.summary import summarise
from headgate_operator.core.view import View

Rule = Callable[[View, Status], Status]

RULES: tuple[Rule, ...] = (
    memory_rules.remember_model,
    memory_rules.adopt,
    canary_rules.forget_approvals,
    command_rules.obey,
    memory_rules.forget_what_is_over,
    webhooks.record,
    canary_rules.follow_the_strategy,
    candidate_rules.keep_clock,
    traffic_rules.watch_readiness,
    traffic_rules.guard,
    traffic_rules.checkpoint_guard,
    traffic_rules.see_the_switch,
    candidate_rules.follow_the_wish,
    candidate_rules.return_to_previous,
    traffic_rules.end_keep_warm,
    traffic_rules.drain,
    traffic_rules.forget_previous,
    canary_rules.stop_at_zero,
    candidate_rules.give_up_failed,
    canary_rules.roll_back_on_evidence,
    candidate_rules.verify,
    candidate_rules.give_up_late,
    candidate_rules.switch,
    canary_rules.widen,
    canary_rules.follow_the_steps,
    canary_rules.reach_step,
    canary_rules.leave_step,
    canary_rules.end_inconclusive,
    canary_rules.checkpoint,
    candidate_rules.start,
)
ROUNDS = 100  # far more than any chain of rules; running out is a defect, and must not become a hot loop


class UndecidedError(AssertionError):
    """Two rules undo each other for ever: the pass fails loudly instead of writing."""


def advance(view: View, status: Status) -> Status:
    # Not a rule: nothing is decided by it, so nothing of it may be recorded as a decision.
    decided = clock_rules.come_back_from_the_future(view, replace(status, observed_generation=view.generation))
    for _ in range(ROUNDS):
        following = _first_change(view, decided)
        if following is None:
            told = summarise(view, canary_rules.with_evidence(view, status, decided))
            return settled(view, status, told)
        decided = recorded(view, decided, following)
    raise UndecidedError(f"{view.namespace}/{view.name}: no decision after {ROUNDS} rounds")


def _first_change(view: View, status: Status) -> Status | None:
    for rule in RULES:
        following = rule(view, status)
        if following != status:
            return following
    return None
