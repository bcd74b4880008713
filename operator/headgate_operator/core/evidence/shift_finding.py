"""What a shift of the predictions means for the verdict, and the same in words."""

from __future__ import annotations

from dataclasses import replace
from math import log

from headgate_operator.api.spec import PredictionShift
from headgate_operator.core.evidence import words
from headgate_operator.core.evidence.finding import Names
from headgate_operator.core.evidence.judgement import Judgement, Verdict
from headgate_operator.core.evidence.policy import PREDICTION_SHIFT, EvidencePolicy
from headgate_operator.core.evidence.shift import RELEVANT, Shift

TOLD = 2
"""Bins in the words: those that moved most."""
HARM = f"{PREDICTION_SHIFT}.harm"


def with_shift(policy: EvidencePolicy, judgement: Judgement, shift: Shift, names: Names) -> Judgement:
    """Proof that the candidate is worse is told first. Else nothing that is waited for helps against a shift."""
    if shift.bins is None:
        return judgement
    evidence, bound = shift.evidence.log_value, policy.rollback_bound
    judgement = replace(judgement, log_e={**judgement.log_e, HARM: evidence}, bounds={**judgement.bounds, HARM: bound})
    if judgement.verdict is Verdict.ROLLBACK or evidence < bound or shift.index < RELEVANT:
        return judgement
    told = f"predictions of {names.candidate} differ from those of {names.stable}: {_moved(shift)}"
    reason = f"{told} (PSI {shift.index:.2f}, limit {RELEVANT:g}) {words.against_bound(evidence, bound)}"
    if policy.prediction_shift is PredictionShift.ROLLBACK:
        return replace(judgement, verdict=Verdict.ROLLBACK, gate=PREDICTION_SHIFT, reason=reason, missing=None)
    missing = f"{told}; somebody to look at it: promote or abort"
    held = replace(judgement, verdict=Verdict.WAIT, gate=PREDICTION_SHIFT, reason=reason, missing=missing)
    return replace(held, wants_a_person=True)


def _moved(shift: Shift) -> str:
    """Of what was compared; whole per cents, so that the words seldom change."""
    if shift.bins is None:
        return ""
    m, n = sum(shift.stable), sum(shift.candidate)
    shares = [(s / m, c / n) for s, c in zip(shift.stable, shift.candidate, strict=True)]
    by_part = sorted(range(len(shares)), key=lambda index: _part(*shares[index], 0.5 / (m + n)), reverse=True)
    told = [f"{shift.bins.words(i)} {_percent(shares[i][0])} -> {_percent(shares[i][1])}" for i in by_part[:TOLD]]
    return ", ".join(told)


def _part(before: float, after: float, little: float) -> float:
    return (after - before) * log((after + little) / (before + little))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
