"""What a rollout tolerates: the terms that evidence is measured against. Defaults are those of `spec.analysis`."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log
from typing import Final

from headgate_operator.api.spec import PredictionShift

BUCKET_RATIO: Final = 1.25
LADDER: Final[tuple[float, ...]] = tuple(0.0001 * BUCKET_RATIO**i for i in range(57))
"""Upper bounds, in seconds, of the server's latency buckets; what is above the last is counted once more."""

ERROR_RATE: Final = "errorRate"
CLIENT_ERRORS: Final = "clientErrors"
LATENCY: Final = "latency"
PREDICTION_SHIFT: Final = "predictionShift"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePolicy:
    interval: float = 10.0
    max_increase: float = 0.01
    min_effect: float = 0.002
    min_ratio: float = 1.2
    max_rate: float | None = None  # of errors; counts only where the candidate is also worse than stable
    max_latency_ratio: float | None = 1.25  # None: latency is no gate
    min_duration: float = 60.0
    min_requests: float = 50
    false_rollback: float = 0.05
    false_promote: float = 0.05
    error_rate: bool = True
    client_errors: bool = True
    prediction_shift: PredictionShift = PredictionShift.HOLD
    bounds: tuple[float, ...] = LADDER

    @property
    def gates(self) -> tuple[str, ...]:
        on = {
            ERROR_RATE: self.error_rate,
            CLIENT_ERRORS: self.client_errors,
            LATENCY: self.max_latency_ratio is not None,
            PREDICTION_SHIFT: self.prediction_shift is not PredictionShift.DISABLED,
        }
        return tuple(gate for gate, is_on in on.items() if is_on)

    @property
    def rollback_bound(self) -> float:
        """ln 1/alpha of one gate: every gate that rolls back has the same part of the whole rollout's.

        A shift that only holds takes nothing from them, and has the same bound.
        """
        holding = self.prediction_shift is PredictionShift.HOLD
        return -log(self.false_rollback / max(len(self.gates) - holding, 1))

    @property
    def promote_bound(self) -> float:
        """ln 1/beta. All gates must pass, so nothing is split."""
        return -log(self.false_promote)


def effective_latency_ratio(max_ratio: float) -> float:
    """The next power of the buckets' width: what can be told apart."""
    return float(BUCKET_RATIO ** max(ceil(log(max_ratio) / log(BUCKET_RATIO) - 1e-9), 0))
