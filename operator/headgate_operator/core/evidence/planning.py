"""About how many requests to the candidate a decision still takes: rules of thumb from simulation, no promises."""

from __future__ import annotations

from math import inf, log

PROMOTE_FACTOR, ROLLBACK_FACTOR = 1.5, 2.0


def divergence(p: float, q: float) -> float:
    """Kullback-Leibler, of two shares."""
    p, q = (min(max(share, 1e-6), 1 - 1e-6) for share in (p, q))
    return p * log(p / q) + (1 - p) * log((1 - p) / (1 - q))


def to_promote(missing: float, candidate: float, boundary: float) -> float:
    """`missing`: ln of the evidence still to come. inf where the candidate's rate is not below the boundary."""
    return _requests(PROMOTE_FACTOR * missing, candidate, boundary) if candidate < boundary else inf


def to_roll_back(missing: float, candidate: float, stable: float) -> float:
    return _requests(ROLLBACK_FACTOR * missing, candidate, stable) if candidate > stable else inf


def _requests(missing: float, p: float, q: float) -> float:
    each = divergence(p, q)
    return missing / each if each > 0 else inf  # rates so near to each other are the same number
