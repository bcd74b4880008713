"""What the status shows besides its decisions: conditions, counts, printer columns, the scale selector.

Everything here is derived; nothing here is ever read by a decision, except by people.
"""

from __future__ import annotations

from dataclasses import replace

from headgate_operator import contract
from headgate_operator.api.model import ByVersion, brief
from headgate_operator.api.spec import DEFAULT_PORT
from headgate_operator.api.status import Status
from headgate_operator.core.conditions import conditions_of
from headgate_operator.core.gates import SWITCH, VERIFY, held_by
from headgate_operator.core.rollouts import policy_status
from headgate_operator.core.view import View

NO_REVISION = "none"
"""What the public Service selects before any revision is stable: nothing, and nothing by accident."""


def summarise(view: View, status: Status) -> Status:
    status = _counted(view, status)
    if status.rollout is not None:
        status = replace(status, rollout=replace(status.rollout, policy=policy_status(view.policy)))
    stable = status.stable
    status = replace(
        status,
        url=f"http://{view.name}.{view.namespace}.svc:{view.spec.service.port or DEFAULT_PORT}",
        wanted=_wanted_text(view, status),
        serving=_serving_text(status),
        ready=_ready_text(view, status),
        replicas=len(view.pods(stable.revision)) if stable else 0,
        selector=(
            f"{contract.LABEL_DEPLOYMENT}={view.name},"
            f"{contract.LABEL_REVISION} in ({stable.revision if stable else NO_REVISION})"
        ),
    )
    return replace(status, conditions=conditions_of(view, status))


def _counted(view: View, status: Status) -> Status:
    stable, candidate = status.stable, status.candidate
    if stable is not None:
        stable = replace(
            stable, replicas=len(view.pods(stable.revision)), ready_replicas=view.ready_pods(stable.revision)
        )
    if candidate is not None:
        gates = VERIFY if candidate.verified_at is None else SWITCH
        held = held_by(gates, view, status, candidate)
        candidate = replace(
            candidate,
            replicas=len(view.pods(candidate.revision)),
            ready_replicas=view.ready_pods(candidate.revision),
            waiting_for=held.message[:512] if held else None,
        )
    return replace(status, stable=stable, candidate=candidate)


def _wanted_text(view: View, status: Status) -> str:
    ref = view.spec.model.ref
    if isinstance(ref, ByVersion):
        return ref.version
    model = status.model
    known = model.resolved if model and model.resolved_from == model.requested else None
    return f"{known.version if known else '?'} ({brief(ref)})"


def _serving_text(status: Status) -> str:
    serving, rollout = status.stable.version if status.stable else "none", status.rollout
    if status.candidate is not None:
        return f"{serving} -> {status.candidate.version}"
    if rollout is not None and rollout.from_revision is not None and status.previous is not None:
        return f"{status.previous.version} -> {serving}"
    return serving


def _ready_text(view: View, status: Status) -> str:
    ready = status.stable.ready_replicas if status.stable else 0
    return f"{ready}/{view.spec.replicas}"
