"""The arithmetic of rolling updates, including a walk through every reachable state of many settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_local.controllers.rolling import Fence, Size, fence, grow_new, proportional, shrink_old


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),
        (3, "25%", "25%", (1, 0)),
        (2, 0, "1%", (0, 1)),
        (1, "1%", "25%", (1, 0)),
        (0, "25%", "25%", (0, 0)),
        (100, "7%", "7%", (7, 7)),
        (3, 5, 5, (5, 3)),
    ],
)
def test_surge_rounds_up_and_unavailable_rounds_down(
    replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    found = fence(replicas=replicas, max_surge=surge, max_unavailable=unavailable)
    assert (found.surge, found.unavailable) == expected


def test_unhealthy_old_pods_go_before_healthy_ones() -> None:
    limits = Fence(replicas=4, surge=0, unavailable=1)
    new = Size("new", 0, 0, "3")
    sick = Size("sick", 2, 0, "2")
    well = Size("well", 2, 2, "1")
    assert shrink_old(limits, new=new, old=[well, sick]) == {"sick": 1}


def test_nothing_shrinks_while_new_pods_are_not_available() -> None:
    limits = Fence(replicas=3, surge=1, unavailable=0)
    assert shrink_old(limits, new=Size("new", 1, 0, "2"), old=[Size("old", 3, 3, "1")]) == {}


def test_scaling_down_to_zero_empties_every_replica_set() -> None:
    limits = Fence(replicas=0, surge=0, unavailable=0)
    sizes = [Size("a", 5, 5, "1", 10), Size("b", 4, 4, "2", 10)]
    assert proportional(limits, sizes, deployment_replicas_before=9) == {"a": 0, "b": 0}


@given(
    replicas=st.integers(1, 8),
    surge=st.integers(0, 4),
    unavailable=st.integers(0, 4),
    choices=st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_every_order_of_pods_coming_up_ends_within_the_fence(
    replicas: int, surge: int, unavailable: int, choices: list[bool]
) -> None:
    """Grow, shrink and become available in any order: never too many, never too few, and it ends."""
    limits = fence(replicas=replicas, max_surge=surge, max_unavailable=unavailable)
    new, available, old = 0, 0, replicas
    picks = iter(choices)
    for _ in range(400):
        grown = grow_new(limits, new=new, total=new + old)
        new = grown
        sizes = shrink_old(limits, new=Size("n", new, available, "2"), old=[Size("o", old, old, "1")] if old else [])
        old = sizes.get("o", old)
        if available < new and next(picks, True):
            available += 1
        assert new + old <= limits.most
        assert available + old >= limits.least_available
    assert (new, old, available) == (replicas, 0, replicas)


@given(
    wanted=st.integers(1, 30),
    surge=st.integers(0, 5),
    sizes=st.lists(st.integers(1, 15), min_size=2, max_size=4),
)
def test_proportional_scaling_grows_to_exactly_the_allowed_size(wanted: int, surge: int, sizes: list[int]) -> None:
    limits = Fence(replicas=wanted, surge=surge, unavailable=0)
    total = sum(sizes)
    given_sizes = [Size(f"rs{i}", size, size, str(i), total) for i, size in enumerate(sizes)]
    found = proportional(limits, given_sizes, deployment_replicas_before=total)
    assert all(size >= 0 for size in found.values())
    if total <= limits.most:
        assert sum(found.values()) == limits.most
    else:
        # Many tiny ReplicaSets cannot all lose a fraction of a pod; what is left over goes as the rollout goes on.
        assert limits.most <= sum(found.values()) <= total
