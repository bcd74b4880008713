"""What was decided is on record: by whom, at which step, why, and on which figures."""

from __future__ import annotations

import json
from datetime import timedelta

from canary_lab import canary
from core_lab import Lab, serving
from headgate_operator.api.codec import to_json
from headgate_operator.api.decisions import Decided, DecidedBy, Decision
from headgate_operator.api.spec import Approval, OnInconclusive, Step, Strategy
from headgate_operator.core.ledger import CAPACITY, decisions_of
from headgate_operator.core.observed import PodNotReady

BROKEN = PodNotReady(reason="LoadFailed", permanent=True, message="no such file")


def ledger(lab: Lab) -> list[Decision]:
    """Of the rollout under way, else of the last."""
    if lab.status.rollout is not None:
        return list(lab.status.rollout.decisions)
    return list(lab.status.history[-1].decisions)


def told(lab: Lab) -> list[tuple[str, str, int | None]]:
    return [(str(one.what), str(one.by), one.step) for one in ledger(lab)]


def test_a_promotion_on_evidence_is_on_record_step_by_step() -> None:
    lab = canary(100)
    lab.wait(900)
    assert lab.outcomes[-1] == "Promoted"
    assert told(lab) == [
        ("Widened", "Policy", 0),
        ("StepReached", "Policy", 0),
        ("StepEntered", "Analysis", 1),
        ("StepReached", "Policy", 1),
        ("StepEntered", "Analysis", 2),
        ("StepReached", "Policy", 2),
        ("Promoted", "Analysis", 2),
    ]
    assert [one.weight for one in ledger(lab) if one.what is Decided.STEP_ENTERED] == [50, 100]


def test_a_decision_tells_the_figures_it_rests_on() -> None:
    lab = canary(100)
    lab.wait(900)
    decision = next(one for one in ledger(lab) if one.what is Decided.STEP_ENTERED)
    assert decision.figures is not None
    assert decision.figures.requests > 500
    assert decision.figures.stable_requests > decision.figures.requests
    assert {gate.gate for gate in decision.figures.gates} == {"errorRate", "clientErrors", "latency"}
    for gate in decision.figures.gates:
        assert float(gate.safety) >= float(gate.safety_bound)
        assert float(gate.harm) < float(gate.harm_bound)
    assert f"{decision.figures.requests:,}" in decision.reason or decision.gate == "latency"


def test_a_rollback_on_evidence_names_the_gate_and_its_evidence() -> None:
    lab = canary(100, version={"errors": 0.1})
    lab.wait(120)
    last = ledger(lab)[-1]
    assert (last.what, last.by, last.gate, last.step) == (Decided.ROLLED_BACK, DecidedBy.ANALYSIS, "errorRate", 0)
    assert "version 2 is worse than version 1" in last.reason
    assert last.figures is not None
    errors = next(gate for gate in last.figures.gates if gate.gate == "errorRate")
    assert float(errors.harm) >= float(errors.harm_bound)


def test_people_are_named() -> None:
    lab = canary(0, steps=(Step(weight=10), Step(weight=50, approval=Approval.MANUAL)))
    lab.order("promote")
    lab.settle()
    approved = ledger(lab)[-1]
    assert (approved.what, approved.by, approved.person, approved.step) == ("Approved", "Person", "erika", 1)
    lab.order("promote")
    lab.settle()
    entered = next(one for one in ledger(lab) if one.what is Decided.STEP_ENTERED)
    assert (entered.by, entered.person) == (DecidedBy.PERSON, "erika")
    assert "regardless of evidence: " in entered.reason
    lab.order("abort")
    lab.settle()
    assert (ledger(lab)[-1].what, ledger(lab)[-1].person) == (Decided.ABORTED, "erika")


def test_an_undo_in_the_middle_is_a_persons() -> None:
    lab = canary(0)
    lab.order("undo")
    lab.settle()
    last = ledger(lab)[-1]
    assert (last.what, last.by, last.person, last.reason) == ("Undone", "Person", "erika", "undone by erika")


def test_a_full_promotion_is_one_approval() -> None:
    lab = canary(0)
    lab.order("promote", args={"full": True})
    lab.settle()
    assert [one.step for one in ledger(lab) if one.what is Decided.APPROVED] == [2]
    assert told(lab)[-1] == ("Promoted", "Person", 2)


def test_without_a_verdict_the_policy_has_decided() -> None:
    forth = canary(0, max_duration=timedelta(minutes=30), on_inconclusive=OnInconclusive.PROMOTE)
    forth.wait(1900)
    entered = next(one for one in ledger(forth) if one.what is Decided.STEP_ENTERED)
    assert (entered.by, entered.gate) == (DecidedBy.POLICY, "Inconclusive")
    back = canary(0, max_duration=timedelta(minutes=30), on_inconclusive=OnInconclusive.ROLLBACK)
    back.wait(1900)
    assert (ledger(back)[-1].what, ledger(back)[-1].gate) == (Decided.ROLLED_BACK, "Inconclusive")


def test_rollouts_without_steps_are_on_record_too() -> None:
    lab = serving()
    assert told(lab) == [("Promoted", "Policy", None)]
    assert ledger(lab)[-1].figures is None
    lab.want("2")
    lab.settle()
    assert told(lab) == [("Promoted", "Policy", None)]
    lab.order("undo")
    lab.settle()
    assert told(lab) == [("Undone", "Person", None)]
    assert lab.status.rollout is None


def test_a_version_that_cannot_be_loaded_is_on_record_though_its_rollout_ends_at_once() -> None:
    lab = serving()
    lab.behaves("2", ready=False, says=BROKEN)
    lab.want("2")
    lab.settle()
    assert told(lab) == [("RolledBack", "Load", None)]
    assert "no such file" in ledger(lab)[-1].reason


def test_the_guard_is_named() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    lab.behaves("2", restarts=2)
    lab.settle()
    assert told(lab)[-1] == ("RolledBack", "Guard", None)


def test_zero_replicas_narrow_and_steps_that_change_are_entered_anew() -> None:
    lab = canary(0)
    lab.edit(replicas=0)
    lab.settle()
    assert told(lab)[-1] == ("Narrowed", "Policy", 0)
    lab.edit(replicas=3)
    lab.settle()
    assert ("Widened", "Policy", 0) in told(lab)[3:]
    lab.rollout(steps=(Step(weight=25),))
    lab.settle()
    entered = [one for one in ledger(lab) if one.what is Decided.STEP_ENTERED]
    assert [(one.by, one.reason) for one in entered] == [(DecidedBy.POLICY, "the steps of the spec have changed")]


def test_a_newer_version_in_the_middle_is_on_record() -> None:
    lab = canary(0)
    lab.want("3")
    lab.settle()
    assert told(lab)[0] == ("Widened", "Policy", 0)
    past = [str(one.what) for number, one in decisions_of(lab.status) if number == lab.status.history[-1].rollout]
    assert past[-1] == "Superseded"


def test_only_the_newest_entry_of_history_keeps_its_decisions() -> None:
    lab = canary(0)
    lab.order("abort")
    lab.settle()
    assert [bool(entry.decisions) for entry in lab.status.history] == [False, True]


def test_every_decision_is_told_once() -> None:
    lab = canary(100)
    lab.wait(900)
    reasons = [event.reason for event in lab.events]
    assert (reasons.count("Widened"), reasons.count("StepEntered"), reasons.count("StepReached")) == (1, 2, 3)
    entered = next(event for event in lab.events if event.reason == "StepEntered")
    assert entered.message.startswith("step 2 (50 %), by Analysis: ")
    switching = [event for event in lab.events if event.reason == "Switching"][-1]
    assert switching.message.startswith("traffic moves to version 2: ")


def test_the_candidates_evidence_is_that_of_the_checkpoint() -> None:
    lab = canary(100)
    lab.wait(65)
    candidate, kept = lab.status.candidate, lab.status.evidence
    assert candidate is not None
    assert candidate.evidence is not None
    assert kept is not None
    assert candidate.evidence.requests == kept.candidate_requests
    assert candidate.evidence.stable_requests > 0


def test_reasons_are_cut_to_what_the_crd_takes() -> None:
    lab = serving()
    lab.behaves("2", ready=False, says=PodNotReady(reason="LoadFailed", permanent=True, message="x" * 10_000))
    lab.want("2")
    lab.settle()
    assert len(ledger(lab)[-1].reason) <= 512


def test_a_rollout_of_twenty_steps_is_a_status_of_moderate_size() -> None:
    steps = tuple(Step(weight=weight, approval=Approval.MANUAL) for weight in range(1, 21))
    lab = serving(replicas=3, strategy=Strategy.CANARY, steps=steps)
    lab.want("2")
    lab.settle()
    for _ in range(60):
        lab.order("promote")
        lab.settle()
        if lab.status.rollout is None:
            break
    assert lab.outcomes[-1] == "Promoted"
    assert len(ledger(lab)) <= CAPACITY
    lab.want("3")
    lab.requests = 100
    lab.wait(65)
    assert len(json.dumps(to_json(lab.status))) < 128 * 1024


def test_the_ledger_is_bounded_whatever_people_do() -> None:
    lab = canary(0)
    for number in range(2 * CAPACITY):
        lab.rollout(steps=(Step(weight=10 + number % 2), Step(weight=50)))
        lab.settle()
    assert len(ledger(lab)) == CAPACITY
