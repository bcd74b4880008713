"""What the reconciler needs of the world, as protocols: one door per dependency.

The adapters (kube, registry, scrape, events) implement exactly these and translate every error of their library into
the few below, named by what the caller does about them. The reconciler and its tests know nothing else of I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from headgate_operator.api.evidence import EvidenceState, GuardState
from headgate_operator.api.metrics import CustomMetric
from headgate_operator.api.model import Identity, ModelRef
from headgate_operator.api.spec import Spec
from headgate_operator.api.status import Status
from headgate_operator.core.event import Event as Event  # part of this interface
from headgate_operator.core.evidence.custom import Finding
from headgate_operator.core.observed import (
    Counters,
    Example,
    Golden,
    Pod,
    PodAddress,
    Readiness,
    Resolution,
    Unresolved,
)
from headgate_operator.core.view import View

Obj = dict[str, Any]
"""A Kubernetes object as JSON. Always with apiVersion, kind and metadata, also the items of a list."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One ModelDeployment, as the work queue knows it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


# --- errors of the API server, by what the caller does ---------------------------------------------------------------


class KubeError(Exception):
    """Base of the three below; an adapter raises nothing else (cancellation apart)."""


class ConflictError(KubeError):
    """409: stale resourceVersion or uid, or (apply without force) a field that somebody else owns. Read again."""


class RefusedError(KubeError):
    """400, 403, 404 of the kind or namespace, 413, 422: trying again changes nothing until somebody changes something.

    `quota` is true where the message is that of a ResourceQuota or LimitRange.
    """

    def __init__(self, message: str, *, status: int, quota: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.quota = quota


class UnavailableError(KubeError):
    """Timeout, connection error, 401, 429, 5xx, unreadable answer: try again later. The write may have happened."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


# --- the doors --------------------------------------------------------------------------------------------------------


class Kube(Protocol):
    """The API server: dict in, dict out. Every read is live (never resourceVersion=0), every list is complete.

    `kind` is one of ModelDeployment, ControllerRevision, ConfigMap, Deployment, Service, PodDisruptionBudget, Pod,
    EndpointSlice, Secret.
    """

    async def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        """None where the object does not exist."""
        ...

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str]) -> list[Obj]: ...

    async def apply(self, obj: Obj, *, force: bool) -> Obj:
        """Server-side apply as field manager `headgate`. Creates what does not exist.

        metadata.uid and metadata.resourceVersion are sent where `obj` has them: then 409 if either differs, and nothing
        that was deleted meanwhile is created again.
        """
        ...

    async def replace_status(self, obj: Obj) -> Obj:
        """PUT of the status subresource; `obj` carries the resourceVersion of this pass's read."""
        ...

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str, resource_version: str) -> None:
        """Background propagation, both preconditions sent. Gone already is success."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """A question to a registry. `uri` and `secret_name` None = the operator's own registry and credentials."""

    namespace: str
    name: str
    ref: ModelRef
    uri: str | None = None
    secret_name: str | None = None


class Registry(Protocol):
    """Model registries. Never raises (cancellation apart): trouble is an `Unresolved` with a reason of the closed list.

    Allow-list, Secret label and credentials are the adapter's business: RegistryNotAllowed, SecretNotUsable.
    """

    async def resolve(self, request: ModelRequest) -> Resolution:
        """`identity.registry` is the effective URI, as pods shall use it."""
        ...

    async def example(self, request: ModelRequest, identity: Identity) -> Example | Unresolved: ...


class Probe(Protocol):
    """Pods, by IP. Never raises (cancellation apart); every call has its own short timeout and follows no redirect."""

    async def readiness(self, pod: PodAddress) -> Readiness:
        """GET /readyz on the operations port, which answers while the prediction port is busy."""
        ...

    async def counters(self, pod: PodAddress) -> Counters | None:
        """GET /counters on the operations port; None = no usable answer."""
        ...

    async def golden(self, pod: PodAddress, body: bytes, *, version: str) -> Golden:
        """POST `body` to /invocations on the prediction port: 200, every number finite, x-model-version == version."""
        ...


class Goldens(Protocol):
    """Golden predictions that are asked beside the passes. Never waits: what is not known yet is `GoldenUnknown`."""

    def ask(self, key: Key, pod: Pod, body: bytes, *, version: str) -> Golden:
        """The key is woken when an answer has come."""
        ...

    def forget(self, key: Key) -> None: ...


class Webhooks(Protocol):
    """Webhooks that are asked beside the passes. Never waits: the key is woken when an answer has come."""

    def answered(self, key: Key, view: View, status: Status, *, promotion_is_next: bool) -> View: ...


class Gathered(NamedTuple):
    """What is known with the last interval; None where it is not asked for."""

    evidence: EvidenceState | None
    guard: GuardState | None


class Evidence(Protocol):
    """What the pods' counters tell, interval by interval. In memory: status keeps what another process goes on from."""

    def compared(self, key: Key, spec: Spec, status: Status, now: datetime) -> frozenset[str]:
        """Revisions whose pods shall be asked for their counters now; `gather` is then given the same `now`."""
        ...

    def gather(self, key: Key, spec: Spec, status: Status, pods: Iterable[Pod], now: datetime) -> Gathered: ...

    def next(self, key: Key) -> datetime | None: ...

    def forget(self, key: Key) -> None: ...


class Monitoring(Protocol):
    """What Prometheus says of a rollout. Never raises (cancellation apart); silence is no data."""

    async def counted(
        self, key: Key, uri: str | None, pods: Sequence[Pod], revisions: Collection[str]
    ) -> tuple[Pod, ...]:
        """All `pods`, those of these revisions with the traffic that Prometheus knows of."""
        ...

    def trouble(self, key: Key) -> str:
        """Why the last `counted` gave nothing; empty where it gave something."""
        ...

    def look(
        self, key: Key, uri: str | None, metrics: Sequence[CustomMetric], values: dict[str, str], interval: float
    ) -> tuple[Finding, ...]:
        """What is known of each metric, which is asked again beside the passes. Never waits."""
        ...

    def forget(self, key: Key) -> None: ...


class Events(Protocol):
    async def emit(self, about: Obj, events: Sequence[Event]) -> None:
        """Best effort: never raises (cancellation apart), never delays a pass by more than a short timeout."""
        ...


class Interests(Protocol):
    """Which registry answers a key depends on, for the poller: it wakes the key when the answer changes."""

    def follow(self, key: Key, request: ModelRequest, answer: Resolution) -> None: ...

    def forget(self, key: Key) -> None: ...


class Clock(Protocol):
    def now(self) -> datetime:
        """UTC, aware."""
        ...


# --- what the reconciler gives back -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Result:
    """What the work queue does with the key after a pass: the reconciler never raises (cancellation apart).

    `backoff` = the pass failed: try again with the key's growing delay (at least `requeue_after`, where given).
    Otherwise the back-off is reset and the key is looked at again after `requeue_after` seconds (None: when woken).
    """

    requeue_after: float | None = None
    backoff: bool = False
    reason: str = ""
    changed: bool = False  # something was written


class Reconciles(Protocol):
    async def reconcile(self, key: Key) -> Result: ...
