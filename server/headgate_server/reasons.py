"""Why this process is not ready: the closed list that /readyz tells and the operator acts on.

A transient reason is tried again by this process; a permanent one stays until the process is replaced, and
fails a candidate at once. The exception carries the reason from where a load fails to where it is told.
"""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Every `reason` that /readyz can give."""

    LOADING = "Loading"
    WARMING_UP = "WarmingUp"
    REGISTRY_UNREACHABLE = "RegistryUnreachable"
    REGISTRY_UNAUTHORIZED = "RegistryUnauthorized"
    REGISTRY_HOST_REJECTED = "RegistryHostRejected"
    MODEL_NOT_FOUND = "ModelNotFound"
    ARTIFACT_MISSING = "ArtifactMissing"
    ARTIFACT_TRUNCATED = "ArtifactTruncated"
    STORAGE_FULL = "StorageFull"
    ARTIFACT_INVALID = "ArtifactInvalid"
    DIGEST_MISMATCH = "DigestMismatch"
    UNTRUSTED_TYPES = "UntrustedTypes"
    PICKLE_REFUSED = "PickleRefused"
    UNSUPPORTED_FLAVOR = "UnsupportedFlavor"
    REQUIREMENT_MISMATCH = "RequirementMismatch"
    LOAD_FAILED = "LoadFailed"
    GOLDEN_FAILED = "GoldenFailed"
    DRAINING = "Draining"

    @property
    def permanent(self) -> bool:
        return self not in TRANSIENT


# RegistryUnauthorized and RegistryHostRejected are here because someone mends the registry, not this pod.
TRANSIENT: frozenset[Reason] = frozenset(
    {
        Reason.LOADING,
        Reason.WARMING_UP,
        Reason.REGISTRY_UNREACHABLE,
        Reason.REGISTRY_UNAUTHORIZED,
        Reason.REGISTRY_HOST_REJECTED,
        Reason.ARTIFACT_TRUNCATED,
        Reason.STORAGE_FULL,
        Reason.DRAINING,
    }
)

MEANING: dict[Reason, str] = {
    Reason.LOADING: "The model is being downloaded and loaded.",
    Reason.WARMING_UP: "The model is loaded; its first prediction is under way.",
    Reason.REGISTRY_UNREACHABLE: "No answer from the registry, a 5xx, or something that is not MLflow.",
    Reason.REGISTRY_UNAUTHORIZED: "The registry refused the credentials (401 or 403).",
    Reason.REGISTRY_HOST_REJECTED: "MLflow refused the Host header: set `--allowed-hosts` on the MLflow server.",
    Reason.MODEL_NOT_FOUND: "The registry knows no such model or version.",
    Reason.ARTIFACT_MISSING: "The version has no files, no MLmodel, or a file that is named is not there.",
    Reason.ARTIFACT_TRUNCATED: "A file came with fewer or more bytes than the registry's listing says.",
    Reason.STORAGE_FULL: "The disk of the cache has no room for the model, after what nobody uses was dropped.",
    Reason.ARTIFACT_INVALID: "The files do not parse, contradict themselves, or point outside their folder.",
    Reason.DIGEST_MISMATCH: "The files are not the ones that the expected digest names.",
    Reason.UNTRUSTED_TYPES: "The skops file holds types that this server does not trust; the message names them.",
    Reason.PICKLE_REFUSED: "The model is a pickle or cloudpickle file: loading it would run its code.",
    Reason.UNSUPPORTED_FLAVOR: "No loader for this flavor, or the model needs something this image does not have.",
    Reason.REQUIREMENT_MISMATCH: "The model was made with another scikit-learn minor or numpy major version.",
    Reason.LOAD_FAILED: "The runtime could not load the files.",
    Reason.GOLDEN_FAILED: "The input example did not predict, or not with finite numbers.",
    Reason.DRAINING: "The process was told to end and finishes what is under way.",
}


MAX_MESSAGE: Final = 1000


class LoadError(Exception):
    """A load that cannot go on, with the reason for /readyz. The message never holds credentials or features."""

    def __init__(self, reason: Reason, message: str) -> None:
        # Names in it are the uploader's, and it goes into probes and statuses.
        message = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def permanent(self) -> bool:
        return self.reason.permanent
