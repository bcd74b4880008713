"""When a key wants to be looked at again without anybody waking it: pure, from what the last pass saw and decided."""

from __future__ import annotations

from datetime import datetime, timedelta

from headgate_operator.api.status import Candidate, Status
from headgate_operator.core import webhooks
from headgate_operator.core.analysis import least_duration
from headgate_operator.core.failures import deadline_runs
from headgate_operator.core.settling import TOLD_EVERY
from headgate_operator.core.sizes import in_steps
from headgate_operator.core.traffic_rules import BACKSTOP, GUARD_UNREADY
from headgate_operator.core.view import View
from headgate_operator.core.wanted import paused_by

POLL = 1.0
"""Pods are asked this often while something loads, switches or drains: their answers wake nobody."""
COLLECTION_POLL = 2.0
BLOCKED_POLL = 5.0
BUDGET_POLL = 30.0
"""Nobody tells when somebody else's disruption budget is gone."""


def next_wake(view: View, status: Status, resync: float) -> float:
    """Seconds, never more than `resync`."""
    waits = [resync, *_polls(view, status)]
    waits += [(moment - view.now).total_seconds() for moment in webhooks.moments(view, status)]
    waits += [max(0.0, (moment - view.now).total_seconds()) for moment in _moments(view, status)]
    if view.told_at is not None and view.now < view.told_at + TOLD_EVERY:  # what was held back is told then
        waits.append((view.told_at + TOLD_EVERY - view.now).total_seconds())
    return min(waits)


def _polls(view: View, status: Status) -> list[float]:
    polls = []
    if status.rollout is not None and status.candidate is None:
        polls.append(POLL)
    if status.candidate is not None and status.candidate.step is not None and status.candidate.step_started_at is None:
        polls.append(POLL if status.candidate.blocked_by is None else BLOCKED_POLL)
    if status.candidate is not None and status.candidate.verified_at is None:
        polls.append(POLL if status.candidate.blocked_by is None else BLOCKED_POLL)
    if status.candidate is not None and status.candidate.incomplete_since is not None:
        polls.append(BLOCKED_POLL)
    if status.previous is not None and status.previous.draining_since is not None:
        polls.append(POLL)
    if status.stable is not None and status.stable.unready_since is not None:
        polls.append(POLL)
    if status.stable is not None and any(not pod.ready for pod in view.pods(status.stable.revision)):
        polls.append(BLOCKED_POLL)
    if view.children.awaiting_collection or view.children.conflict:
        polls.append(COLLECTION_POLL)
    if view.children.budget_conflict:
        polls.append(BUDGET_POLL)
    return polls


def _moments(view: View, status: Status) -> list[datetime]:
    """Points in time at which a decision is due. Those that have passed are held by something else."""
    moments = [*_candidate_moments(view, status, status.candidate)] if status.candidate else []
    if status.previous is not None:
        if status.previous.warm_until is not None and status.previous.draining_since is None:
            moments.append(status.previous.warm_until)
        if status.previous.draining_since is not None:
            moments.append(status.previous.draining_since + BACKSTOP)
    if status.stable is not None and status.stable.unready_since is not None:
        moments.append(status.stable.unready_since + GUARD_UNREADY)
    return [moment for moment in moments if moment > view.now] if paused_by(view, status) else _due(moments, view.now)


def _due(moments: list[datetime], now: datetime) -> list[datetime]:
    # A moment that is over and still held by a gate must not become a hot loop: at least one poll in between.
    return [max(moment, now + timedelta(seconds=POLL)) if moment <= now else moment for moment in moments]


def _candidate_moments(view: View, status: Status, candidate: Candidate) -> list[datetime]:
    moments = []
    if candidate.verified_at is not None and not in_steps(status):
        moments.append(candidate.verified_at + view.policy.min_duration)
    if candidate.step is not None and candidate.step_started_at is not None:
        due = candidate.step_started_at + least_duration(view, status, candidate.step)
        moments += [
            moment for moment in (due, candidate.step_started_at + view.policy.max_duration) if moment > view.now
        ]
    if deadline_runs(candidate):
        left = view.policy.progress_deadline - timedelta(seconds=candidate.watched_seconds)
        moments.append(candidate.deadline_from + left)
    return moments
