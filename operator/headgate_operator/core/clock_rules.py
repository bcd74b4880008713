"""A wall clock that was set back, or a successor whose clock is behind: what status dates in the future was just now.

Else every wait that status knows the beginning of would last for as much longer as the clock went back. Nothing comes
early by it: what had already been waited for is waited for again.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from headgate_operator.api.status import Candidate, Pause, Previous, Rollout, Stable, Status, WebhookStatus
from headgate_operator.core.view import View
from headgate_operator.core.webhooks import LONGEST_WAIT

TOLERATED = timedelta(seconds=5)
"""Clocks of two machines differ by this much at rest; a takeover must not be a reason to write."""

Dated = TypeVar("Dated", Stable, Candidate, Previous, Rollout, Pause, WebhookStatus)
_TO_COME = frozenset({"warm_until", "again"})
"""Times that lie in the future when they are written."""


def come_back_from_the_future(view: View, status: Status) -> Status:
    webhooks = tuple(_asked_again_in_time(result, view.now) for result in status.webhooks)
    mended = replace(
        status,
        stable=_at_present(status.stable, view.now),
        candidate=_at_present(status.candidate, view.now),
        previous=_warm_no_longer_than_granted(view, status, _at_present(status.previous, view.now)),
        rollout=_approved_by_now(_at_present(status.rollout, view.now), view.now),
        pause=_at_present(status.pause, view.now),
        webhooks=webhooks,
    )
    return status if mended == status else mended


def _is_future(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment - now > TOLERATED


def _at_present(dated: Dated | None, now: datetime) -> Dated | None:
    if dated is None:
        return None
    values = ((field.name, getattr(dated, field.name)) for field in fields(dated) if field.name not in _TO_COME)
    wrong: dict[str, Any] = {
        name: now for name, value in values if isinstance(value, datetime) and _is_future(value, now)
    }
    return replace(dated, **wrong) if wrong else dated


def _approved_by_now(rollout: Rollout | None, now: datetime) -> Rollout | None:
    if rollout is None or not any(_is_future(given.at, now) for given in rollout.approvals):
        return rollout
    approvals = tuple(replace(given, at=now) if _is_future(given.at, now) else given for given in rollout.approvals)
    return replace(rollout, approvals=approvals)


def _warm_no_longer_than_granted(view: View, status: Status, previous: Previous | None) -> Previous | None:
    """The rollout that left it warm is the newest of history: dated in the future it says that the clock went back."""
    ended = status.history[-1].at if status.history else None
    if previous is None or previous.warm_until is None or not _is_future(ended, view.now):
        return previous
    return replace(previous, warm_until=min(previous.warm_until, view.now + view.policy.keep_warm))


def _asked_again_in_time(result: WebhookStatus, now: datetime) -> WebhookStatus:
    if not _is_future(result.at, now):
        return result
    again = None if result.again is None else min(result.again, now + LONGEST_WAIT)
    return replace(result, at=now, again=again)
