"""What one pass saw of the world, as values: the registry's answer, the pods' own reports, the children.

Adapters build these at the edge and the core trusts them. Nothing here is ever read from a cache: a decision made from
a stale view is the commonest bug of operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from headgate_operator.api.model import Identity
from headgate_operator.api.reasons import Reason

# --- the registry ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resolved:
    identity: Identity


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The registry gave no version. What serves goes on serving; `reason` becomes the ModelResolved condition's."""

    reason: Reason
    message: str

    @property
    def certain(self) -> bool:
        """The registry answered "no such thing" (condition False); otherwise nobody knows (Unknown)."""
        return self.reason in {
            Reason.ALIAS_NOT_FOUND,
            Reason.VERSION_NOT_FOUND,
            Reason.NO_VERSION_IN_STAGE,
            Reason.NO_VERSION_WITH_TAGS,
            Reason.MODEL_NOT_FOUND,
            Reason.REGISTRY_NOT_ALLOWED,
            Reason.SECRET_NOT_USABLE,
        }


Resolution = Resolved | Unresolved


@dataclass(frozen=True, slots=True)
class Example:
    """The version's input example: a ready /invocations body, or None where the version was logged without one."""

    body: bytes | None


# --- what pods say of themselves ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PodAddress:
    ip: str
    http_port: int
    ops_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PodReady:
    """GET /readyz answered 200."""

    model: str
    version: str
    revision: str
    digest: str
    golden: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PodNotReady:
    """GET /readyz answered 503 with the server's own reason; `permanent` means that waiting cannot help."""

    reason: str
    permanent: bool
    message: str


@dataclass(frozen=True, slots=True)
class PodSilent:
    """No usable answer: refused, timed out, not ours. Evidence of nothing."""

    message: str = ""


Readiness = PodReady | PodNotReady | PodSilent


@dataclass(frozen=True, slots=True)
class Answered:
    """The requests of one path group that were answered with one status code."""

    group: str
    code: int
    count: int
    buckets: tuple[int, ...]  # by duration, not cumulative, the last above the last bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """All that one process has answered since it began, raw: evidence comes from the differences of two of these."""

    start_id: str  # another one means that counting began anew
    revision: str
    version: str
    bounds: tuple[float, ...]  # upper bounds of the buckets, in seconds
    rows: tuple[Answered, ...]
    uptime_seconds: float | None = None  # None where the server is too old to say
    predictions: tuple[tuple[str | int, int], ...] = ()  # by class, or by step of the ladder of numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """GET /counters: what draining needs, and the traffic that evidence is made of."""

    in_flight: int
    open_connections: int
    last_request_age_seconds: float | None
    traffic: Traffic | None = None  # None = not told in a way that could be trusted


@dataclass(frozen=True, slots=True)
class GoldenPassed:
    pass


@dataclass(frozen=True, slots=True)
class GoldenFailed:
    """The pod answered, and the answer is wrong: not 200, not finite, or another version's."""

    message: str


@dataclass(frozen=True, slots=True)
class GoldenUnknown:
    """No answer to judge (connection refused, timeout, registry down for the example): wait, never a failure."""

    message: str


Golden = GoldenPassed | GoldenFailed | GoldenUnknown

# --- writes that the API server refused -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the API server refuses this process for good (validation, rights, quota): a write, or a look at a budget."""

    kind: str
    name: str
    message: str
    quota: bool = False
    hinders: bool = True  # something that serves or shall serve rests on it


# --- children -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    name: str
    revision: str
    address: PodAddress | None  # None until the pod has an IP
    ready: bool
    ready_since: datetime | None = None  # by the node's clock
    uid: str = ""
    terminating: bool = False
    restarts: int = 0
    crash_looping: bool = False
    trouble: Reason | None = None  # Unschedulable or ImagePull
    message: str = ""
    readiness: Readiness | None = None  # only where it was asked for
    counters: Counters | None = None
    traffic: Traffic | None = None  # where it was not asked of the pod itself
    golden: Golden | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    revision: str
    wanted: int
    ready: int
    current: bool  # its status speaks of its present generation
    refusal: str = ""  # ReplicaFailure's message: quota, admission
    image: str = ""  # of the server


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    pod: str
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    revision: str | None  # what its selector names; None = no revision in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    pods: tuple[Pod, ...] = ()
    deployments: Mapping[str, Deployment] = field(default_factory=dict)  # by revision
    public: Service | None = None
    public_endpoints: tuple[Endpoint, ...] = ()
    preview: Service | None = None
    preview_endpoints: tuple[Endpoint, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)  # by revision, from the ConfigMaps
    conflict: str = ""  # an object of one of our names that belongs to somebody else
    budget_conflict: str = ""  # the same of the disruption budget: it keeps no traffic from moving
    awaiting_collection: str = ""  # a child of an earlier ModelDeployment of this name
