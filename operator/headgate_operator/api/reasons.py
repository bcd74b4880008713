"""The closed lists of words that appear in conditions, Events and rejections.

docs/reference/conditions.md explains each of them; a test compares the two, so that no reason can appear that a person
on call cannot look up.
"""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    READY = "Ready"
    AVAILABLE = "Available"
    UP_TO_DATE = "UpToDate"
    MODEL_RESOLVED = "ModelResolved"
    PROGRESSING = "Progressing"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    # the model
    RESOLVED = "Resolved"
    ALIAS_NOT_FOUND = "AliasNotFound"
    VERSION_NOT_FOUND = "VersionNotFound"
    NO_VERSION_IN_STAGE = "NoVersionInStage"
    NO_VERSION_WITH_TAGS = "NoVersionWithTags"
    MODEL_NOT_FOUND = "ModelNotFound"
    REGISTRY_UNREACHABLE = "RegistryUnreachable"
    REGISTRY_UNAUTHORIZED = "RegistryUnauthorized"
    REGISTRY_HOST_REJECTED = "RegistryHostRejected"
    REGISTRY_NOT_ALLOWED = "RegistryNotAllowed"
    SECRET_NOT_USABLE = "SecretNotUsable"  # noqa: S105 - a reason, not a secret
    # at rest
    AS_WANTED = "AsWanted"
    SERVING = "Serving"
    NOTHING_TO_DO = "NothingToDo"
    # a rollout
    FIRST_DEPLOYMENT = "FirstDeployment"
    ROLLING_OUT = "RollingOut"
    VERIFYING = "Verifying"
    SWITCHING = "Switching"
    WAITING_FOR_MIN_DURATION = "WaitingForMinDuration"
    WAITING_FOR_WEBHOOK = "WaitingForWebhook"
    DRAINING_PREVIOUS = "DrainingPrevious"
    SCALING = "Scaling"
    WAITING_FOR_EVIDENCE = "WaitingForEvidence"
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    INCONCLUSIVE = "Inconclusive"
    ANALYSIS_FAILED = "AnalysisFailed"
    UNACHIEVABLE_WEIGHT = "UnachievableWeight"
    # trouble outside the model: retried, never held against it
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL = "ImagePull"
    QUOTA = "Quota"
    REFUSED_BY_API_SERVER = "RefusedByApiServer"
    GOLDEN_UNAVAILABLE = "GoldenUnavailable"
    WAITING_FOR_GARBAGE_COLLECTION = "WaitingForGarbageCollection"
    # a person decides
    ROLLED_BACK = "RolledBack"
    FIRST_ROLLOUT_FAILED = "FirstRolloutFailed"
    HELD_BY_UNDO = "HeldByUndo"
    NAME_CONFLICT = "NameConflict"
    INVALID_SPEC = "InvalidSpec"
    PAUSED = "Paused"
    # what serves
    SCALED_TO_ZERO = "ScaledToZero"
    NO_READY_PODS = "NoReadyPods"
    NO_VERSION_YET = "NoVersionYet"
