"""What the candidate waits for at this moment, in the words of the gate that holds it."""

from __future__ import annotations

from headgate_operator.api.status import Candidate, Status
from headgate_operator.core.canary_gates import (
    BEFORE_ASKING,
    BEFORE_WIDENING,
    LEAVE_STEP,
    REACH_STEP,
    WIDENED,
    enters_the_last,
)
from headgate_operator.core.gates import BEFORE_WEBHOOKS, SWITCH, VERIFY, Gate, held_by
from headgate_operator.core.sizes import in_steps, shares_traffic
from headgate_operator.core.view import Trouble, View


def waits_for(view: View, status: Status) -> Trouble | None:
    candidate = status.candidate
    return None if candidate is None else held_by(_gates(status, candidate), view, status, candidate)


def promotion_is_next(view: View, status: Status) -> bool:
    """Nothing but the word of webhooks is missing for the candidate to get all the traffic."""
    candidate = status.candidate
    if candidate is None:
        return False
    if not in_steps(status):
        return held_by(BEFORE_WEBHOOKS, view, status, candidate) is None
    if shares_traffic(status) and candidate.step_started_at is None:
        return False
    before = BEFORE_ASKING if shares_traffic(status) else BEFORE_WIDENING
    return enters_the_last(view, status, candidate) and held_by(before, view, status, candidate) is None


def _gates(status: Status, candidate: Candidate) -> tuple[Gate, ...]:
    if shares_traffic(status):
        return REACH_STEP if candidate.step_started_at is None else LEAVE_STEP
    if candidate.verified_at is None:
        return VERIFY
    return WIDENED if in_steps(status) else SWITCH
