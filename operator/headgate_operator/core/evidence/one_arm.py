"""One arm against a fixed limit: every request counts, there is nothing to compare with.

With `E = mean_j u_j^k (1 + L (u_j - 1))^-n`, of n requests and k bad ones so far: u > 1 shows that the rate lies above
the limit L, u < 1 that it lies below. Both may be looked at after every request.
"""

from __future__ import annotations

from collections.abc import Sequence

from headgate_operator.core.evidence.evalue import log_e_value_of_one_arm
from headgate_operator.core.evidence.numbers import log_mean

ABOVE = (1.25, 1.5, 2, 3, 5, 10, 30)
BELOW = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)


def log_evidence(grid: Sequence[float], total: float, bad: float, limit: float) -> float:
    return log_mean([log_e_value_of_one_arm(u, total, bad, limit) for u in grid])
