"""Mirrored pairs, answered by both versions: is the share of pairs in which they disagree above a limit, or below it?

Disagreement is not harm, since a better version disagrees too. It rolls back only where somebody has set a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Self

from headgate_operator.core.evidence import words
from headgate_operator.core.evidence.judgement import Judgement, Verdict
from headgate_operator.core.evidence.one_arm import ABOVE, BELOW, log_evidence
from headgate_operator.core.evidence.terms import DOUBT

DISAGREEMENT = "disagreement"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowPolicy:
    max_disagreement: float = 0.02
    rolls_back: bool = False  # somebody has set that limit
    min_duration: float = 60.0
    min_pairs: float = 50
    false_rollback: float = 0.05
    false_promote: float = 0.05


@dataclass(frozen=True, slots=True)
class Pairs:
    compared: float = 0.0
    disagree: float = 0.0

    def plus(self, compared: float, disagree: float) -> Self:
        """Pairs that contradict themselves (more disagreements than pairs) are no data."""
        if not 0 <= disagree <= compared:
            return self
        return type(self)(self.compared + compared, self.disagree + disagree)


def judge(policy: ShadowPolicy, pairs: Pairs, seconds: float) -> Judgement:
    limit = policy.max_disagreement
    above = log_evidence(ABOVE, pairs.compared, pairs.disagree, limit)
    below = log_evidence(BELOW, pairs.compared, pairs.disagree, limit)
    alarm, passed = -log(policy.false_rollback), -log(policy.false_promote)
    share = words.percent(pairs.disagree, pairs.compared)
    facts = f"the versions disagree on {share} of {words.count(pairs.compared)} pairs"
    if above >= alarm:
        verdict = Verdict.ROLLBACK if policy.rolls_back else Verdict.WAIT
        missing = None if policy.rolls_back else "somebody to look at it: no limit was set"
        reason = f"{facts}: more than {words.rate(limit)} {words.against_bound(above, alarm)}"
    elif below >= passed and above < DOUBT:
        missing = _minimum(policy, pairs, seconds)
        verdict = Verdict.WAIT if missing else Verdict.PROMOTE
        reason = f"{facts}: less than {words.rate(limit)} {words.against_bound(below, passed)}"
    else:
        verdict, missing = Verdict.WAIT, "more pairs"
        evidence = words.against_bound(below, passed)
        reason = f"{facts}: neither more nor less than {words.rate(limit)} is proven {evidence}"
    return Judgement(
        verdict,
        DISAGREEMENT,
        reason,
        missing,
        {f"{DISAGREEMENT}.harm": above, f"{DISAGREEMENT}.safety": below},
        {f"{DISAGREEMENT}.harm": alarm, f"{DISAGREEMENT}.safety": passed},
    )


def _minimum(policy: ShadowPolicy, pairs: Pairs, seconds: float) -> str | None:
    if pairs.compared < policy.min_pairs:
        return f"{words.count(policy.min_pairs - pairs.compared)} more pairs"
    if seconds < policy.min_duration:
        return f"{words.duration(policy.min_duration - seconds)} more"
    return None
