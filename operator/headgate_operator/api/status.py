"""What the operator remembers and tells: status of a ModelDeployment, as frozen values.

Status is written before anything is done about it, so it is also the engine's only memory: a process that starts with
nothing else goes on exactly where the last one stopped. No counters, no heartbeats: at rest it does not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from headgate_operator.api.decisions import Decision, Figures
from headgate_operator.api.evidence import EvidenceState, GuardState
from headgate_operator.api.model import Identity
from headgate_operator.api.reasons import ConditionType, Reason
from headgate_operator.api.webhooks import When


class Truth(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    type: ConditionType
    status: Truth
    reason: Reason
    message: str
    last_transition_time: datetime
    observed_generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    requested: str
    resolved: Identity | None = None  # the last answer; it stays wanted while there is no newer one
    resolved_from: str | None = None  # the reference it answered
    digest: str | None = None  # of the resolved version's files, once pods have agreed on it


@dataclass(frozen=True, slots=True)
class PodRestarts:
    """How often the server's container in a pod had been restarted at some moment. Pods that had not are not listed."""

    pod: str
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stable:
    """The revision that has (or, in a switch, is getting) the public traffic."""

    revision: str
    version: str
    identity: str
    deployment: str
    digest: str | None = None
    replicas: int = 0
    ready_replicas: int = 0
    restarts_before: tuple[PodRestarts, ...] = ()  # the switch: what comes later counts for the guard
    unready_since: datetime | None = None
    guard: GuardState | None = None  # evidence against it since the switch, where a ceiling is given
    guard_at: datetime | None = None  # when that was written


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The revision that is on its way. It has no public traffic until `step` says otherwise."""

    revision: str
    version: str
    identity: str
    deployment: str
    started_at: datetime
    deadline_from: datetime
    watched_seconds: int = 0  # of the deadline, before `deadline_from`: what was watched outlives the process that did
    digest: str | None = None
    replicas: int = 0
    ready_replicas: int = 0
    verified_at: datetime | None = None
    incomplete_since: datetime | None = None  # verified, and scaled to more pods than are ready
    step: int | None = None  # of policy.steps, counted from 0; None while it is being verified
    weight: int | None = None  # per cent of the traffic that the step asks for
    step_started_at: datetime | None = None  # None while pods and endpoints are not yet what the step asks for
    step_requests: int = 0  # that the candidate had answered when the step began
    restarts_before: tuple[PodRestarts, ...] = ()  # it first got traffic: what comes later counts against it
    verdict: str | None = None
    evidence: Figures | None = None  # of the last checkpoint
    blocked_by: Reason | None = None
    waiting_for: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """The revision that had the traffic before: warm until `warm_until`, then draining, then drained, then gone."""

    revision: str
    version: str
    identity: str
    deployment: str
    replicas: int
    digest: str | None = None
    warm_until: datetime | None = None
    draining_since: datetime | None = None
    drained: bool = False


class Phase(StrEnum):
    VERIFYING = "Verifying"  # the candidate has no public traffic
    CANARY = "Canary"  # stable and candidate share it
    SWITCHING = "Switching"  # one revision gets all of it, until endpoints show that


class RolloutReason(StrEnum):
    FIRST_DEPLOYMENT = "FirstDeployment"
    ALIAS_MOVED = "AliasMoved"
    STAGE_MOVED = "StageMoved"
    NEW_VERSION = "NewVersion"
    SPEC_CHANGED = "SpecChanged"
    SOURCE_CHANGED = "SourceChanged"
    UNDO = "Undo"
    RETRY = "Retry"
    RESTART = "Restart"
    GUARD = "Guard"


class Outcome(StrEnum):
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    FIRST_ROLLOUT_FAILED = "FirstRolloutFailed"
    CANCELLED = "Cancelled"
    SUPERSEDED = "Superseded"
    REVERTED = "Reverted"
    ADOPTED = "Adopted"


FAILED = frozenset({Outcome.ROLLED_BACK, Outcome.FIRST_ROLLOUT_FAILED})
"""A version was tried and found wanting; every other outcome is somebody's wish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    weight: int
    min_duration: str
    approval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStatus:
    strategy: str
    steps: tuple[StepStatus, ...] = ()
    capacity: str | None = None
    unachievable_weight: str | None = None
    max_duration: str | None = None
    on_inconclusive: str | None = None
    on_failure: str | None = None
    min_duration: str
    approval: str | None = None
    progress_deadline: str
    keep_warm: str
    history_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalStatus:
    """A person let the rollout enter a step."""

    step: int
    by: str
    at: datetime
    regardless: bool = False  # also of evidence that is still missing


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficStatus:
    """The candidate's share of the traffic in per cent, as decimal text."""

    desired: str
    achievable: str
    observed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    id: int
    started_at: datetime
    strategy: str
    reason: RolloutReason
    phase: Phase
    policy: PolicyStatus
    from_: str | None = None  # versions, for people
    to: str
    from_revision: str | None = None
    to_revision: str
    outcome: Outcome | None = None  # what will have happened once the switch is seen
    decided_at: datetime | None = None
    message: str | None = None
    approvals: tuple[ApprovalStatus, ...] = ()
    decisions: tuple[Decision, ...] = ()


class Scope(StrEnum):
    MODEL = "Model"
    REVISION = "Revision"


class By(StrEnum):
    LOAD = "Load"
    PREFLIGHT = "Preflight"
    GUARD = "Guard"
    UNDO = "Undo"
    ABORT = "Abort"
    ANALYSIS = "Analysis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    revision: str
    scope: Scope
    version: str
    identity: str
    at: datetime
    by: By
    gate: str
    message: str
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    rollout: int
    outcome: Outcome
    reason: RolloutReason | None = None
    from_: str | None = None
    to: str
    from_revision: str | None = None
    to_revision: str
    seconds: int
    at: datetime
    message: str | None = None
    decisions: tuple[Decision, ...] = ()  # of the newest entry only


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """After an undo to a revision that was no longer warm: what is wanted instead of the rejected reference."""

    revision: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A person's `pause`. Beside the rollout, not in it: it also keeps the next one from starting."""

    at: datetime
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A person's `restart`: the same version and settings as `revision`, in pods of their own."""

    revision: str
    count: int
    image: str


class WebhookOutcome(StrEnum):
    APPROVED = "Approved"
    REFUSED = "Refused"
    DELIVERED = "Delivered"
    NO_ANSWER = "NoAnswer"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookStatus:
    """What a webhook last answered about one rollout."""

    name: str
    when: When
    rollout: int
    outcome: WebhookOutcome
    attempts: int
    at: datetime
    again: datetime | None = None  # when it is asked once more
    message: str | None = None


class Answer(StrEnum):
    ACCEPTED = "Accepted"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCommand:
    id: str
    verb: str
    outcome: Answer
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    model: ModelStatus | None = None
    stable: Stable | None = None
    candidate: Candidate | None = None
    previous: Previous | None = None
    rollout: Rollout | None = None
    pause: Pause | None = None
    traffic: TrafficStatus | None = None
    evidence: EvidenceState | None = None
    hold: Hold | None = None
    restart: Restart | None = None
    retrying: str | None = None  # the revision that a retry set free and that has not started again
    rejected: tuple[Rejected, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    webhooks: tuple[WebhookStatus, ...] = ()
    last_rollback_milliseconds: int | None = None
    last_command: LastCommand | None = None
    url: str | None = None
    wanted: str | None = None
    serving: str | None = None
    ready: str | None = None
    replicas: int = 0
    selector: str | None = None

    def condition(self, kind: ConditionType) -> Condition | None:
        return next((condition for condition in self.conditions if condition.type is kind), None)
