"""What the evidence makes of a canary: promotion, rollback, waiting, and what is written of it."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from canary_lab import canary
from core_lab import WIDE, Lab
from headgate_operator.api.spec import AnalysisSpec, OnFailure, OnInconclusive, PredictionShift

OFTEN_NO = (("no", 0.88), ("yes", 0.12))
LESS_OFTEN = (("no", 0.6), ("yes", 0.4))


def test_an_equal_version_is_promoted_step_by_step() -> None:
    lab = canary(100)
    steps = set()
    for _ in range(60):
        lab.wait(10)
        if lab.status.candidate is not None:
            steps.add(lab.status.candidate.step)
    assert (lab.stable, lab.selected) == ("2", "2")
    assert steps == {0, 1}
    assert lab.outcomes[-1] == "Promoted"
    assert lab.quarantine == []


def test_a_version_with_more_errors_is_rolled_back_and_quarantined() -> None:
    lab = canary(100, version={"errors": 0.1})
    lab.wait(120)
    assert (lab.stable, lab.selected, lab.candidate) == ("1", "1", None)
    assert lab.deployed() == {"1": 3}
    assert lab.quarantine == [("2", "Model", "Analysis", "errorRate")]
    assert "errors 10.0 % of 750 requests" in (lab.status.history[-1].message or "")
    lab.wait(3600)
    assert lab.deployed() == {"1": 3}, "and stays away"


def test_a_slower_version_is_rolled_back_by_its_latency() -> None:
    lab = canary(100, version={"errors": 0.01, "seconds": 0.02})
    lab.wait(180)
    assert lab.quarantine == [("2", "Model", "Analysis", "latency")]


def test_no_traffic_is_neither_good_nor_bad() -> None:
    lab = canary(0)
    lab.wait(1800)
    assert (lab.selected, lab.candidate, lab.quarantine) == (WIDE, "2", [])
    assert lab.said("Progressing") == ("True", "WaitingForEvidence")
    assert "no requests to version 2" in lab.condition("Progressing").message


def test_an_outage_that_both_share_is_no_verdict() -> None:
    lab = canary(100)
    lab.behaves("1", errors=0.6)
    lab.behaves("2", errors=0.6)
    lab.wait(55)
    assert (lab.selected, lab.quarantine) == (WIDE, [])
    assert lab.status.candidate is not None
    assert lab.status.candidate.verdict == "Wait"


def test_on_failure_hold_waits_for_a_person() -> None:
    lab = canary(100, version={"errors": 0.1}, on_failure=OnFailure.HOLD)
    lab.wait(300)
    assert (lab.selected, lab.candidate) == (WIDE, "2")
    assert lab.said("Progressing")[1] == "AnalysisFailed"
    lab.order("abort")
    lab.settle()
    assert lab.selected == "1"


def other_mind(shift: PredictionShift | None = None) -> Lab:
    """A canary of a version that is as good and as fast as the stable one, and says other things."""
    lab = canary(100, version={"errors": 0.01, "predicts": LESS_OFTEN})
    lab.behaves("1", errors=0.01, predicts=OFTEN_NO)
    lab.edit(analysis=AnalysisSpec(prediction_shift=shift))
    return lab


def test_a_version_of_another_mind_waits_for_a_person_who_lets_it_go_on() -> None:
    lab = other_mind()
    lab.wait(1800)
    assert (lab.selected, lab.candidate, lab.quarantine) == (WIDE, "2", [])
    assert lab.said("Progressing") == ("True", "WaitingForEvidence")
    told = lab.condition("Progressing").message
    assert "predictions of version 2 differ from those of version 1: class yes 12 % -> 40 %" in told
    assert "promote or abort" in told
    lab.order("promote", args={"full": True})
    lab.settle()
    assert lab.stable == "2"


@pytest.mark.parametrize("on_inconclusive", OnInconclusive)
def test_what_is_proven_is_not_inconclusive(on_inconclusive: OnInconclusive) -> None:
    lab = other_mind()
    lab.rollout(max_duration=timedelta(minutes=30), on_inconclusive=on_inconclusive)
    lab.wait(7200)
    assert (lab.selected, lab.candidate, lab.quarantine) == (WIDE, "2", [])
    assert lab.said("Progressing") == ("True", "WaitingForEvidence")


def test_a_version_of_another_mind_is_taken_back_where_that_is_wanted() -> None:
    lab = other_mind(PredictionShift.ROLLBACK)
    lab.wait(300)
    assert lab.selected == "1"
    assert lab.quarantine == [("2", "Model", "Analysis", "predictionShift")]


def test_a_version_of_another_mind_goes_on_where_nobody_compares() -> None:
    lab = other_mind(PredictionShift.DISABLED)
    lab.wait(600)
    assert lab.stable == "2"


def test_without_a_verdict_max_duration_decides() -> None:
    held = canary(0, max_duration=timedelta(minutes=30))
    held.wait(3600)
    assert (held.selected, held.said("Progressing")[1]) == (WIDE, "Inconclusive")
    back = canary(0, max_duration=timedelta(minutes=30), on_inconclusive=OnInconclusive.ROLLBACK)
    back.wait(3600)
    assert (back.selected, back.quarantine) == ("1", [("2", "Revision", "Analysis", "Inconclusive")])
    forth = canary(0, max_duration=timedelta(minutes=30), on_inconclusive=OnInconclusive.PROMOTE)
    forth.wait(7200)
    assert forth.selected == "2"


def test_a_pause_holds_a_promotion_back_and_never_a_rollback() -> None:
    lab = canary(100)
    lab.edit(paused=True)
    lab.wait(900)
    assert lab.selected == WIDE
    lab.behaves("2", errors=0.2)
    lab.wait(180)
    assert lab.selected == "1"


def test_the_minimum_of_requests_counts_from_the_step() -> None:
    lab = canary(100)
    lab.edit(analysis=AnalysisSpec(min_requests=10_000))
    lab.wait(300)
    assert lab.status.candidate is not None
    assert lab.status.candidate.step == 0
    lab.wait(120)
    assert lab.status.candidate.step == 1, "25 of 100 requests a second were its own"
    lab.wait(120)
    assert lab.status.candidate is not None, "those of the first step would do for the second too"
    lab.wait(90)
    assert lab.stable == "2"


def test_another_process_goes_on_from_the_checkpoint() -> None:
    lab = canary(100)
    lab.wait(65)
    assert lab.status.evidence is not None
    checks, requests = lab.status.evidence.checks, lab.status.evidence.candidate_requests
    assert checks >= 5
    lab.away(seconds=20)
    lab.wait(30)
    assert lab.evidence is not None
    assert lab.evidence.checks > checks
    assert lab.evidence.candidate_requests > requests


def test_what_waits_for_evidence_is_written_once_a_minute_at_most() -> None:
    lab = canary(0.5)
    lab.wait(120)
    told, seen, children = [], lab.status, len(lab.writes)
    for _ in range(600):
        lab.wait(1)
        if lab.status != seen:
            told.append(lab.now)
            seen = lab.status
    assert len(told) == 10
    assert min(later - one for one, later in pairwise(told)) >= timedelta(minutes=1)
    assert len(lab.writes) == children, "and no child at all"


def test_the_observed_share_is_told_with_the_first_interval() -> None:
    lab = canary(100)
    lab.wait(12)
    assert lab.status.traffic is not None
    assert lab.status.traffic.observed == "25"


def test_a_decision_is_written_with_its_evidence() -> None:
    lab = canary(100)
    before = None
    while lab.status.candidate is not None and lab.status.candidate.step == 0:
        before = lab.status.evidence
        lab.wait(1)
    assert lab.status.candidate is not None
    assert lab.status.candidate.step == 1
    assert lab.status.evidence is not None
    assert lab.status.evidence == lab.evidence
    assert before is not None
    assert lab.status.evidence.checks > before.checks + 1, "that of the last minute is not what it was decided on"
