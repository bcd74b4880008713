"""What the status shows besides its decisions: conditions, counts, printer columns, the scale selector.

Everything here is derived, for people. Two things are read again by decisions, as what the last pass has shown: how
many pods of the candidate were ready, and the steps that approvals were given for.
"""

from __future__ import annotations

from dataclasses import replace

from headgate_operator import contract
from headgate_operator.api.model import ByVersion, brief
from headgate_operator.api.spec import DEFAULT_PORT
from headgate_operator.api.status import Status, TrafficStatus
from headgate_operator.core.analysis import figures, judged
from headgate_operator.core.baseline import still_there
from headgate_operator.core.conditions import conditions_of
from headgate_operator.core.evidence.engine import observed_share
from headgate_operator.core.rollouts import policy_status
from headgate_operator.core.sizes import at_step, shares_traffic
from headgate_operator.core.view import View
from headgate_operator.core.waiting import waits_for

NO_REVISION = "none"
"""What the public Service selects before any revision is stable: nothing, and nothing by accident."""


def summarise(view: View, status: Status) -> Status:
    # What is told of the evidence is what is written of it: else the words would change, and be written, every tick.
    view = replace(view, evidence=status.evidence)
    status = replace(status, traffic=_traffic(view, status))
    status = _counted(view, status)
    if status.rollout is not None:
        status = replace(status, rollout=replace(status.rollout, policy=policy_status(view.policy)))
    status = replace(
        status,
        url=f"http://{view.name}.{view.namespace}.svc:{view.spec.service.port or DEFAULT_PORT}",
        wanted=_wanted_text(view, status),
        serving=_serving_text(status),
        ready=_ready_text(view, status),
        replicas=sum(len(view.pods(revision)) for revision in _with_traffic(status)),
        selector=(
            f"{contract.LABEL_DEPLOYMENT}={view.name},"
            f"{contract.LABEL_REVISION} in ({','.join(_with_traffic(status)) or NO_REVISION})"
        ),
    )
    return replace(status, conditions=conditions_of(view, status))


def _with_traffic(status: Status) -> list[str]:
    """Warm and waiting pods are idle: they would dilute an autoscaler's average."""
    stable, candidate = status.stable, status.candidate if shares_traffic(status) else None
    return [role.revision for role in (stable, candidate) if role is not None]


def _counted(view: View, status: Status) -> Status:
    stable, candidate = status.stable, status.candidate
    if stable is not None:
        stable = replace(
            stable,
            replicas=len(view.pods(stable.revision)),
            ready_replicas=view.ready_pods(stable.revision),
            restarts_before=still_there(view, stable.revision, stable.restarts_before),
        )
    if candidate is not None:
        held, judgement = waits_for(view, status), judged(view, status)
        candidate = replace(
            candidate,
            replicas=len(view.pods(candidate.revision)),
            ready_replicas=view.ready_pods(candidate.revision),
            restarts_before=still_there(view, candidate.revision, candidate.restarts_before),
            waiting_for=held.message[:512] if held else None,
            verdict=judgement.verdict.capitalize() if judgement else None,
            evidence=figures(view, status),
        )
    return replace(status, stable=stable, candidate=candidate)


def _traffic(view: View, status: Status) -> TrafficStatus | None:
    candidate = status.candidate
    if candidate is None or candidate.step is None or view.spec.replicas == 0:
        return None
    share = at_step(view, status, candidate.step).share
    observed = observed_share(status.evidence) if status.evidence is not None else None
    return TrafficStatus(
        desired=str(candidate.weight),
        achievable=_percent(float(share)),
        observed=None if observed is None else _percent(observed),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0")


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
        share = f" {status.traffic.achievable} %" if status.traffic is not None else ""
        return f"{serving} -> {status.candidate.version}{share}"
    if rollout is not None and rollout.from_revision is not None and status.previous is not None:
        return f"{status.previous.version} -> {serving}"
    return serving


def _ready_text(view: View, status: Status) -> str:
    ready = status.stable.ready_replicas if status.stable else 0
    return f"{ready}/{view.spec.replicas}"
