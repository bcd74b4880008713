"""What a rollout's evidence is kept as: small, and written to status as it is. Numbers are text: `evidence.numbers`."""

from __future__ import annotations

from dataclasses import dataclass, field

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareState:
    """A gate on the share of bad requests."""

    harm: str = ""
    safety: str = ""
    ceiling: str = ""
    history: str = ""  # stable's bad and all requests behind the guess of its rate: for harm, for safety
    dispersion: str = ""
    totals: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyState:
    """The gate on latency: a harm process an edge, safety at one of them, and the histograms of both arms so far."""

    harm: tuple[str, ...] = ()
    safety: str = ""
    dispersion: tuple[str, ...] = ()
    stable: str = ""
    candidate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftState:
    """The gate on predictions: what both versions say, in bins that are found in what stable said first."""

    first: str = ""  # what stable said until there were bins
    bins: str = ""
    evidence: str = ""
    dispersion: str = ""
    last: str = ""  # stable's last interval
    stable: str = ""
    candidate: str = ""


@dataclass(frozen=True, kw_only=True)
class EvidenceState:
    """Not `slots`: the engine notes on the object what its text reads as, and need not read it again."""

    format: int = 0
    checks: int = 0
    seconds: int = 0  # the end of the last interval, since the candidate got traffic
    candidate_requests: int = 0
    rows: tuple[str, ...] = ()  # the last intervals' raw counts
    errors: ShareState = field(default_factory=ShareState)
    client_errors: ShareState = field(default_factory=ShareState)
    latency: LatencyState = field(default_factory=LatencyState)
    predictions: ShiftState = field(default_factory=ShiftState)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardState:
    """Of a version that serves alone, while the one before it is warm."""

    format: int = 0
    harm: str = ""
    totals: str = field(default="0 0")  # requests and errors
