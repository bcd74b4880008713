"""The ledger of a rollout: what was decided when, by whom, and on which figures. Written with the decision itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Decided(StrEnum):
    WIDENED = "Widened"  # the candidate shares the traffic from now on
    STEP_REACHED = "StepReached"  # pods and endpoints are what the step asks for
    STEP_ENTERED = "StepEntered"
    NARROWED = "Narrowed"  # out of the traffic and not given up
    APPROVED = "Approved"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    UNDONE = "Undone"
    FIRST_ROLLOUT_FAILED = "FirstRolloutFailed"
    CANCELLED = "Cancelled"
    SUPERSEDED = "Superseded"
    REVERTED = "Reverted"


class DecidedBy(StrEnum):
    ANALYSIS = "Analysis"
    GUARD = "Guard"
    LOAD = "Load"
    PREFLIGHT = "Preflight"
    POLICY = "Policy"
    PERSON = "Person"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFigures:
    """Evidence of one gate against its bounds: natural logarithms of e-values, as decimal text."""

    gate: str
    harm: str
    harm_bound: str
    safety: str
    safety_bound: str
    ceiling: str | None = None  # against harm_bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What has been counted since the candidate got traffic, and what that proves."""

    requests: int = 0
    stable_requests: int = 0
    gates: tuple[GateFigures, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    at: datetime
    what: Decided
    by: DecidedBy
    person: str | None = None
    step: int | None = None  # counted from 0, as in candidate.step
    weight: int | None = None
    gate: str | None = None
    reason: str = ""
    figures: Figures | None = None
