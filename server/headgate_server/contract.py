"""Names this process shares with the operator, the CLI and the local plane.

Every package keeps its own copy and imports no other: one test compares them. Change a name here only together
with its twins.
"""

from typing import Final

PORT: Final = 8080
OPS_PORT: Final = 8081
VERSION_HEADER: Final = "x-model-version"
REQUEST_ID_HEADER: Final = "x-request-id"
DIGEST_PREFIX: Final = "sha256:"

# Latency buckets of metrics and /counters: the canary compares them edge by edge across versions.
BUCKET_UPPER_BOUNDS_SECONDS: Final[tuple[float, ...]] = tuple(0.0001 * 1.25**i for i in range(57))

# The ladder of numeric predictions: 16 steps a doubling (4.4 %), from 2**-16 to 2**32 on either side of 0.
PREDICTION_STEPS_PER_DOUBLING: Final = 16
PREDICTION_LEAST_EXPONENT: Final = -16
PREDICTION_LAST_STEP: Final = 768

LIVE_PATH: Final = "/livez"
READY_PATH: Final = "/readyz"
METRICS_PATH: Final = "/metrics"
COUNTERS_PATH: Final = "/counters"
# Probes and scrapes, by any of their names: not counted as traffic.
OPERATIONS_PATHS: Final = frozenset(
    {LIVE_PATH, READY_PATH, "/ready", METRICS_PATH, "/metrics-prometheus", COUNTERS_PATH}
)
