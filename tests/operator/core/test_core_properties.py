"""Whatever happens, in any order: the rules that no sequence of users, pods and registries may break.

A random history is played against the core in a loop; after every status and every single write the world is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from canary_lab import STEPS, canary
from core_lab import WIDE, Behaviour, Lab, serving
from headgate_operator.api.reasons import ConditionType, Reason
from headgate_operator.api.spec import Approval, Capacity, Step, Strategy
from headgate_operator.api.status import Truth
from headgate_operator.children import revision_of
from headgate_operator.core.advance import advance
from headgate_operator.core.observed import Counters, GoldenFailed, PodNotReady, PodSilent, Unresolved
from headgate_operator.core.sizes import shares_traffic

LOADING = PodNotReady(reason="Loading", permanent=False, message="")
BROKEN = PodNotReady(reason="LoadFailed", permanent=True, message="")
OFFLINE = PodNotReady(reason="RegistryUnreachable", permanent=False, message="")
BUSY = Counters(in_flight=1, open_connections=1, last_request_age_seconds=0.0)

versions = st.sampled_from(["1", "2", "3"])
behaviours = st.sampled_from(
    [
        Behaviour(),
        Behaviour(),
        Behaviour(says=LOADING),
        Behaviour(says=BROKEN),
        Behaviour(says=OFFLINE),
        Behaviour(ready=False, says=PodSilent(), crash_looping=True),
        Behaviour(ready=False, says=PodSilent(), trouble=Reason.UNSCHEDULABLE),
        Behaviour(golden=GoldenFailed("not finite")),
        Behaviour(digest_of_second="sha256:other"),
        Behaviour(restarts=2),
        Behaviour(counters=BUSY),
        Behaviour(counters=None),
        Behaviour(errors=0.3),
        Behaviour(seconds=0.1),
    ]
)
Deed = Callable[[Lab], object]


def behave(version: str, how: Behaviour) -> Deed:
    return lambda lab: lab.behaviours.__setitem__(version, how)


deeds: st.SearchStrategy[Deed] = st.one_of(
    versions.map(lambda version: lambda lab: lab.want(version)),
    st.builds(behave, versions, behaviours),
    st.sampled_from([0.5, 3, 11, 70, 700]).map(lambda seconds: lambda lab: lab.wait(seconds)),
    st.sampled_from(["undo", "retry", "pause", "resume", "restart"]).map(lambda verb: lambda lab: lab.order(verb)),
    versions.map(lambda version: lambda lab: lab.order("undo", args={"to": version})),
    st.sampled_from(["undo", "retry", "promote", "promote", "abort"]).map(lambda verb: lambda lab: lab.order(verb)),
    st.sampled_from(Strategy).map(lambda strategy: lambda lab: lab.rollout(strategy=strategy)),
    st.sampled_from(Capacity).map(lambda capacity: lambda lab: lab.rollout(capacity=capacity)),
    st.sampled_from([0.0, 3.0, 200.0]).map(lambda requests: lambda lab: setattr(lab, "requests", requests)),
    st.booleans().map(lambda paused: lambda lab: lab.edit(paused=paused)),
    st.sampled_from([0, 1, 2, 4]).map(lambda replicas: lambda lab: lab.edit(replicas=replicas)),
    st.sampled_from(["a", "b"]).map(lambda value: lambda lab: lab.env(A=value)),
    st.just(lambda lab: setattr(lab, "answer", Unresolved(Reason.REGISTRY_UNREACHABLE, "down"))),
    st.booleans().map(lambda follow: lambda lab: setattr(lab, "endpoints_follow", follow)),
    st.sampled_from([0, 5, 600]).map(lambda s: lambda lab: lab.rollout(keep_warm=timedelta(seconds=s))),
    st.sampled_from([0, 20]).map(lambda s: lambda lab: lab.rollout(min_duration=timedelta(seconds=s))),
)
histories = st.lists(deeds, min_size=1, max_size=12)
sharing = st.builds(
    canary,
    st.sampled_from([0.0, 3.0, 200.0]),
    steps=st.sampled_from([(Step(weight=10),), STEPS, (*STEPS, Step(weight=75, approval=Approval.MANUAL))]),
    capacity=st.sampled_from(Capacity),
)
starts = st.one_of(st.builds(serving), sharing)


class Watch:
    """Looks at the lab after each write."""

    def __init__(self) -> None:
        self.stable: set[str] = set()
        self.selected: str | None = None
        self.sizes: dict[str, int] = {}

    def __call__(self, lab: Lab) -> None:
        if lab.status.stable is not None:
            self.stable.add(lab.status.stable.revision)
        service = lab.live.get(("Service", "iris"))
        if service is None:
            return
        selected = service["spec"]["selector"].get("headgate.dev/revision", WIDE)
        if selected == WIDE:
            self.wide(lab)
            return
        assert selected == "none" or selected in self.stable, "traffic for a revision that was never promoted"
        if selected != self.selected and selected != "none":
            ready = [pod for pod in lab.pods() if pod.revision == selected and pod.ready]
            before = [pod for pod in lab.pods() if self.selected in {pod.revision, WIDE} and pod.ready]
            asked = lab.spec.replicas == 0  # by a person, for whom no pod shall answer
            assert ready or not before or asked, "traffic was moved away from ready pods to none"
        self.selected = selected
        deployments = {revision_of(obj): obj for (kind, _), obj in lab.live.items() if kind == "Deployment"}
        if selected != "none":
            assert selected in deployments, "what the public Service selects was deleted"
            least = min(lab.spec.replicas, self.sizes.get(selected, 0))
            assert deployments[selected]["spec"]["replicas"] >= least, "what serves was made smaller than promised"
        self.sizes = {name: obj["spec"]["replicas"] for name, obj in deployments.items()}
        assert len(deployments) <= 4

    def wide(self, lab: Lab) -> None:
        """The pods of every revision have traffic: those are two at most, one of which was promoted."""
        candidate = lab.status.candidate.revision if lab.status.candidate else None
        if self.selected != WIDE:
            assert lab.status.candidate is not None
            assert lab.status.candidate.step is not None, "traffic for a candidate whose turn it is not"
            assert lab.status.candidate.digest is not None, "traffic for a candidate that was never verified"
            with_pods = {pod.revision for pod in lab.pods()}
            assert with_pods <= self.stable | {candidate}
            assert len(with_pods) <= 2, "a wide selector reaches a third revision"
        self.selected = WIDE


def play(history: list[Deed], lab: Lab) -> Lab:
    lab.watch = Watch()
    lab.watch(lab)
    for deed in history:
        deed(lab)
        lab.settle()
        assert advance(lab.view(), lab.status) == lab.status, "deciding again must change nothing"
        assert not lab.step(), "and writing again neither"
        assert {condition.type for condition in lab.status.conditions} == set(ConditionType)
    return lab


@settings(max_examples=150, deadline=None)
@given(histories)
def test_no_history_from_nothing_breaks_a_rule(history: list[Deed]) -> None:
    play(history, Lab())


@settings(max_examples=250, deadline=None)
@given(histories)
def test_no_history_from_a_serving_version_breaks_a_rule(history: list[Deed]) -> None:
    play(history, serving())


@settings(max_examples=150, deadline=None)
@given(sharing, histories)
def test_no_history_from_the_middle_of_a_canary_breaks_a_rule(lab: Lab, history: list[Deed]) -> None:
    play(history, lab)


@settings(max_examples=150, deadline=None)
@given(starts, histories)
def test_after_any_history_a_good_new_version_comes_to_serve(lab: Lab, history: list[Deed]) -> None:
    play(history, lab)
    lab.behaviours.clear()
    lab.endpoints_follow = True
    lab.edit(paused=False, replicas=2)
    lab.rollout(keep_warm=timedelta(0), min_duration=timedelta(0))
    lab.order("resume")
    lab.settle()
    lab.rollout(keep_warm=timedelta(0), min_duration=timedelta(0), strategy=Strategy.BLUE_GREEN, capacity=Capacity.SAFE)
    lab.want("9")
    lab.wait(200)
    assert (lab.stable, lab.selected, lab.deployed()) == ("9", "9", {"9": 2})
    assert lab.condition("Ready").status is Truth.TRUE


@settings(max_examples=100, deadline=None)
@given(starts, histories)
def test_at_rest_nothing_is_written_and_nothing_is_told(lab: Lab, history: list[Deed]) -> None:
    play(history, lab)
    lab.wait(8000)
    writes, events = len(lab.writes), len(lab.events)
    status = lab.status
    for _ in range(10):
        lab.now += timedelta(seconds=300)
        lab.step()
    assert (len(lab.writes), len(lab.events)) == (writes, events)
    if shares_traffic(status):  # a canary that waits for traffic is no rest: its evidence is written now and then
        status = replace(
            status, **{part: getattr(lab.status, part) for part in ("candidate", "conditions", "evidence")}
        )
    assert lab.status == status
