"""The children that the status asks for, complete and deterministic. Rendered from revisions, never from spec.

So what serves can be repaired or made again at any time, also while the wish is something else entirely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headgate_operator import contract
from headgate_operator.api.spec import DEFAULT_MAX_UNAVAILABLE, DEFAULT_PORT, Capacity, ServiceType, Strategy
from headgate_operator.api.status import By, Candidate, Outcome, Phase, Previous, Rollout, Stable, Status
from headgate_operator.core.revision import Revision
from headgate_operator.core.rollouts import child_name
from headgate_operator.core.sizes import shares_traffic, sizes
from headgate_operator.core.stored import revision_data
from headgate_operator.core.summary import NO_REVISION
from headgate_operator.core.template import labels_of
from headgate_operator.core.traffic_rules import BACKSTOP
from headgate_operator.core.view import View
from headgate_operator.core.wanted import wished_revisions
from headgate_operator.core.weights import least_stable

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A revision that shall have a Deployment, and how large."""

    revision: Revision
    replicas: int
    digest: str | None


def render(view: View, status: Status) -> list[Obj]:
    """In the order in which they must come into being."""
    roles = roles_of(view, status)
    return [
        *(controller_revision(view, role.revision) for role in roles),
        *(config_map(view, role.revision, role.digest) for role in roles if role.digest is not None),
        *(deployment(view, role.revision, role.replicas) for role in roles),
        *([preview_service(view, status.candidate)] if status.candidate else []),
        public_service(view, status),
        *disruption_budget(view, status),
    ]


def roles_of(view: View, status: Status) -> list[Role]:
    """A revision that is not stored (any more) cannot be rendered: what runs of it is left as it is."""
    known = {revision.hash: revision for revision in wished_revisions(view, status)}
    known |= {revision.hash: revision for revision in view.revisions}
    held = [(role, size) for role, size in _sizes(view, status) if role.revision in known]
    return [Role(revision=known[role.revision], replicas=size, digest=role.digest) for role, size in held]


def _sizes(view: View, status: Status) -> Iterable[tuple[Stable | Candidate | Previous, int]]:
    wanted = sizes(view, status)
    if status.stable is not None:
        yield status.stable, wanted.stable
    if status.candidate is not None:
        yield status.candidate, wanted.candidate
    if status.previous is not None:
        yield status.previous, wanted.previous


def controller_revision(view: View, revision: Revision) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": _child_metadata(view, revision),
        "revision": revision.number,
        "data": revision_data(revision),
    }


def config_map(view: View, revision: Revision, digest: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _child_metadata(view, revision),
        "data": {contract.DIGEST_KEY: digest},
    }


def deployment(view: View, revision: Revision, replicas: int) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _child_metadata(view, revision),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": selector(view.name, revision.hash)},
            "template": dict(revision.template),
        },
    }


def public_service(view: View, status: Status) -> Obj:
    service = view.spec.service
    labels = {**service.labels, **service_labels(view)}
    return _service(
        view,
        name=view.name,
        labels=labels,
        annotations=service.annotations,
        revision=public_revision(view, status),
        port=service.port or DEFAULT_PORT,
        kind=service.type or ServiceType.CLUSTER_IP,
    )


def public_revision(view: View, status: Status) -> str | None:
    """What the public Service shall select at this moment: None = the pods of every revision. Else stable, unless that
    would cut off what still answers."""
    target = status.stable.revision if status.stable else NO_REVISION
    if _may_be_wide(view, status) or _still_wide(view, status, target):
        return None
    live = view.children.public.revision if view.children.public else None
    if _lost_pods_since(view, status, target):
        return live
    if live is None or live == target or (status.candidate is not None and live == status.candidate.revision):
        return target
    if status.stable is None and view.deployment(live) is not None and not never_served(status, live):
        return live  # status has forgotten what serves: a moment without ready pods is no reason to cut it off for good
    return live if view.ready_pods(live) > 0 and view.ready_pods(target) == 0 else target


def _lost_pods_since(view: View, status: Status, target: str) -> bool:
    """Pods died between the decision to promote and its write: what has the traffic keeps it, for as long as a pod may
    take to be replaced. A switch that is never written would keep out the very version that mends it."""
    rollout = status.rollout
    if rollout is None or rollout.outcome is not Outcome.PROMOTED or rollout.decided_at is None:
        return False
    public = view.children.public
    before = status.previous.revision if status.previous else None
    if public is None or public.revision not in {None, before} or view.now - rollout.decided_at >= BACKSTOP:
        return False
    return view.ready_pods(target) < min(view.spec.replicas, view.publicly_ready)


def _may_be_wide(view: View, status: Status) -> bool:
    """Only while exactly the two revisions that share the traffic have pods: a wide selector reaches them all."""
    stable, candidate = status.stable, status.candidate
    if stable is None or candidate is None or candidate.step is None or not shares_traffic(status):
        return False
    with_pods = {pod.revision for pod in view.children.pods if not pod.terminating}
    return view.spec.replicas > 0 and with_pods <= {stable.revision, candidate.revision}


def _still_wide(view: View, status: Status, target: str) -> bool:
    """The traffic of a canary goes to one side, and that side cannot take it yet: nobody answers there, or (where there
    is nothing against the other) not enough of its pods are back."""
    rollout = status.rollout
    if rollout is None or rollout.phase is Phase.VERIFYING or not view.wide or view.spec.replicas == 0:
        return False
    before = status.previous.revision if status.previous else ""
    other = rollout.to_revision if rollout.to_revision != target else before
    if view.ready_pods(other) == 0:
        return False
    if view.ready_pods(target) == 0:
        return True
    in_time = rollout.decided_at is not None and view.now - rollout.decided_at < BACKSTOP
    return in_time and view.ready_pods(target) < _waited_for(view, status, rollout)


def _waited_for(view: View, status: Status, rollout: Rollout) -> int:
    """Ready pods without which the traffic is not moved. A version that fails is left at once, for however few; one
    that is only wanted no more, for all of them. A person who takes a rolling rollout back may be in a hurry, and all
    the load on the one pod that is left of ten may be worse than what they saw: for half of them."""
    if rollout.outcome in _IN_NO_HURRY:
        return view.spec.replicas
    by_a_person = any(entry.revision == rollout.to_revision and entry.by in _PERSONS for entry in status.rejected)
    if rollout.outcome is Outcome.ROLLED_BACK and rollout.strategy == Strategy.ROLLING and by_a_person:
        return least_stable(Capacity.ECONOMICAL, view.spec.replicas)
    return 0


def disruption_budget(view: View, status: Status) -> list[Obj]:
    """One, over the pods that have the traffic: an eviction fails for good where two speak of one pod. So it follows
    the public Service, stays with stable while a candidate shares it, and there is none before anything serves."""
    selected = public_revision(view, status)
    revision = selected or (status.stable.revision if status.stable else NO_REVISION)
    if revision == NO_REVISION:
        return []
    asked = view.spec.disruption.max_unavailable
    budget = {
        "maxUnavailable": DEFAULT_MAX_UNAVAILABLE if asked is None else asked,
        # Set by somebody else it would make ours invalid for as long as it stands.
        "minAvailable": None,
        "selector": {"matchLabels": selector(view.name, revision)},
        # A pod that answers nobody protects nobody: else a broken version would hold up every drain of its node.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return [
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {
                "name": view.name,
                "namespace": view.namespace,
                "labels": service_labels(view),
                "ownerReferences": [owner_reference(view)],
            },
            "spec": budget,
        }
    ]


_PERSONS = {By.ABORT, By.UNDO}
_IN_NO_HURRY = {Outcome.CANCELLED, Outcome.SUPERSEDED}
_WITHOUT_TRAFFIC = {Outcome.FIRST_ROLLOUT_FAILED, Outcome.CANCELLED, Outcome.SUPERSEDED}


def never_served(status: Status, revision: str) -> bool:
    """History says so. What history does not speak of may well serve: the status can have been lost."""
    outcomes = {entry.outcome for entry in status.history if entry.to_revision == revision}
    return bool(outcomes) and outcomes <= _WITHOUT_TRAFFIC


def preview_service(view: View, candidate: Candidate) -> Obj:
    return _service(
        view,
        name=preview_name(view.name),
        labels=service_labels(view),
        annotations={},
        revision=candidate.revision,
        port=DEFAULT_PORT,
    )


def preview_name(name: str) -> str:
    return f"{name}-candidate"


def selector(name: str, revision: str | None) -> dict[str, str]:
    narrow = {} if revision is None else {contract.LABEL_REVISION: revision}
    return {contract.LABEL_DEPLOYMENT: name, **narrow}


def _service(
    view: View,
    *,
    name: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    revision: str | None,
    port: int,
    kind: ServiceType = ServiceType.CLUSTER_IP,
) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": view.namespace,
            "labels": dict(labels),
            **({"annotations": dict(annotations)} if annotations else {}),
            "ownerReferences": [owner_reference(view)],
        },
        "spec": {
            "type": str(kind),
            "selector": selector(view.name, revision),
            "ports": [{"name": contract.PORT_NAME, "port": port, "protocol": "TCP", "targetPort": contract.PORT_NAME}],
        },
    }


def service_labels(view: View) -> dict[str, str]:
    """Without a revision: these live as long as the ModelDeployment."""
    return {
        contract.LABEL_NAME: contract.SERVER_NAME,
        contract.LABEL_INSTANCE: view.name,
        contract.LABEL_MANAGED_BY: contract.MANAGED_BY,
        contract.LABEL_PART_OF: contract.PART_OF,
        contract.LABEL_DEPLOYMENT: view.name,
    }


def _child_metadata(view: View, revision: Revision) -> Obj:
    return {
        "name": child_name(view.name, revision.hash),
        "namespace": view.namespace,
        "labels": labels_of(view.name, revision.hash, revision.identity.version),
        "ownerReferences": [owner_reference(view)],
    }


def owner_reference(view: View) -> Obj:
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "name": view.name,
        "uid": view.uid,
        "controller": True,
        # Else clusters with the owner-reference admission plugin ask for update on modeldeployments/finalizers.
        "blockOwnerDeletion": False,
    }
