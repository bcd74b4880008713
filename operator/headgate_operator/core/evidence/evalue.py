"""The e-value of one interval: how much its counts speak for the alternative and against the hypothesis.

Two arms: likelihood ratio of the reverse information projection for the linear boundary `p_c = r p_s + d` (Turner, Ly,
Grünwald). Its expectation under the hypothesis is at most 1 for every rate of stable, however wrong the guess of that
rate is. All that enters besides the bad counts may depend on the past and on the numbers of requests only.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from headgate_operator.core.evidence.counts import Counts

LARGEST_D = 0.95


def log_e_values(
    grid: Sequence[float], counts: Counts, guess: float, r: float = 1.0, d: float = 0.0
) -> list[float] | None:
    """ln e of one interval for each u: u > 1 looks for harm, u < 1 for safety. None where an arm had no requests."""
    n_c, k_c, n_s, k_s = counts
    if n_c <= 0 or n_s <= 0:
        return None
    a = r * guess + d
    if a >= 1:
        if grid[0] < 1:
            return None  # no rate lies beyond such a boundary
        a = 1.0
    es = []
    for u in grid:
        step = u - 1
        at_boundary = 1 + a * step
        slope = n_c * r * step / at_boundary if at_boundary > 0 else 0.0
        spread = n_s + slope * guess
        if slope == 0 or spread <= 0:
            es.append(0.0)
            continue
        share = slope / spread
        if share > LARGEST_D:
            # The candidate has too much of the traffic for this u: stable's part could not pay for it.
            q = LARGEST_D * n_s / (n_c * r * (1 - LARGEST_D * guess))
            step = q / (1 - a * q)
            at_boundary, share = 1 + a * step, LARGEST_D
        es.append(k_c * log(1 + step) - n_c * log(at_boundary) + k_s * log(1 - share) - n_s * log(1 - guess * share))
    if grid[0] < 1 and r * k_s / n_s + d >= 1:
        # Stable itself was so bad that nothing could be worse by the margin. That speaks for no candidate.
        return [min(e, 0.0) for e in es]
    return es


def log_e_value_of_one_arm(u: float, requests: float, bad: float, limit: float) -> float:
    """Against a fixed rate: u > 1 that it is above the limit, u < 1 that it is below."""
    return bad * log(u) - requests * log(1 + limit * (u - 1))
