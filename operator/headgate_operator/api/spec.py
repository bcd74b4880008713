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

from headgate_operator.api.model import ModelRef
from headgate_operator.api.webhooks import WebhookSpec


class Strategy(StrEnum):
    BLUE_GREEN = "BlueGreen"


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
class RolloutSpec:
    strategy: Strategy | None = None
    min_duration: timedelta | None = None  # spec.rollout.blueGreen.minDuration
    progress_deadline: timedelta | None = None
    keep_warm: timedelta | None = None
    history_limit: int | None = None


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
    service: ServiceSpec = ServiceSpec()  # spec.traffic.service
    disruption: DisruptionSpec = DisruptionSpec()
    webhooks: tuple[WebhookSpec, ...] = ()  # spec.analysis.webhooks
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """spec.rollout with every default made explicit."""

    strategy: Strategy
    min_duration: timedelta
    progress_deadline: timedelta
    keep_warm: timedelta
    history_limit: int


DEFAULT_PORT = 80
DEFAULT_MAX_UNAVAILABLE = 1


def policy_of(spec: RolloutSpec) -> Policy:
    return Policy(
        strategy=spec.strategy or Strategy.BLUE_GREEN,
        min_duration=timedelta(0) if spec.min_duration is None else spec.min_duration,
        progress_deadline=timedelta(minutes=10) if spec.progress_deadline is None else spec.progress_deadline,
        keep_warm=timedelta(minutes=10) if spec.keep_warm is None else spec.keep_warm,
        history_limit=10 if spec.history_limit is None else spec.history_limit,
    )
