"""A seed is a story: users, registries, nodes and the API server do their worst for some minutes, then it is calm.

Two operator processes with the real Lease, work queue and reconciler live through it in virtual time. What may never
happen is looked at after every change; at the end everything must have come right, and nothing be written any more.

`SEED=7 pytest tests/simulation` tells that story again; `SEEDS=20000 pytest tests/simulation` tells more of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from simulation.plane_cluster import PlaneCluster
from simulation.story import tell


def seeds(number: int) -> Iterable[int]:
    if "SEED" in os.environ:
        return [int(os.environ["SEED"])]
    return range(int(os.environ.get("SEEDS", number)))


@pytest.mark.parametrize("seed", seeds(1000))
def test_whatever_happens_nothing_is_lost_and_all_comes_right(seed: int) -> None:
    told = tell(seed)
    assert not told.violations, f"\n{told}"


@pytest.mark.parametrize("seed", seeds(100))
def test_the_same_holds_with_real_server_side_apply_and_real_controllers(seed: int) -> None:
    told = tell(seed, PlaneCluster)
    assert not told.violations, f"\n{told}"
