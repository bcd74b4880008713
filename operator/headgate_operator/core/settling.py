"""Counts that change all the time are written now and then; what is decided is written at once.

A candidate whose readiness flaps would else cost a status write a flap, and every watcher of the object a wake-up. The
first change is told at once, so that at most what follows within seconds is old.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from headgate_operator.api.reasons import ConditionType, Reason
from headgate_operator.api.status import Candidate, Status
from headgate_operator.core.sizes import shares_traffic
from headgate_operator.core.view import View

TOLD_EVERY = timedelta(seconds=10)


def settled(view: View, before: Status, after: Status) -> Status:
    """`before`, where `after` only counts otherwise and the last write that did no more was a moment ago."""
    held_back = view.told_at is not None and timedelta(0) <= view.now - view.told_at < TOLD_EVERY
    return before if held_back and only_told(before, after) else after


def only_told(before: Status, after: Status) -> bool:
    """They differ in nothing that is remembered, and in no condition's status."""
    return before != after and _remembered(before, before) == _remembered(before, after)


def _remembered(before: Status, status: Status) -> Status:
    stable, candidate = status.stable, status.candidate
    return replace(
        status,
        conditions=tuple(
            replace(one, message="", reason=Reason.NOTHING_TO_DO if one.type in _IN_WORDS else one.reason)
            for one in status.conditions
        ),
        stable=replace(stable, replicas=0, ready_replicas=0) if stable is not None else None,
        candidate=_candidate(before, candidate) if candidate is not None and shares_traffic(status) else candidate,
        ready=None,
        replicas=0,
    )


_IN_WORDS = {ConditionType.PROGRESSING}
"""Its reason is the gate that holds the candidate: a pod that comes and goes changes it each time."""


def _candidate(before: Status, candidate: Candidate) -> Candidate:
    """Only under traffic: until then a pod that is lost undoes the verification, and the count is what says so."""
    told = replace(candidate, replicas=0, ready_replicas=0, waiting_for=None)
    if before.candidate is None or before.candidate.incomplete_since is not None:
        return told
    # Its pods are incomplete from now on: a deadline may begin some seconds late. It must never go on counting through
    # a moment in which they were complete, so that this moment is written at once.
    return replace(told, incomplete_since=None, deadline_from=told.started_at, watched_seconds=0)
