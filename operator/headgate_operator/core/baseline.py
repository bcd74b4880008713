"""Container restarts from before a revision had the traffic: only what comes later counts against it.

Pod by pod: one that had failed while it loaded must not hide what another does under traffic.
"""

from __future__ import annotations

from headgate_operator.api.status import PodRestarts
from headgate_operator.core.view import View

MOST = 64
"""Pods that are listed, those with most restarts first. Only a revision of many more pods ever needs them all."""


def baseline(view: View, revision: str) -> tuple[PodRestarts, ...]:
    failed = [PodRestarts(pod.name, pod.restarts) for pod in view.pods(revision) if pod.restarts > 0]
    return tuple(sorted(failed, key=lambda one: (-one.restarts, one.pod))[:MOST])


def still_there(view: View, revision: str, before: tuple[PodRestarts, ...]) -> tuple[PodRestarts, ...]:
    """Without pods that were replaced."""
    if len(before) >= MOST:  # of a full list the last entry speaks for those that had no room
        return before
    names = {pod.name for pod in view.all_pods(revision)}
    return tuple(one for one in before if one.pod in names)


def restarts_since(view: View, revision: str, before: tuple[PodRestarts, ...]) -> int:
    """Of the pod that has most: a node that restarts takes one container of many pods down, and proves nothing."""
    known = {one.pod: one.restarts for one in before}
    unlisted = before[-1].restarts if len(before) >= MOST else 0
    return max((pod.restarts - known.get(pod.name, unlisted) for pod in view.pods(revision)), default=0)
