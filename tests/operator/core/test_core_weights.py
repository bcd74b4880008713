"""How pods are split for a weight: what holds for every size and every weight."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_operator.api.spec import Capacity
from headgate_operator.core.weights import achievable, least_stable, split

capacities = st.sampled_from(Capacity)
sizes = st.integers(1, 400)
weights = st.integers(1, 99)


@given(capacities, sizes, weights)
def test_both_sides_have_a_pod_and_the_total_is_bounded(capacity: Capacity, replicas: int, weight: int) -> None:
    choice = split(capacity, replicas, weight)
    assert choice.candidate >= 1
    assert choice.stable >= least_stable(capacity, replicas) >= 1
    if capacity is Capacity.SAFE:
        assert choice.stable == replicas >= choice.candidate
    else:
        assert replicas <= choice.stable + choice.candidate <= replicas + 1


@given(capacities, sizes, st.integers(1, 98))
def test_more_weight_is_never_a_smaller_share_nor_fewer_pods(capacity: Capacity, replicas: int, weight: int) -> None:
    less, more = split(capacity, replicas, weight), split(capacity, replicas, weight + 1)
    assert less.share <= more.share
    assert less.candidate <= more.candidate


@given(st.integers(1, 60), weights)
def test_no_other_number_of_pods_is_nearer(replicas: int, weight: int) -> None:
    wanted = Fraction(weight, 100)
    best = min(abs(Fraction(pods, replicas + pods) - wanted) for pods in range(1, replicas + 1))
    assert abs(split(Capacity.SAFE, replicas, weight).share - wanted) == best


@given(st.integers(1, 60), weights)
def test_no_other_economical_split_is_nearer(replicas: int, weight: int) -> None:
    wanted, least = Fraction(weight, 100), least_stable(Capacity.ECONOMICAL, replicas)
    pairs = [(s, t - s) for t in (replicas, replicas + 1) for s in range(least, t)]
    best = min(abs(Fraction(c, s + c) - wanted) for s, c in pairs)
    assert abs(split(Capacity.ECONOMICAL, replicas, weight).share - wanted) == best


@pytest.mark.parametrize(("replicas", "weight"), [(2, 75), (5, 90), (10, 95), (25, 98), (50, 99)])
def test_the_weights_at_which_others_ask_for_no_canary_at_all(replicas: int, weight: int) -> None:
    """argo-rollouts asks for 0 canaries there, without surge."""
    for capacity in Capacity:
        assert split(capacity, replicas, weight).candidate >= 1


@given(capacities, sizes)
def test_before_the_switch_the_candidate_is_whole(capacity: Capacity, replicas: int) -> None:
    choice = split(capacity, replicas, 100)
    assert (choice.stable, choice.candidate) == (least_stable(capacity, replicas), replicas)


@pytest.mark.parametrize(
    ("replicas", "weight", "honest"), [(3, 25, True), (3, 10, False), (9, 10, True), (2, 5, False)]
)
def test_what_so_few_pods_cannot_express_is_known(replicas: int, weight: int, honest: bool) -> None:
    assert achievable(split(Capacity.SAFE, replicas, weight), weight) is honest
