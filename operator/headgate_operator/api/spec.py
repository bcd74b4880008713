"""The wish: spec of a ModelDeployment, as frozen values.

None means "the user did not say"; what the operator makes of that is decided in one place (`Policy`), shown in status,
and never written back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from headgate_operator.api.metrics import CustomMetric
from headgate_operator.api.model import ModelRef
from headgate_operator.api.webhooks import WebhookSpec


class Strategy(StrEnum):
    CANARY = "Canary"
    BLUE_GREEN = "BlueGreen"
    ROLLING = "Rolling"


class Capacity(StrEnum):
    SAFE = "Safe"  # the stable version keeps all its pods until the promotion
    ECONOMICAL = "Economical"  # the total stays near spec.replicas, the stable version keeps at least half


class Unachievable(StrEnum):
    ROUND = "Round"
    REJECT = "Reject"


class Approval(StrEnum):
    AUTO = "Auto"
    MANUAL = "Manual"


class OnInconclusive(StrEnum):
    HOLD = "Hold"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"


class OnFailure(StrEnum):
    ROLLBACK = "Rollback"
    HOLD = "Hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySpec:
    uri: str | None = None
    secret_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    name: str
    ref: ModelRef
    registry: RegistrySpec = RegistrySpec()
    digest: str | None = None

    @property
    def requested(self) -> str:
        return f"{self.name}{self.ref}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSpec:
    """What the user set of the serving pods. `resources` and `env` are Kubernetes' own JSON, passed through."""

    image: str | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    env: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A share of the traffic that the candidate gets. A weight of 100 is the switch."""

    weight: int
    min_duration: timedelta = timedelta(0)
    approval: Approval = Approval.AUTO  # asked for before the step is entered


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSpec:
    strategy: Strategy | None = None
    steps: tuple[Step, ...] = ()
    min_duration: timedelta | None = None  # spec.rollout.blueGreen.minDuration
    approval: Approval | None = None  # spec.rollout.blueGreen.approval
    max_duration: timedelta | None = None
    on_inconclusive: OnInconclusive | None = None
    on_failure: OnFailure | None = None
    capacity: Capacity | None = None
    unachievable_weight: Unachievable | None = None
    progress_deadline: timedelta | None = None
    keep_warm: timedelta | None = None
    history_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRateSpec:
    max_increase: float | None = None
    min_effect: float | None = None
    min_ratio: float | None = None
    max: float | None = None


class Source(StrEnum):
    PODS = "Pods"  # their own counters
    PROMETHEUS = "Prometheus"


class PredictionShift(StrEnum):
    """What a candidate that predicts otherwise than stable is in for."""

    DISABLED = "Disabled"
    HOLD = "Hold"
    ROLLBACK = "Rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisSpec:
    source: Source | None = None
    prometheus_url: str | None = None
    metrics: tuple[CustomMetric, ...] = ()
    error_rate: ErrorRateSpec = ErrorRateSpec()
    latency_max_ratio: float | None = None
    prediction_shift: PredictionShift | None = None
    interval: timedelta | None = None
    min_duration: timedelta | None = None
    min_requests: int | None = None
    false_rollback: float | None = None
    false_promote: float | None = None


class ServiceType(StrEnum):
    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    type: ServiceType | None = None
    port: int | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisruptionSpec:
    max_unavailable: int | str | None = None  # pods, or a percentage like "25%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    model: ModelSpec
    replicas: int = 1
    serving: ServingSpec = ServingSpec()
    rollout: RolloutSpec = RolloutSpec()
    analysis: AnalysisSpec = AnalysisSpec()
    service: ServiceSpec = ServiceSpec()  # spec.traffic.service
    disruption: DisruptionSpec = DisruptionSpec()
    webhooks: tuple[WebhookSpec, ...] = ()  # spec.analysis.webhooks
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """spec.rollout with every default made explicit. The last step is always the switch (weight 100)."""

    strategy: Strategy
    steps: tuple[Step, ...]
    min_duration: timedelta
    approval: Approval
    max_duration: timedelta
    on_inconclusive: OnInconclusive
    on_failure: OnFailure
    capacity: Capacity
    unachievable_weight: Unachievable
    progress_deadline: timedelta
    keep_warm: timedelta
    history_limit: int


SWITCH = Step(weight=100)
DEFAULT_STEPS = (Step(weight=10), Step(weight=50), SWITCH)
DEFAULT_PORT = 80
DEFAULT_MAX_UNAVAILABLE = 1


def policy_of(spec: RolloutSpec) -> Policy:
    return Policy(
        strategy=spec.strategy or Strategy.CANARY,
        steps=_to_the_switch(spec.steps) or DEFAULT_STEPS,
        min_duration=timedelta(0) if spec.min_duration is None else spec.min_duration,
        approval=spec.approval or Approval.AUTO,
        max_duration=timedelta(hours=24) if spec.max_duration is None else spec.max_duration,
        on_inconclusive=spec.on_inconclusive or OnInconclusive.HOLD,
        on_failure=spec.on_failure or OnFailure.ROLLBACK,
        capacity=spec.capacity or Capacity.SAFE,
        unachievable_weight=spec.unachievable_weight or Unachievable.ROUND,
        progress_deadline=timedelta(minutes=10) if spec.progress_deadline is None else spec.progress_deadline,
        keep_warm=timedelta(minutes=10) if spec.keep_warm is None else spec.keep_warm,
        history_limit=10 if spec.history_limit is None else spec.history_limit,
    )


def _to_the_switch(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return steps if not steps or steps[-1].weight == SWITCH.weight else (*steps, SWITCH)
