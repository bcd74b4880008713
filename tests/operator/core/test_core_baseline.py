"""What restarts count against a revision: those of each pod since it got traffic, remembered in little room."""

from __future__ import annotations

from dataclasses import replace

from core_lab import Lab, serving
from headgate_operator.api.status import PodRestarts
from headgate_operator.core.baseline import MOST, baseline, restarts_since, still_there
from headgate_operator.core.observed import Pod
from headgate_operator.core.view import View

REVISION = "r1"


def seen(**restarts: int) -> View:
    return of_pods(restarts)


def of_pods(restarts: dict[str, int]) -> View:
    view = serving().view()
    pods = tuple(
        Pod(name=name, revision=REVISION, address=None, ready=True, restarts=count) for name, count in restarts.items()
    )
    return replace(view, children=replace(view.children, pods=pods))


def test_pods_that_never_failed_take_no_room() -> None:
    assert baseline(seen(a=0, b=2, c=1), REVISION) == (PodRestarts("b", 2), PodRestarts("c", 1))


def test_each_pod_is_counted_from_what_it_had() -> None:
    before = baseline(seen(a=2, b=0), REVISION)
    assert restarts_since(seen(a=2, b=0), REVISION, before) == 0
    assert restarts_since(seen(a=2, b=2), REVISION, before) == 2
    assert restarts_since(seen(a=3, b=1), REVISION, before) == 1


def test_a_pod_that_takes_the_place_of_another_begins_at_nothing() -> None:
    before = baseline(seen(a=2), REVISION)
    assert restarts_since(seen(c=2), REVISION, before) == 2
    assert still_there(seen(c=0), REVISION, before) == ()
    assert still_there(seen(a=2, c=0), REVISION, before) == before


def test_the_list_is_bounded_and_a_pod_without_room_on_it_is_held_nothing_against_it() -> None:
    many = {f"pod-{number:03}": 1 for number in range(MOST + 20)} | {"twice": 2}
    before = baseline(of_pods(many), REVISION)
    assert len(before) == MOST
    assert before[0] == PodRestarts("twice", 2)
    assert restarts_since(of_pods(many), REVISION, before) == 0
    assert restarts_since(of_pods(many | {f"pod-{MOST + 19:03}": 3}), REVISION, before) == 2
    assert still_there(of_pods({"new": 0}), REVISION, before) == before


def test_what_a_replaced_pod_had_is_forgotten_with_the_next_look_and_then_nothing_is_written() -> None:
    lab: Lab = serving()
    lab.behaves("2", restarts_by_pod=(1, 0))
    lab.want("2")
    lab.settle()
    assert lab.status.stable is not None
    assert [one.restarts for one in lab.status.stable.restarts_before] == [1]
    gone = replace(lab.status.stable, restarts_before=(PodRestarts("gone", 1),))
    lab.status = replace(lab.status, stable=gone)
    assert lab.step()
    assert lab.status.stable.restarts_before == ()
    assert not lab.step()
