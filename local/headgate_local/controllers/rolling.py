"""The arithmetic of a rolling update: how many pods more, how many fewer, in which ReplicaSet.

Pure numbers in, numbers out, after the upstream Deployment controller: percentages round up for surge and down for
unavailability, and a paused or running rollout is scaled in proportion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Fence:
    """What a rollout may not cross."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        return self.replicas - self.unavailable


@dataclass(frozen=True)
class Size:
    """One ReplicaSet as the arithmetic sees it; `most_before` is its max-replicas annotation."""

    name: str
    replicas: int
    available: int
    created: str
    most_before: int | None = None


def fence(*, replicas: int, max_surge: int | str, max_unavailable: int | str) -> Fence:
    surge = _scaled(max_surge, replicas, up=True)
    unavailable = _scaled(max_unavailable, replicas, up=False)
    if surge == 0 and unavailable == 0:
        # Rounding may leave no room at all; without this the rollout would stand still for ever.
        unavailable = 1
    return Fence(replicas=replicas, surge=surge, unavailable=min(unavailable, replicas))


def _scaled(value: int | str, total: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        return int(value)
    # Integer arithmetic: 0.07 * 100 in floats rounds up to 8.
    product = int(value[:-1]) * total
    return -(-product // 100) if up else product // 100


def grow_new(fence: Fence, *, new: int, total: int) -> int:
    """The new ReplicaSet's size after one step up; `total` counts every ReplicaSet's wanted pods, new included."""
    if total >= fence.most:
        return new
    return new + min(fence.most - total, fence.replicas - new)


def shrink_old(fence: Fence, *, new: Size, old: Sequence[Size]) -> dict[str, int]:
    """Smaller sizes of old ReplicaSets: unhealthy pods first, then as many as availability allows."""
    ordered = sorted(old, key=lambda size: (size.created, size.name))
    total = new.replicas + sum(size.replicas for size in ordered)
    room = total - fence.least_available - (new.replicas - new.available)
    if room <= 0:
        return {}
    after, cleaned = _without_unhealthy(ordered, room)
    spare = new.available + sum(size.available for size in ordered) - fence.least_available
    # Availability counts come from status and may be older than the sizes: `room` bounds both steps together.
    spare = min(spare, room - cleaned)
    result: list[Size] = []
    for size in after:
        taken = min(size.replicas, max(0, spare))
        spare -= taken
        result.append(replace(size, replicas=size.replicas - taken))
    before = {size.name: size.replicas for size in ordered}
    return {size.name: size.replicas for size in result if size.replicas != before[size.name]}


def _without_unhealthy(ordered: Sequence[Size], room: int) -> tuple[list[Size], int]:
    taken, after = 0, []
    for size in ordered:
        unhealthy = max(0, size.replicas - size.available)
        step = min(room - taken, unhealthy, size.replicas)
        taken += step
        after.append(replace(size, replicas=size.replicas - step))
    return after, taken


def proportional(fence: Fence, sizes: Sequence[Size], *, deployment_replicas_before: int) -> dict[str, int]:
    """Sizes of all active ReplicaSets when a Deployment is scaled in the middle of a rollout."""
    allowed = fence.most if fence.replicas > 0 else 0
    to_add = allowed - sum(size.replicas for size in sizes)
    if to_add >= 0:
        ordered = sorted(sorted(sizes, key=lambda s: s.created, reverse=True), key=lambda s: -s.replicas)
    else:
        ordered = sorted(sorted(sizes, key=lambda s: s.created), key=lambda s: -s.replicas)
    added, result = 0, {}
    for size in ordered:
        step = 0
        if to_add and size.replicas and added != to_add:
            share = _share(fence, size, deployment_replicas_before)
            step = min(share, to_add - added) if to_add > 0 else max(share, to_add - added)
        result[size.name] = size.replicas + step
        added += step
    if ordered and to_add:
        first = ordered[0].name
        result[first] = max(0, result[first] + to_add - added)
    return result


def _share(fence: Fence, size: Size, deployment_replicas_before: int) -> int:
    if fence.replicas == 0:
        return -size.replicas
    before = size.most_before or deployment_replicas_before
    if not before:
        return 0
    wanted = size.replicas * fence.most / before
    return math.floor(wanted + 0.5) - size.replicas
