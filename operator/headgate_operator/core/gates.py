"""What a candidate must show before it is verified, and what must hold before it gets the traffic.

Each gate says in a few words what is being waited for, or None. The first that holds is what the user reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from headgate_operator.api.durations import format_time
from headgate_operator.api.reasons import Reason
from headgate_operator.api.spec import Approval, Strategy
from headgate_operator.api.status import ApprovalStatus, Candidate, RolloutReason, Status
from headgate_operator.core.failures import digests_of
from headgate_operator.core.observed import GoldenPassed, GoldenUnknown, PodReady
from headgate_operator.core.sizes import sizes
from headgate_operator.core.view import Trouble, View, pods_say
from headgate_operator.core.wanted import frozen, paused_by
from headgate_operator.core.webhooks import webhooks_approve

Gate = Callable[[View, Status, Candidate], Trouble | None]


def pods_ready(view: View, status: Status, candidate: Candidate) -> Trouble | None:
    wanted = sizes(view, status).candidate
    if view.complete(candidate.revision, wanted):
        return None
    ready = f"{view.ready_pods(candidate.revision)} of {wanted} pods are ready"
    why = pods_say(view, candidate.revision)
    return Trouble(Reason.VERIFYING, f"{ready} ({why})" if why else ready)


def pods_serve_this_revision(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    for pod in view.pods(candidate.revision):
        told = pod.readiness
        right = isinstance(told, PodReady) and (told.version, told.revision) == (candidate.version, candidate.revision)
        if not right:
            return Trouble(Reason.VERIFYING, f"pod {pod.name} has not confirmed that it serves this revision")
    return None


def digests_agree(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    digests = digests_of(view, candidate)
    if digests and len(set(digests)) == 1:
        return None
    return Trouble(Reason.VERIFYING, "the pods have not agreed on the digest of the model's files")


def in_preview(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    ready = {endpoint.pod for endpoint in view.children.preview_endpoints if endpoint.ready}
    if {pod.name for pod in view.pods(candidate.revision)} == ready:
        return None
    return Trouble(Reason.VERIFYING, "not every pod is an endpoint of the preview Service yet")


def proven(view: View, candidate: Candidate) -> bool:
    """A digest is recorded only once the golden prediction has passed, and these are the same files: an undo must not
    wait for the registry while a bad version serves."""
    recorded = view.children.digests.get(candidate.revision)
    return recorded is not None and set(digests_of(view, candidate)) == {recorded}


def golden_passed(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    if proven(view, candidate):
        return None
    if view.example_trouble is not None:
        return Trouble(Reason.GOLDEN_UNAVAILABLE, f"the input example: {view.example_trouble.message}")
    for pod in view.pods(candidate.revision):
        if isinstance(pod.golden, GoldenPassed):
            continue
        why = pod.golden.message if isinstance(pod.golden, GoldenUnknown) else "not asked yet"
        return Trouble(Reason.VERIFYING, f"the golden prediction of pod {pod.name}: {why}")
    return None


def scaled_up(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    return Trouble(Reason.SCALED_TO_ZERO, "spec.replicas is 0") if view.spec.replicas == 0 else None


def not_paused(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    why = paused_by(view, status)
    return Trouble(Reason.PAUSED, why) if why is not None and frozen(view, status) else None


def unhindered(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    if view.children.conflict:
        return Trouble(Reason.NAME_CONFLICT, view.children.conflict)
    return None


def verified(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    return None if candidate.verified_at is not None else Trouble(Reason.VERIFYING, "being verified")


def approval_of(status: Status, step: int) -> ApprovalStatus | None:
    """A person's word on entering that step of this rollout."""
    rollout = status.rollout
    return next((given for given in rollout.approvals if given.step == step), None) if rollout else None


def forced(status: Status, step: int) -> bool:
    given = approval_of(status, step)
    return given is not None and given.regardless


def switch_approved(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    """Nobody is asked before the first version, nor by who undoes something."""
    rollout = status.rollout
    asked = view.policy.strategy is Strategy.BLUE_GREEN and view.policy.approval is Approval.MANUAL
    if not asked or status.stable is None or rollout is None or rollout.reason is RolloutReason.UNDO:
        return None
    if approval_of(status, 0) is not None:
        return None
    return Trouble(Reason.WAITING_FOR_APPROVAL, "the switch wants an approval: headgate promote")


def min_duration_passed(view: View, status: Status, candidate: Candidate) -> Trouble | None:
    due = (candidate.verified_at or view.now) + view.policy.min_duration
    if view.now >= due or forced(status, 0):
        return None
    return Trouble(Reason.WAITING_FOR_MIN_DURATION, f"the switch is due at {format_time(due)}")


def previous_gone(view: View, status: Status, candidate: Candidate) -> Trouble | None:  # noqa: ARG001
    if status.previous is None:
        return None
    return Trouble(Reason.DRAINING_PREVIOUS, f"version {status.previous.version} finishes its requests first")


# In the order of what is asked: cheap and likely first. The shell asks pods for a golden prediction only when the gates
# before it are open.
BEFORE_GOLDEN: tuple[Gate, ...] = (scaled_up, pods_ready, pods_serve_this_revision, digests_agree, in_preview)
VERIFY: tuple[Gate, ...] = (*BEFORE_GOLDEN, golden_passed)
# Pods that scaling has added since the verification show here that they serve the same files.
BEFORE_WEBHOOKS: tuple[Gate, ...] = (
    verified, *BEFORE_GOLDEN, not_paused, unhindered, min_duration_passed, switch_approved,
)  # fmt: skip
READY_TO_SWITCH: tuple[Gate, ...] = (*BEFORE_WEBHOOKS, webhooks_approve)
SWITCH: tuple[Gate, ...] = (*READY_TO_SWITCH, previous_gone)


def held_by(gates: Iterable[Gate], view: View, status: Status, candidate: Candidate) -> Trouble | None:
    return next(filter(None, (gate(view, status, candidate) for gate in gates)), None)
