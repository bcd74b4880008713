"""What one gate finds: its evidence against its bounds, what that means, and the same in words."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from headgate_operator.core.evidence import planning, words
from headgate_operator.core.evidence.counts import Counts
from headgate_operator.core.evidence.latency import SAFETY_AT, SAFETY_MARGIN, SAFETY_RATIO, Ladder, Latency
from headgate_operator.core.evidence.policy import CLIENT_ERRORS, ERROR_RATE, LATENCY
from headgate_operator.core.evidence.share import Share
from headgate_operator.core.evidence.terms import DOUBT, Terms

NOUNS = {ERROR_RATE: "errors", CLIENT_ERRORS: "refused inputs (400, 422)", LATENCY: "latency"}
PLANNED_FROM = 50
"""Requests with stable's rate that a candidate is credited with when a plan is made from its own rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    candidate: str = "the candidate"
    stable: str = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    gate: str
    harm: float  # ln E against the candidate
    harm_bound: float
    safety: float  # ln E' for it
    safety_bound: float
    relevant: bool
    blocked: str = ""  # why it is not promoted, whatever the evidence
    more_to_promote: float = inf  # requests to the candidate, about
    more_to_roll_back: float = inf
    facts: str = ""
    allowed: str = ""
    ceiling: float | None = None

    @property
    def rolls_back(self) -> bool:
        if self.harm < self.harm_bound:
            return False
        return self.relevant or (self.ceiling is not None and self.ceiling >= self.harm_bound)

    @property
    def promotes(self) -> bool:
        return self.safety >= self.safety_bound and self.harm < DOUBT and not self.blocked

    @property
    def against(self) -> str:
        return words.against_bound(self.harm, self.harm_bound)

    @property
    def in_favour(self) -> str:
        return words.against_bound(self.safety, self.safety_bound)


def of_share(gate: str, terms: Terms, share: Share, last_minute: Counts, names: Names) -> Finding:
    totals, margin = share.totals, share.margin(terms)
    stable = share.safety_history.rate
    own = (totals.k_c + PLANNED_FROM * stable) / (totals.n_c + PLANNED_FROM)
    harm, safety = share.harm.log_value, share.safety.log_value
    ceiling = share.ceiling.log_value if terms.ceiling is not None else None
    above = terms.ceiling is not None and _above(totals, terms.ceiling, terms.min_effect)
    return Finding(
        gate=gate,
        harm=harm,
        harm_bound=terms.rollback_bound,
        safety=safety,
        safety_bound=terms.promote_bound,
        relevant=terms.relevant(totals) or terms.relevant(last_minute),
        ceiling=ceiling,
        blocked=f"{names.candidate} is above the ceiling of {words.rate(terms.ceiling or 0)}" if above else "",
        more_to_promote=planning.to_promote(terms.promote_bound - safety, own, stable + margin),
        more_to_roll_back=planning.to_roll_back(terms.rollback_bound - harm, own, stable),
        facts=_compared(NOUNS[gate], totals, names),
        allowed=f"{NOUNS[gate]} are at most {_points(margin)} above those of {names.stable}",
    )


def _above(totals: Counts, ceiling: float, min_effect: float) -> bool:
    if totals.n_c <= 0 or totals.n_s <= 0:
        return False
    candidate = totals.k_c / totals.n_c
    return candidate > ceiling and candidate - totals.k_s / totals.n_s >= min_effect


def _points(margin: float) -> str:
    points = f"{100 * margin:.3g}"
    return f"{points} percentage point{'' if points == '1' else 's'}"


def _compared(noun: str, totals: Counts, names: Names) -> str:
    return (
        f"{noun} {words.percent(totals.k_c, totals.n_c)} of {words.count(totals.n_c)} requests to {names.candidate}, "
        f"{words.percent(totals.k_s, totals.n_s)} of {words.count(totals.n_s)} to {names.stable}"
    )


def of_latency(terms: Terms, ladder: Ladder, latency: Latency, names: Names) -> Finding:
    harm, safety = latency.log_harm, latency.safety.log_value
    own, boundary, usual = _slow_shares(ladder, latency)
    return Finding(
        gate=LATENCY,
        harm=harm,
        harm_bound=terms.rollback_bound,
        safety=safety,
        safety_bound=terms.promote_bound,
        relevant=True,  # the buckets that the candidate is granted are its minimum effect
        more_to_promote=planning.to_promote(terms.promote_bound - safety, own, boundary),
        more_to_roll_back=planning.to_roll_back(terms.rollback_bound - harm, own, usual) if harm > DOUBT else inf,
        facts=_quantiles(ladder, latency, names),
        allowed=f"latency is at most {ladder.ratio:.3g} times that of {names.stable}",
    )


def _slow_shares(ladder: Ladder, latency: Latency) -> tuple[float, float, float]:
    """At the edge of safety: the candidate's share, the share that is too much, and stable's."""
    edge = latency.edge(SAFETY_AT)
    usual = 0.1 if edge is None else latency.guess(edge)
    at = None if edge is None else ladder.safe(edge)
    slow = 0.0 if at is None or not latency.candidate.counts else latency.candidate.slower(at)
    own = (slow + PLANNED_FROM * usual) / (latency.candidate.total + PLANNED_FROM)
    return own, SAFETY_RATIO * usual + SAFETY_MARGIN, usual


def _quantiles(ladder: Ladder, latency: Latency, names: Names) -> str:
    if not latency.candidate.total or not latency.stable.total:
        return "no latencies of both versions yet"
    told = []
    for label, share in (("median", 0.5), ("p90", 0.9), ("p99", 0.99)):
        ours, theirs = (_bound(ladder, histogram.edge(share)) for histogram in (latency.candidate, latency.stable))
        told.append(f"{label} {ours} against {theirs}")
    sizes = f"{words.count(latency.candidate.total)} and {words.count(latency.stable.total)} answers"
    return f"latency of {names.candidate} against {names.stable}: {', '.join(told)} ({sizes})"


def _bound(ladder: Ladder, edge: int | None) -> str:
    if edge is None:
        return f"above {words.milliseconds(ladder.bounds[-1])}"
    return f"<= {words.milliseconds(ladder.bounds[edge])}"
