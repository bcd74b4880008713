"""What must hold before a candidate shares the traffic, before a step is in force, and before it is left."""

from __future__ import annotations

from headgate_operator.api.durations import format_time
from headgate_operator.api.reasons import Reason
from headgate_operator.api.spec import Approval, OnInconclusive, Strategy, Unachievable
from headgate_operator.api.status import Candidate, Status
from headgate_operator.core.analysis import judged, least_duration, step_overdue
from headgate_operator.core.evidence.judgement import Verdict
from headgate_operator.core.gates import (
    BEFORE_GOLDEN,
    Gate,
    approval_of,
    forced,
    not_paused,
    pods_ready,
    previous_gone,
    scaled_up,
    unhindered,
    verified,
)
from headgate_operator.core.sizes import at_step, following_step, last_step, sizes, step_at
from headgate_operator.core.view import Trouble, View
from headgate_operator.core.webhooks import webhooks_approve
from headgate_operator.core.weights import achievable


def no_third_revision(view: View, status: Status, candidate: Candidate) -> Trouble | None:
    """A wide selector reaches whatever has pods."""
    ours = {candidate.revision, status.stable.revision if status.stable else ""}
    if status.previous is not None:  # makes way in its own time; `previous_gone` tells of it
        ours.add(status.previous.revision)
    others = sorted({pod.revision for pod in view.children.pods if not pod.terminating} - ours)
    if not others:
        return None
    return Trouble(Reason.DRAINING_PREVIOUS, f"the pods of revision {others[0]} go first")


def digest_recorded(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    """Pods that start later, perhaps while no operator runs, check their files against it."""
    if candidate.digest is not None and view.children.digests.get(candidate.revision) == candidate.digest:
        return None
    return Trouble(Reason.VERIFYING, "its digest is recorded first")


def weight_achievable(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    rolling = status.rollout is not None and status.rollout.strategy == Strategy.ROLLING  # has no weights to miss
    if rolling or view.policy.unachievable_weight is not Unachievable.REJECT:
        return None
    for step, asked in enumerate(view.policy.steps):
        choice = at_step(view, status, step)
        if not achievable(choice, asked.weight):
            share = f"{float(100 * choice.share):.3g}"
            return Trouble(
                Reason.UNACHIEVABLE_WEIGHT,
                f"{view.spec.replicas} replicas cannot express {asked.weight} % (nearest: {share} %); "
                "give more replicas, another weight, or unachievableWeight: Round",
            )
    return None


def approval_given(view: View, status: Status, candidate: Candidate) -> Trouble | None:
    following = following_step(candidate)
    if following > last_step(view, status) or approval_of(status, following) is not None:
        return None
    step = step_at(view, status, following)
    if step.approval is Approval.AUTO:
        return None
    return Trouble(
        Reason.WAITING_FOR_APPROVAL, f"step {following + 1} ({step.weight} %) wants an approval: headgate promote"
    )


def endpoints_follow(view: View, status: Status, candidate: Candidate) -> Trouble | None:
    """Every ready pod of both sides is a public endpoint: the share is what the numbers of pods say."""
    public = {endpoint.pod for endpoint in view.children.public_endpoints if endpoint.ready}
    revisions = [candidate.revision, *([status.stable.revision] if status.stable else [])]
    for revision in revisions:
        if any(pod.ready and pod.name not in public for pod in view.pods(revision)):
            return Trouble(Reason.SCALING, f"not every ready pod of revision {revision} gets traffic yet")
    return None


def stable_has_shrunk(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    """What a step takes away is gone before the next adds: else the total would exceed what was promised."""
    stable, wanted = status.stable, sizes(view, status).stable
    pods = len(view.pods(stable.revision)) if stable else 0
    return Trouble(Reason.SCALING, f"{pods} pods of the stable version become {wanted}") if pods > wanted else None


def evidence_suffices(view: View, status: Status, candidate: Candidate) -> Trouble | None:
    following = following_step(candidate)
    if following > last_step(view, status) or forced(status, following):
        return None  # everything was decided when the last step was entered
    judgement = judged(view, status)
    if judgement is None or judgement.verdict is Verdict.PROMOTE:
        return None
    if judgement.verdict is Verdict.ROLLBACK:
        return Trouble(Reason.ANALYSIS_FAILED, judgement.reason)
    why = judgement.missing or judgement.reason
    if judgement.wants_a_person or not step_overdue(view, candidate):
        return Trouble(Reason.WAITING_FOR_EVIDENCE, why)
    if view.policy.on_inconclusive is OnInconclusive.PROMOTE:
        return None
    return Trouble(Reason.INCONCLUSIVE, f"no verdict within maxDuration: {why}")


def step_has_lasted(view: View, status: Status, candidate: Candidate) -> Trouble | None:
    following = following_step(candidate)
    if candidate.step is None or candidate.step_started_at is None or following > last_step(view, status):
        return None
    due = candidate.step_started_at + least_duration(view, status, candidate.step)
    if view.now >= due or forced(status, following):
        return None
    return Trouble(
        Reason.WAITING_FOR_MIN_DURATION, f"step {candidate.step + 1} lasts until {format_time(due)} at least"
    )


def enters_the_last(view: View, status: Status, candidate: Candidate) -> bool:
    return following_step(candidate) >= last_step(view, status)


def webhooks_before_the_last(view: View, status: Status, candidate: Candidate) -> Trouble | None:
    """They are asked about the promotion, once: before the candidate goes on to all the traffic."""
    return webhooks_approve(view, status, candidate) if enters_the_last(view, status, candidate) else None


BEFORE_WIDENING: tuple[Gate, ...] = (
    verified, *BEFORE_GOLDEN, digest_recorded, not_paused, unhindered, no_third_revision, weight_achievable,
    approval_given,
)  # fmt: skip
WIDEN: tuple[Gate, ...] = (*BEFORE_WIDENING, webhooks_before_the_last)
WIDENED: tuple[Gate, ...] = (*WIDEN, previous_gone)
REACH_STEP: tuple[Gate, ...] = (scaled_up, pods_ready, endpoints_follow)
BEFORE_ASKING: tuple[Gate, ...] = (
    scaled_up, pods_ready, stable_has_shrunk, not_paused, unhindered, step_has_lasted, evidence_suffices,
    approval_given,
)  # fmt: skip
LEAVE_STEP: tuple[Gate, ...] = (*BEFORE_ASKING, webhooks_before_the_last)
