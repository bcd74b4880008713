"""Everything one pass knows, in one value: what the decisions are functions of, together with the status.

The questions that several rules ask of it stand here, each in the words of the domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from headgate_operator.api.evidence import EvidenceState, GuardState
from headgate_operator.api.reasons import Reason
from headgate_operator.api.spec import Policy, Spec, policy_of
from headgate_operator.core.command import Command, Malformed
from headgate_operator.core.evidence.custom import Finding
from headgate_operator.core.observed import (
    Children,
    Deployment,
    Pod,
    PodNotReady,
    Refusal,
    Resolution,
    Unresolved,
)
from headgate_operator.core.replies import Reply
from headgate_operator.core.revision import Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    namespace: str
    name: str
    uid: str
    generation: int
    spec: Spec
    resolution: Resolution
    revisions: tuple[Revision, ...]
    children: Children
    default_image: str
    now: datetime
    watching_since: datetime  # this process has looked at the key since then without a break
    command: Command | Malformed | None = None
    told_at: datetime | None = None  # when this process last wrote a status that only counted otherwise
    refused: Refusal | None = None
    example_trouble: Unresolved | None = None  # the input example could not be read from the registry
    replies: Mapping[tuple[str, int], Reply] = field(default_factory=dict)  # of webhooks, by question and attempt
    metrics: tuple[Finding, ...] = ()  # what is known of spec.analysis.metrics
    source_trouble: str = ""  # why Prometheus, where it is the source, gives no counts
    evidence: EvidenceState | None = None  # with what this process has seen since the status was written
    guard: GuardState | None = None  # the same of a version that serves alone

    def watched(self, since: datetime) -> timedelta:
        """How much of the time since then this process has really watched: what nobody saw proves nothing."""
        return self.now - max(since, self.watching_since)

    @property
    def policy(self) -> Policy:
        return policy_of(self.spec.rollout)

    def revision(self, name: str) -> Revision | None:
        return next((revision for revision in self.revisions if revision.hash == name), None)

    def deployment(self, revision: str) -> Deployment | None:
        return self.children.deployments.get(revision)

    def all_pods(self, revision: str) -> tuple[Pod, ...]:
        return tuple(pod for pod in self.children.pods if pod.revision == revision)

    def pods(self, revision: str) -> tuple[Pod, ...]:
        """Without those that are on their way out."""
        return tuple(pod for pod in self.all_pods(revision) if not pod.terminating)

    def ready_pods(self, revision: str) -> int:
        return sum(pod.ready for pod in self.pods(revision))

    def complete(self, revision: str, wanted: int) -> bool:
        """So many pods exist and are Ready, by the Deployment's word and by the pods' own."""
        deployment, pods = self.deployment(revision), self.pods(revision)
        return (
            deployment is not None
            and deployment.current
            and deployment.wanted == wanted
            and deployment.ready >= wanted
            and len(pods) == wanted
            and all(pod.ready for pod in pods)
        )

    @property
    def publicly_ready(self) -> int:
        return sum(endpoint.ready for endpoint in self.children.public_endpoints)

    def has_public_endpoints(self, revision: str) -> bool:
        names = {pod.name for pod in self.all_pods(revision)}
        return any(endpoint.pod in names for endpoint in self.children.public_endpoints)

    @property
    def wide(self) -> bool:
        """The public Service selects the pods of every revision."""
        return self.children.public is not None and self.children.public.revision is None

    def publicly_selected(self, revision: str) -> bool:
        return self.children.public is not None and self.children.public.revision == revision

    def reached(self, revision: str) -> bool:
        """Whether requests may arrive at its pods, now or when the next of them is ready."""
        if self.wide and self.pods(revision):
            return True
        return self.publicly_selected(revision) or self.has_public_endpoints(revision)

    def switched(self, revision: str) -> bool:
        """No other revision is a public endpoint (any more), whether or not this one answers."""
        names = {pod.name for pod in self.all_pods(revision)}
        endpoints = self.children.public_endpoints
        return self.publicly_selected(revision) and all(endpoint.pod in names for endpoint in endpoints)

    def switch_seen(self, revision: str) -> bool:
        """The public endpoints are this revision's alone: the selector's change has arrived where traffic is routed."""
        return self.switched(revision) and (self.publicly_ready > 0 or self.spec.replicas == 0)

    @property
    def hindered(self) -> bool:
        """Objects of our names are not ours (yet, or at all): nothing new may begin."""
        return bool(self.children.conflict or self.children.awaiting_collection)


_ON_THE_WAY = {"Loading", "WarmingUp", "Draining"}


def pods_say(view: View, revision: str) -> str:
    """Why a pod is not ready, in its own words, where that is more than taking its time; empty where none says so."""
    told = (pod.readiness for pod in sorted(view.pods(revision), key=lambda pod: pod.name))
    troubles = (answer for answer in told if isinstance(answer, PodNotReady) and answer.reason not in _ON_THE_WAY)
    return next((f"{answer.reason}: {answer.message}" for answer in troubles), "")


_REGISTRY_TROUBLE = {
    "RegistryUnreachable": Reason.REGISTRY_UNREACHABLE,
    "RegistryUnauthorized": Reason.REGISTRY_UNAUTHORIZED,
    "RegistryHostRejected": Reason.REGISTRY_HOST_REJECTED,
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """A cause outside the model: retried for as long as it lasts, never held against a version."""

    reason: Reason
    message: str


def outside_trouble(view: View, revision: str) -> Trouble | None:
    if view.refused is not None and view.refused.hinders:
        reason = Reason.QUOTA if view.refused.quota else Reason.REFUSED_BY_API_SERVER
        return Trouble(reason, f"{view.refused.kind} {view.refused.name}: {view.refused.message}")
    deployment = view.deployment(revision)
    if deployment is not None and deployment.refusal and len(view.pods(revision)) < deployment.wanted:
        return Trouble(Reason.QUOTA, deployment.refusal)
    return next(filter(None, map(_pod_trouble, view.pods(revision))), None)


def _pod_trouble(pod: Pod) -> Trouble | None:
    if pod.trouble is not None:
        return Trouble(pod.trouble, pod.message)
    if isinstance(pod.readiness, PodNotReady) and not pod.readiness.permanent:
        reason = _REGISTRY_TROUBLE.get(pod.readiness.reason)
        if reason is not None:
            return Trouble(reason, pod.readiness.message)
    return None
