"""The feed with the real engines behind it: what pods count becomes a verdict."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from feed_lab import ARMS, BEGAN, IRIS, Process, Server
from headgate_operator.api.evidence import EvidenceState, GuardState
from headgate_operator.core.evidence import cases, engine, guard
from headgate_operator.core.evidence.guard import GuardPolicy
from headgate_operator.core.evidence.judgement import Judgement, Verdict
from headgate_operator.core.evidence.policy import LADDER, EvidencePolicy
from headgate_operator.feed import Feed
from headgate_operator.feeds.engines import GuardTerms, OneArm, TwoArms
from headgate_operator.logs import JsonLines
from headgate_operator.replay import replay

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "operator.md"


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


def run(minutes: int, *, bad: int, slow: int = 0) -> Iterator[Judgement]:
    """The candidate's requests are `bad` of 100, or `slow` buckets slower; a new pod of it comes after a minute."""
    feed, policy, clock = Feed(TwoArms()), EvidencePolicy(), Clock()
    servers = {role: server(role) for role in ARMS}
    state: EvidenceState | None = None
    for tick in range(minutes * 6 + 1):
        state = feed.take(IRIS, 1, policy, state, ARMS, [one.told(clock) for one in servers.values()], clock.now)  # type: ignore[arg-type]
        if tick:
            yield engine.judge(policy, state, seconds_in_step=10.0 * tick, requests_in_step=state.candidate_requests)
        if tick == 6:
            servers["new"] = Server("new", Process(ARMS["candidate"], clock.steady, LADDER), clock.now)
        for name, serves in servers.items():
            if name != "stable":
                serves.answers(100 - bad, bucket=20 + slow)
                serves.answers(bad, code=500, bucket=20)
        servers["stable"].answers(900, bucket=20)
        servers["stable"].answers(1, code=400, bucket=20)
        clock.passes(10)


def verdict_after(minutes: int, *, bad: int, slow: int = 0) -> Verdict:
    return deque(run(minutes, bad=bad, slow=slow), maxlen=1)[0].verdict


def test_pods_that_answer_well_are_promoted() -> None:
    assert verdict_after(5, bad=0) is Verdict.PROMOTE


def test_pods_that_fail_are_rolled_back() -> None:
    assert verdict_after(2, bad=20) is Verdict.ROLLBACK


def test_pods_that_are_slow_are_rolled_back() -> None:
    assert verdict_after(2, bad=0, slow=6) is Verdict.ROLLBACK


@pytest.mark.parametrize(("bad", "slow"), [(0, 0), (3, 0), (20, 0), (0, 2)])
def test_the_log_replays_to_the_same_verdicts(caplog: pytest.LogCaptureFixture, bad: int, slow: int) -> None:
    caplog.set_level(logging.INFO)
    live = list(run(5, bad=bad, slow=slow))
    began, *ticks = (json.loads(JsonLines().format(record)) for record in caplog.records)
    assert {line["message"] for line in ticks} == {"evidence"}
    (case,) = cases.parse(json.dumps([began | {"id": "iris", "ticks": ticks}]))
    assert case.ignored == ()
    assert [line.judgement for line in replay(case)] == live


@pytest.mark.skipif(shutil.which("jq") is None, reason="no jq on PATH")
def test_the_log_of_two_leaders_replays_by_the_command_of_the_docs(caplog: pytest.LogCaptureFixture) -> None:
    """The second goes on from what the first had checkpointed, and what the first found after that is not used."""
    caplog.set_level(logging.INFO)
    policy, clock = EvidencePolicy(), Clock()
    servers = {role: server(role) for role in ARMS}
    state: EvidenceState | None = None
    seen: list[EvidenceState] = []
    for _ in range(2):
        feed, state = Feed(TwoArms()), seen[3] if seen else None  # of five ticks two are lost
        for _ in range(6):
            pods = [one.told(clock) for one in servers.values()]  # type: ignore[arg-type]
            state = feed.take(IRIS, 4, policy, state, ARMS, pods, clock.now)
            seen.append(state)
            servers["stable"].answers(900, bucket=20)
            servers["candidate"].answers(98, bucket=20)
            servers["candidate"].answers(2, code=500, bucket=20)
            clock.passes(10)
    lines = "\n".join(JsonLines().format(record) for record in caplog.records)
    (program,) = re.findall(r"--argjson rollout 4 '(.*?)'", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    command = ["jq", "-s", "--arg", "of", "ml/iris", "--argjson", "rollout", "4", program]
    told = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
    (case,) = cases.parse(told)
    assert isinstance(case, cases.Case)
    assert [interval.at for interval in case.intervals] == [10.0 * n for n in range(1, 9)]
    *_, last = replay(case)
    assert state is not None
    assert last.judgement == engine.judge(
        policy, state, seconds_in_step=80.0, requests_in_step=state.candidate_requests
    )


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
