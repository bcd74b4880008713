"""What webhooks are asked and told, and when; and what becomes of their answers.

Before a promotion each one has to say yes; whoever says no, or nothing, is asked again later, for as long as the
candidate waits. Silence is no verdict: nothing is promoted and nothing rolled back by it. Of a rollback they are told,
a few times at most, and nothing waits for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from headgate_operator.api.durations import format_time
from headgate_operator.api.reasons import Reason
from headgate_operator.api.status import (
    FAILED,
    Candidate,
    HistoryEntry,
    RolloutReason,
    Status,
    WebhookOutcome,
    WebhookStatus,
)
from headgate_operator.api.webhooks import WebhookSpec, When
from headgate_operator.core.replies import Replied, Reply
from headgate_operator.core.view import Trouble, View

LONGEST_MESSAGE = 256
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=5)
TOLD_AT_MOST = 6
"""Tries to tell of a rollback; about three minutes in all."""
NEWS = timedelta(minutes=10)
"""A rollback that is older is told to nobody: neither to a webhook that is new nor after a long absence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    id: str  # the same at every attempt: a receiver can tell that it has seen it
    attempt: int
    hook: WebhookSpec
    namespace: str
    facts: Mapping[str, Any]


def due(view: View, status: Status, *, promotion_is_next: bool) -> tuple[Question, ...]:
    """What is to be asked and told at this moment. `promotion_is_next`: everything else has been shown."""
    open_ones = (_question(view, status, hook) for hook in view.spec.webhooks)
    return tuple(
        question
        for question in open_ones
        if question is not None and (promotion_is_next or question.hook.when is When.ON_ROLLBACK)
    )


def record(view: View, status: Status) -> Status:
    """The answers of this pass, and nothing of webhooks and rollouts that are gone."""
    results = {result.name: result for result in status.webhooks if _matters(view, status, result)}
    for hook in view.spec.webhooks:
        question = _question(view, status, hook)
        reply = view.replies.get((question.id, question.attempt)) if question is not None else None
        about = _about(view, status, hook)
        if question is not None and reply is not None and about is not None:
            results[hook.name] = _result(view, question, reply, about)
    recorded = tuple(results[hook.name] for hook in view.spec.webhooks if hook.name in results)
    return status if recorded == status.webhooks else replace(status, webhooks=recorded)


def webhooks_approve(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    """A gate: the last before the candidate gets all the traffic."""
    if not _wants_approval(status):
        return None
    for hook in view.spec.webhooks:
        if hook.when is When.BEFORE_PROMOTION and (why := _withheld(view, status, hook)) is not None:
            return Trouble(Reason.WAITING_FOR_WEBHOOK, f"webhook {hook.name} {why}")
    return None


def moments(view: View, status: Status) -> list[datetime]:
    """When somebody is asked again. What is past is held by something else, and comes with that."""
    return [result.again for result in status.webhooks if result.again is not None and result.again > view.now]


def _withheld(view: View, status: Status, hook: WebhookSpec) -> str | None:
    result = _result_of(status, hook, _about(view, status, hook))
    if result is None:
        return "is asked"
    if result.outcome is WebhookOutcome.APPROVED:
        return None
    what = "does not approve" if result.outcome is WebhookOutcome.REFUSED else "gives no answer"
    why = f": {result.message}" if result.message else ""
    again = f"; it is asked again at {format_time(result.again)}" if result.again else ""
    return f"{what}{why}{again}"


def _about(view: View, status: Status, hook: WebhookSpec) -> int | None:
    """The rollout that this webhook is asked or told about now."""
    if hook.when is When.BEFORE_PROMOTION:
        return status.rollout.id if status.rollout is not None and _wants_approval(status) else None
    ended = _rolled_back(view, status)
    return ended.rollout if ended is not None else None


def _wants_approval(status: Status) -> bool:
    """Nobody is asked before the first version, nor when a person goes back."""
    if status.candidate is None or status.stable is None or status.rollout is None:
        return False
    return status.rollout.reason is not RolloutReason.UNDO


def _rolled_back(view: View, status: Status) -> HistoryEntry | None:
    entry = next((entry for entry in reversed(status.history) if entry.outcome in FAILED), None)
    return entry if entry is not None and view.now - entry.at <= NEWS else None


def _matters(view: View, status: Status, result: WebhookStatus) -> bool:
    """Kept for people until the next rollout has an answer of its own, or the webhook is gone."""
    hook = next((hook for hook in view.spec.webhooks if hook.name == result.name), None)
    return hook is not None and hook.when is result.when and _about(view, status, hook) in {None, result.rollout}


def _result_of(status: Status, hook: WebhookSpec, about: int | None) -> WebhookStatus | None:
    found = (result for result in status.webhooks if (result.name, result.when) == (hook.name, hook.when))
    return next((result for result in found if result.rollout == about), None)


def _question(view: View, status: Status, hook: WebhookSpec) -> Question | None:
    about = _about(view, status, hook)
    if about is None:
        return None
    before = _result_of(status, hook, about)
    if before is not None and (before.again is None or view.now < before.again):
        return None
    return Question(
        id=f"{view.uid}/{about}/{hook.name}",
        attempt=before.attempts + 1 if before is not None else 1,
        hook=hook,
        namespace=view.namespace,
        facts=_facts(view, status, hook, about),
    )


def _result(view: View, question: Question, reply: Reply, about: int) -> WebhookStatus:
    outcome = _outcome(question.hook, reply)
    wait = min(FIRST_WAIT * 2 ** min(question.attempt - 1, 10), LONGEST_WAIT)
    settled = outcome in {WebhookOutcome.APPROVED, WebhookOutcome.DELIVERED}
    given_up = question.hook.when is When.ON_ROLLBACK and question.attempt >= TOLD_AT_MOST
    return WebhookStatus(
        name=question.hook.name,
        when=question.hook.when,
        rollout=about,
        outcome=outcome,
        attempts=question.attempt,
        at=view.now,
        again=None if settled or given_up else view.now + wait,
        message=reply.message[:LONGEST_MESSAGE] or None,
    )


def _outcome(hook: WebhookSpec, reply: Reply) -> WebhookOutcome:
    if not isinstance(reply, Replied):
        return WebhookOutcome.NO_ANSWER
    if hook.when is When.ON_ROLLBACK:
        return WebhookOutcome.DELIVERED
    return WebhookOutcome.APPROVED if reply.approve else WebhookOutcome.REFUSED


def _facts(view: View, status: Status, hook: WebhookSpec, about: int) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "when": str(hook.when),
        "namespace": view.namespace,
        "name": view.name,
        "model": view.spec.model.name,
        "rollout": about,
    }
    rollout, ended = status.rollout, _rolled_back(view, status)
    if hook.when is When.BEFORE_PROMOTION and rollout is not None:
        facts |= _ends(rollout.from_, rollout.from_revision, rollout.to, rollout.to_revision)
        facts["reason"] = str(rollout.reason)
    elif ended is not None:
        facts |= _ends(ended.from_, ended.from_revision, ended.to, ended.to_revision)
        facts |= {"outcome": str(ended.outcome), "message": ended.message or ""}
    return facts


def _ends(from_: str | None, from_revision: str | None, to: str, to_revision: str) -> dict[str, Any]:
    return {
        "from": {"version": from_, "revision": from_revision} if from_ else None,
        "to": {"version": to, "revision": to_revision},
    }
