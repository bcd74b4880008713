"""Names this process shares with the server, the CLI and the local plane.

Every package keeps its own copy and imports no other: one test compares them. Change a name here only together
with its twins.
"""

from typing import Final

GROUP: Final = "headgate.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
PLURAL: Final = "modeldeployments"
KIND: Final = "ModelDeployment"
FIELD_MANAGER: Final = "headgate"

LABEL_DEPLOYMENT: Final = "headgate.dev/deployment"
LABEL_REVISION: Final = "headgate.dev/revision"
LABEL_MODEL_VERSION: Final = "headgate.dev/model-version"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_VERSION: Final = "app.kubernetes.io/version"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"
SERVER_NAME: Final = "headgate-server"
MANAGED_BY: Final = "headgate"
PART_OF: Final = "headgate"

ANNOTATION_COMMAND: Final = "headgate.dev/command"
LABEL_USE: Final = "headgate.dev/use"
USE_REGISTRY: Final = "registry"
USE_WEBHOOK: Final = "webhook"

PORT: Final = 8080
OPS_PORT: Final = 8081
PORT_NAME: Final = "http"
OPS_PORT_NAME: Final = "ops"
VERSION_HEADER: Final = "x-model-version"

LIVE_PATH: Final = "/livez"
READY_PATH: Final = "/readyz"
COUNTERS_PATH: Final = "/counters"
INVOCATIONS_PATH: Final = "/invocations"

ENV_MODEL: Final = "HEADGATE_MODEL"
ENV_MODEL_NAME: Final = "HEADGATE_MODEL_NAME"
ENV_MODEL_VERSION: Final = "HEADGATE_MODEL_VERSION"
ENV_MODEL_DIGEST: Final = "HEADGATE_MODEL_DIGEST"
ENV_REVISION: Final = "HEADGATE_REVISION"
ENV_REGISTRY_URI: Final = "HEADGATE_REGISTRY_URI"
ENV_REGISTRY_CREDENTIALS: Final = "HEADGATE_REGISTRY_CREDENTIALS"
ENV_CACHE_DIR: Final = "HEADGATE_CACHE_DIR"
ENV_HOST: Final = "HEADGATE_HOST"
ENV_PORT: Final = "HEADGATE_PORT"
ENV_OPS_PORT: Final = "HEADGATE_OPS_PORT"
ENV_CONNECTION_MAX_AGE: Final = "HEADGATE_CONNECTION_MAX_AGE"
ENV_DRAIN_DELAY: Final = "HEADGATE_DRAIN_DELAY"

# The ladder of numeric predictions: 16 steps a doubling (4.4 %), from 2**-16 to 2**32 on either side of 0.
PREDICTION_STEPS_PER_DOUBLING: Final = 16
PREDICTION_LEAST_EXPONENT: Final = -16
PREDICTION_LAST_STEP: Final = 768

CONNECTION_MAX_AGE_SECONDS: Final = 15
DRAIN_DELAY_SECONDS: Final = 5
GRACE_SECONDS: Final = 60
DIGEST_KEY: Final = "digest"
