"""`headgate why`: what a person on call reads, from real decisions of the real core."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from canary_lab import canary
from core_lab import Lab, serving
from headgate_cli import evidence, why
from headgate_operator.api.decisions import Decided, DecidedBy
from headgate_operator.api.reasons import Reason
from headgate_operator.api.spec import Approval, OnFailure, Step
from headgate_operator.core.evidence import words
from told_lab import object_of


def told(lab: Lab) -> str:
    return "\n".join(why.lines(why.explain(object_of(lab)), lab.now))


def test_a_canary_that_waits_tells_what_for_and_on_which_numbers() -> None:
    lab = canary(5)
    lab.wait(125)
    text = told(lab)
    assert "iris (namespace ml): rollout 2, version 1 to 2, is under way for 2m" in text
    assert "step 1 of 3 (10 %), for 2m" in text
    assert "share of the traffic: wanted 10 %, the pods make 25 %, observed 25 %" in text
    assert "WaitingForEvidence: about " in text
    assert "requests to version 2, " in text
    assert "EVIDENCE         WORSE   ROLLED BACK AT   NO WORSE   GOES ON AT" in text
    assert "version 2 got its first traffic, step 1 (10 %), decided by the rules of the spec: verified" in text
    assert "To go on without waiting: headgate promote iris" in text


def test_a_rollback_tells_the_gate_the_numbers_and_how_to_try_again() -> None:
    lab = canary(100, version={"errors": 0.1})
    lab.wait(120)
    text = told(lab)
    assert "ended " in text
    assert "as RolledBack" in text
    assert "version 2 was rolled back, decided by the evidence: errors 10.0 % of " in text
    assert "rejected\n  version 2 with any settings" in text
    assert "headgate retry iris" in text


def test_people_are_named() -> None:
    lab = canary(0, steps=(Step(weight=10), Step(weight=50, approval=Approval.MANUAL)))
    lab.order("promote")
    lab.settle()
    assert "step 2 by erika, 0s ago" in told(lab)
    lab.order("abort")
    lab.settle()
    assert "the rollout of version 2 was aborted, decided by erika: aborted by erika" in told(lab)


@pytest.mark.parametrize(
    ("lab", "advice"),
    [
        (lambda: canary(100, version={"errors": 0.1}, on_failure=OnFailure.HOLD).wait(120), "onFailure is Hold"),
        (lambda: canary(0, max_duration=timedelta(minutes=5)).wait(400), "onInconclusive is Hold"),
        (lambda: serving(), "Nothing needs to be done."),
    ],
)
def test_what_to_do_follows_from_what_it_waits_for(lab: Any, advice: str) -> None:
    assert advice in told(lab())


def test_a_pause_is_ended_where_it_was_said() -> None:
    lab = canary(0)
    lab.order("pause")
    lab.settle()
    assert "To go on: headgate resume iris" in told(lab)
    lab = canary(0)
    lab.edit(paused=True)
    lab.settle()
    assert "To go on: set spec.paused to false." in told(lab)


def test_an_object_that_no_operator_has_seen_is_said_to_be_one() -> None:
    obj = {"metadata": {"name": "iris", "namespace": "ml"}, "spec": {}}
    assert why.lines(why.explain(obj), serving().now) == [
        "iris (namespace ml): nothing has been rolled out yet.",
        "",
        "what to do",
        "  The operator has not looked at it yet.",
    ]


def test_programs_get_the_same() -> None:
    lab = canary(5)
    lab.wait(125)
    explained = json.loads(json.dumps(why.explain(object_of(lab))))
    assert explained["lastDecision"]["what"] == "Widened"
    assert [one["what"] for one in explained["decisions"]] == ["Widened", "StepReached"]
    assert explained["candidate"]["evidence"]["gates"][0]["gate"] == "errorRate"
    assert explained["progressing"]["reason"] == "WaitingForEvidence"


def test_reasons_and_decisions_are_those_of_the_operator() -> None:
    assert set(why.NEXT) <= {str(reason) for reason in Reason}
    assert set(why.decisions._SENTENCES) == {str(what) for what in Decided}
    assert set(why.decisions._BY) | {"Person"} == {str(by) for by in DecidedBy}


@pytest.mark.parametrize("value", [-3.0, 0.0, 0.4, 2.3, 4.09, 9.0, 20.7, 300.0])
def test_evidence_reads_as_in_the_operators_words(value: float) -> None:
    assert evidence.e_value(value) == words.evidence(value)


def test_a_full_bar_is_a_bound_that_was_reached() -> None:
    assert evidence.bar(evidence.Measure(4.0, 4.0), plain=True) == "#" * evidence.WIDTH
    assert evidence.bar(evidence.Measure(3.99, 4.0), plain=True).endswith("#.")
    assert evidence.bar(evidence.Measure(-2.0, 4.0), plain=True) == "." * evidence.WIDTH


def test_figures_that_cannot_be_read_are_no_trace() -> None:
    assert evidence.gates({"gates": [{"gate": "x", "harm": "?"}]})[0].harm == (0.0, 0.0)
