"""`headgate status NAME --watch`: a rollout as it goes."""

from __future__ import annotations

from datetime import timedelta

from canary_lab import canary
from headgate_cli import live
from headgate_cli.watching import without_ages
from told_lab import object_of


def test_the_picture_has_steps_share_pods_evidence_and_what_is_waited_for() -> None:
    lab = canary(5)
    lab.wait(125)
    lines = live.picture(object_of(lab), lab.now, plain=True)
    assert lines[0] == "iris (namespace ml)  rollout 2  1 -> 2  Canary, AliasMoved, for 2m"
    assert "steps     [10 %]  50 %  100 %" in lines
    assert "now       step 1 of 3 (10 %), for 2m" in lines
    assert "share     wanted 10 %, the pods make 25 %, observed 25 %" in lines
    assert "pods      version 2: 1/1 ready" in lines
    assert "pods      version 1: 3/3 ready" in lines
    bars = [line for line in lines if "#" in line or "...." in line]
    assert len(bars) == 6, "two of each gate"
    assert any(line.startswith("  errors          worse     ....") for line in lines)
    assert any(line.startswith("waiting   about ") for line in lines)
    assert "step 1 (10 %) was reached" in lines[-2]


def test_at_rest_the_picture_is_the_detail() -> None:
    lab = canary(100)
    lab.wait(900)
    assert "serving  version 2, 3/3 ready" in "\n".join(live.picture(object_of(lab), lab.now))


def test_a_log_gets_a_line_for_each_change() -> None:
    lab = canary(5)
    lab.wait(125)
    obj = object_of(lab)
    line = live.line(obj, lab.now)
    assert line.startswith("2026-03-01T12:02:05Z  rollout 2 1 -> 2 25 %; Canary; step 1/3 10 %; wanted 10 %")
    assert "; errors worse 0.5 of 60, no worse 1.1 of 20; " in line
    assert "; waits: about " in line
    assert without_ages([line]) == without_ages([live.line(obj, lab.now + timedelta(seconds=90))])


def test_a_log_says_when_it_is_over() -> None:
    lab = canary(100, version={"errors": 0.2})
    lab.wait(120)
    assert "1 serves, 3/3 ready; RolledBack: " in live.line(object_of(lab), lab.now)


def test_a_switch_says_what_it_waits_for() -> None:
    lab = canary(0)
    lab.endpoints_follow = False
    lab.order("abort")
    lab.settle()
    lines = live.picture(object_of(lab), lab.now)
    assert "waiting   the endpoints to show the switch" in lines
    assert "aborted, decided by erika" in "\n".join(lines)
