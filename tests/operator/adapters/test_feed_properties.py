"""Whatever pods answer, and whenever: no request counts twice, and none that was never answered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from feed_lab import ARMS, Lab, Policy, Process, Remembers, Server
from headgate_operator.core.evidence.interval import Arm
from headgate_operator.core.observed import Pod
from headgate_operator.feed import Feed, _next

ROLES = st.sampled_from(sorted(ARMS))
CODES = st.sampled_from([200, 404, 422, 429, 500])


def arms(lab: Lab, role: str) -> list[Arm]:
    assert lab.state is not None
    told = (interval.stable if role == "stable" else interval.candidate for interval in lab.state.fed)
    return [arm for arm in told if arm is not None]


def parts(arm: Arm) -> dict[str, float]:
    return {
        "requests": arm.requests,
        "errors": arm.errors,
        "client_errors": arm.client_errors,
        **{f"bucket {n}": count for n, count in enumerate(arm.latency)},
    }


@dataclass
class Truth:
    """What the servers of one arm really answered after the baseline."""

    counted: Counter[str] = field(default_factory=Counter)

    def answered(self, number: int, code: int, bucket: int) -> None:
        self.counted["requests"] += number
        self.counted["errors"] += number if code in {429, 500} else 0
        self.counted["client_errors"] += number if code == 422 else 0
        self.counted[f"bucket {bucket}"] += number


class Pods(RuleBasedStateMachine):
    """Pods come, go, restart, fall silent, answer late, twice, and in each other's name; ticks come when they like."""

    @initialize()
    def begins(self) -> None:
        self.lab = Lab()
        self.truth = {role: Truth() for role in ARMS}
        self.answers: list[Pod] = []  # that were ever given

    @rule(role=ROLES)
    def a_pod_starts(self, role: str) -> None:
        if len(self.lab.servers) < 6:
            self.lab.starts(role)

    @precondition(lambda self: self.lab.servers)
    @rule(which=st.integers(0, 5), number=st.integers(0, 50), code=CODES, bucket=st.integers(0, 2))
    def a_server_answers(self, which: int, number: int, code: int, bucket: int) -> None:
        server = self._server(which)
        server.answers(number, code=code, bucket=bucket)
        role = next(role for role, revision in ARMS.items() if revision == server.process.revision)
        self.truth[role].answered(number, code, bucket)

    @precondition(lambda self: self.lab.servers)
    @rule(which=st.integers(0, 5))
    def a_container_restarts(self, which: int) -> None:
        self._server(which).restarts(self.lab)

    @precondition(lambda self: self.lab.servers)
    @rule(which=st.integers(0, 5))
    def a_pod_goes(self, which: int) -> None:
        self.lab.servers.remove(self._server(which))

    @precondition(lambda self: self.lab.servers)
    @rule(which=st.integers(0, 5))
    def a_pod_falls_silent_or_speaks_again(self, which: int) -> None:
        server = self._server(which)
        server.silent = not server.silent

    @rule(seconds=st.sampled_from([-100.0, 0.0, 1.0, 5.0, 10.0, 12.0, 29.0, 31.0, 500.0]), stale=st.data())
    def time_passes_and_the_feed_looks(self, seconds: float, stale: st.DataObject) -> None:
        self.lab.passes(seconds)
        told = [server.told(self.lab) for server in self.lab.servers]
        old = stale.draw(st.lists(st.sampled_from(self.answers), max_size=3)) if self.answers else []
        twice = stale.draw(st.lists(st.sampled_from(told), max_size=2)) if told else []
        self.answers = [*self.answers, *told][-200:]
        self.lab.look(stale.draw(st.permutations([*told, *old, *twice])))

    @rule()
    def another_process_of_the_operator_leads(self) -> None:
        self.lab.feed = Feed(Remembers())  # and goes on from what was checkpointed

    def _server(self, which: int) -> Server:
        return self.lab.servers[which % len(self.lab.servers)]

    @invariant()
    def nothing_is_negative(self) -> None:
        for role in ARMS:
            for arm in arms(self.lab, role):
                assert min(parts(arm).values()) >= 0
                assert arm.errors + arm.client_errors <= arm.requests
                assert 0 <= arm.cold_requests <= arm.requests
                assert 0 <= arm.cold_errors <= arm.errors
                assert 0 <= arm.cold_client_errors <= arm.client_errors
                assert sum(arm.latency) <= arm.requests - arm.cold_requests

    @invariant()
    def no_more_is_counted_than_was_answered(self) -> None:
        for role, truth in self.truth.items():
            counted: Counter[str] = Counter()
            for arm in arms(self.lab, role):
                counted.update(parts(arm))
            assert all(counted[part] <= truth.counted[part] for part in counted)


Pods.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestPods = Pods.TestCase


@given(
    st.lists(
        st.tuples(st.floats(15.0, 30.0), st.lists(st.tuples(st.integers(0, 1), st.integers(0, 99), CODES), max_size=4)),
        min_size=1,
        max_size=20,
    )
)
def test_while_all_pods_answer_every_request_counts_once(
    story: list[tuple[float, list[tuple[int, int, int]]]],
) -> None:
    lab = Lab()
    truth: Counter[str] = Counter()
    for seconds, answered in story:
        for which, number, code in answered:
            lab.servers[which].answers(number, code=code)
            truth[f"{which} requests"] += number
            truth[f"{which} errors"] += number if code in {429, 500} else 0
        lab.tick(seconds)
    counted = {
        f"{which} {what}": sum(getattr(arm, what) for arm in arms(lab, role))
        for which, role in enumerate(("stable", "candidate"))
        for what in ("requests", "errors")
    }
    assert counted == {name: truth[name] for name in counted}


@given(st.floats(0.0, 100.0), st.floats(1.0, 60.0))
def test_the_next_tick_is_on_the_grid_and_half_to_one_and_a_half_intervals_away(late: float, interval: float) -> None:
    due = Lab().now
    lab = Lab(policy=Policy(interval))
    lab.passes(late)
    following = _next(due, lab.now, interval)
    steps = (following - due).total_seconds() / interval
    assert abs(steps - round(steps)) < 1e-6
    assert 0.5 * interval - 1e-5 <= (following - lab.now).total_seconds() <= 1.5 * interval + 1e-5


def test_a_process_is_counted_once_although_its_pods_change() -> None:
    """The invariant above holds because of the id of the process, not of the pod: the plainest case of it."""
    lab = Lab()
    moved = Process(ARMS["candidate"], lab.steady)
    for name in ("one", "two", "three"):
        moved.answers(10)
        lab.servers = [Server(name, moved, lab.now)]
        lab.passes(10)
        lab.look()
    assert sum(arm.requests for arm in arms(lab, "candidate")) == 30
