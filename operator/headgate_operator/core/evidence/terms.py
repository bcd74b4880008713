"""What of the policy a gate's arithmetic needs, worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log

from headgate_operator.core.evidence.counts import Counts
from headgate_operator.core.evidence.eprocess import cap
from headgate_operator.core.evidence.policy import EvidencePolicy

DOUBT = log(5)
"""Nothing is promoted while the evidence of harm stands at 5 or more, far as that is from a rollback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    rollback_bound: float
    promote_bound: float
    harm_cap: float
    safety_cap: float
    margin: float
    min_effect: float
    min_ratio: float
    ceiling: float | None

    def relevant(self, counts: Counts) -> bool:
        """A difference that matters. Significance alone never rolls back: with enough traffic all is significant."""
        if counts.n_c <= 0 or counts.n_s <= 0:
            return False
        candidate, stable = counts.k_c / counts.n_c, counts.k_s / counts.n_s
        return candidate - stable >= self.min_effect and candidate >= self.min_ratio * stable


@lru_cache(maxsize=256)
def terms(policy: EvidencePolicy, *, ceiling: bool = False) -> Terms:
    rollback, promote = policy.rollback_bound, policy.promote_bound
    return Terms(
        rollback_bound=rollback,
        promote_bound=promote,
        harm_cap=cap(rollback),
        safety_cap=cap(promote),
        margin=policy.max_increase,
        min_effect=policy.min_effect,
        min_ratio=policy.min_ratio,
        ceiling=policy.max_rate if ceiling else None,
    )
