"""A wall clock that is set back: what waits for a time waits for it once more at most, and nothing comes early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from canary_lab import canary
from core_lab import AT_ONCE, Lab, ordered, serving
from headgate_operator.api.spec import Approval, Step
from headgate_operator.api.webhooks import WebhookSpec, When
from headgate_operator.core.clock_rules import TOLERATED
from headgate_operator.core.ledger import decisions_of
from headgate_operator.core.replies import Replied

SHORT = timedelta(seconds=20)


@dataclass(frozen=True)
class Waiting:
    begun: Callable[[], Lab]
    over: Callable[[Lab], bool]


def warm() -> Lab:
    lab = serving(keep_warm=SHORT)
    lab.want("2")
    return lab.settle()


def draining() -> Lab:
    lab = serving(keep_warm=timedelta(0))
    lab.behaves("1", counters=None)  # nobody says that its connections are idle: the backstop it is
    lab.want("2")
    return lab.settle()


def held_before_the_switch() -> Lab:
    lab = serving(min_duration=SHORT)
    lab.want("2")
    return lab.settle()


def never_ready() -> Lab:
    lab = serving(progress_deadline=SHORT)
    lab.behaves("2", ready=False)
    lab.want("2")
    return lab.settle()


def silent_after_the_switch() -> Lab:
    lab = warm()
    lab.rollout(keep_warm=timedelta(minutes=10))
    lab.behaves("2", ready=False)
    return lab.settle()


WAITS = {
    "keepWarm": Waiting(warm, lambda lab: lab.status.previous is None),
    "the drain's backstop": Waiting(draining, lambda lab: lab.status.previous is None),
    "minDuration": Waiting(held_before_the_switch, lambda lab: lab.stable == "2"),
    "progressDeadline": Waiting(never_ready, lambda lab: lab.candidate is None),
    "the guard": Waiting(silent_after_the_switch, lambda lab: lab.stable == "1"),
    "a step": Waiting(lambda: canary(3000), lambda lab: lab.status.candidate is None or lab.status.candidate.step != 0),
}


def seconds_until(waiting: Waiting, *, jump_after: int = -1, back: timedelta = timedelta(0)) -> int:
    """As a stopwatch has them."""
    lab = waiting.begun()
    for passed in range(400):
        if waiting.over(lab):
            return passed
        if passed == jump_after:
            lab.now -= back
        lab.wait(1)
    raise AssertionError("it waits for ever")


@pytest.mark.parametrize("what", WAITS)
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.integers(1, 70), st.integers(int(TOLERATED.total_seconds()) + 1, 100_000))
def test_a_wait_begins_once_more_at_most_and_is_never_shorter(what: str, after: int, back: int) -> None:
    undisturbed = seconds_until(WAITS[what])
    disturbed = seconds_until(WAITS[what], jump_after=after, back=timedelta(seconds=back))
    assert undisturbed <= disturbed <= min(after, undisturbed) + undisturbed + 12  # evidence begins with a baseline


def test_a_successor_whose_clock_is_a_little_behind_writes_nothing() -> None:
    for waiting in (WAITS["keepWarm"], WAITS["minDuration"]):
        lab = waiting.begun()
        status = lab.status
        lab.away(seconds=-2)
        assert lab.status == status


def test_a_webhook_is_asked_again_in_time() -> None:
    bot = WebhookSpec(name="bot", url="https://bots.example.com/x", when=When.BEFORE_PROMOTION)
    lab = serving()
    lab.edit(webhooks=(bot,), rollout=AT_ONCE)
    lab.webhooks = {"bot": Replied(approve=False, message="not yet")}
    lab.want("2")
    lab.settle()
    lab.now -= timedelta(hours=1)
    lab.settle()
    lab.webhooks = {"bot": Replied(approve=True, message="")}
    lab.wait(400)
    assert lab.stable == "2"


def test_a_clock_that_is_set_back_decides_nothing_anew() -> None:
    lab = canary(steps=(Step(weight=10), Step(weight=50, approval=Approval.MANUAL)))
    lab.wait(60)
    ordered(lab, "promote")
    told, events = decisions_of(lab.status), len(lab.events)
    assert lab.status.rollout is not None
    assert lab.status.rollout.approvals
    lab.now -= timedelta(hours=1)
    lab.settle()
    assert lab.status.rollout.approvals[0].at == lab.now
    assert decisions_of(lab.status) == told
    assert len(lab.events) == events


def test_a_shorter_keep_warm_is_for_the_next_rollout_while_the_clock_is_right() -> None:
    lab = serving()
    lab.want("2")
    lab.settle()
    lab.rollout(keep_warm=timedelta(0))
    lab.wait(300)
    assert lab.status.previous is not None


def test_a_status_without_times_in_the_future_is_left_alone() -> None:
    lab = canary()
    status = lab.status
    lab.now += timedelta(seconds=1)
    lab.settle()
    assert replace(lab.status, conditions=(), evidence=None) == replace(status, conditions=(), evidence=None)
