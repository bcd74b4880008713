"""The feed with the real engines behind it: what pods count becomes a verdict."""

from __future__ import annotations

from datetime import timedelta

from feed_lab import ARMS, BEGAN, IRIS, Process, Server
from headgate_operator.core.evidence import engine, guard
from headgate_operator.core.evidence.guard import GuardPolicy, GuardState
from headgate_operator.core.evidence.judgement import Verdict
from headgate_operator.core.evidence.policy import LADDER, EvidencePolicy
from headgate_operator.core.evidence.state import EvidenceState
from headgate_operator.feed import Feed
from headgate_operator.feeds.engines import GuardTerms, OneArm, TwoArms


class Clock:
    def __init__(self) -> None:
        self.now, self.steady = BEGAN, 0.0

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.steady += seconds


def server(role: str) -> Server:
    """Long warm."""
    made = Server(role, Process(ARMS[role], -3600.0, LADDER), BEGAN - timedelta(hours=1))
    made.answers(1000, bucket=20)
    return made


def verdict_after(minutes: int, *, bad: int, slow: int = 0) -> Verdict:
    feed, policy, clock = Feed(TwoArms()), EvidencePolicy(), Clock()
    servers = {role: server(role) for role in ARMS}
    state: EvidenceState | None = None
    for _ in range(minutes * 6 + 1):
        state = feed.take(IRIS, 1, policy, state, ARMS, [one.told(clock) for one in servers.values()], clock.now)  # type: ignore[arg-type]
        servers["stable"].answers(900, bucket=20)
        servers["candidate"].answers(100 - bad, bucket=20 + slow)
        servers["candidate"].answers(bad, code=500, bucket=20)
        clock.passes(10)
    assert state is not None
    return engine.judge(policy, state, seconds_in_step=60.0 * minutes, requests_in_step=100 * minutes).verdict


def test_pods_that_answer_well_are_promoted() -> None:
    assert verdict_after(5, bad=0) is Verdict.PROMOTE


def test_pods_that_fail_are_rolled_back() -> None:
    assert verdict_after(2, bad=20) is Verdict.ROLLBACK


def test_pods_that_are_slow_are_rolled_back() -> None:
    assert verdict_after(2, bad=0, slow=6) is Verdict.ROLLBACK


def test_a_version_that_serves_alone_is_guarded() -> None:
    feed, terms, clock = Feed(OneArm()), GuardTerms(GuardPolicy()), Clock()
    serves = server("stable")
    state: GuardState | None = None
    for _ in range(4):
        state = feed.take(IRIS, 1, terms, state, {"stable": ARMS["stable"]}, [serves.told(clock)], clock.now)  # type: ignore[arg-type]
        serves.answers(50, code=500)
        clock.passes(10)
    assert state is not None
    assert guard.alarm(terms.policy, state) is not None
