"""The disruption budget: one, over the pods that have the traffic, and never in the way of moving it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from core_lab import Lab, serving
from headgate_operator.api.spec import DisruptionSpec
from headgate_operator.core.drift import drifted
from headgate_operator.core.observed import PodNotReady, Refusal
from headgate_operator.core.plan import Apply, Purpose, plan
from headgate_operator.core.render import disruption_budget
from headgate_operator.core.view import outside_trouble
from headgate_operator.core.wake import next_wake

LOADING = PodNotReady(reason="Loading", permanent=False, message="")
PLACE = ("PodDisruptionBudget", "iris")


def budget(lab: Lab) -> dict[str, Any]:
    (found,) = (obj for (kind, _), obj in lab.live.items() if kind == "PodDisruptionBudget")
    return found


def protected(lab: Lab) -> str:
    return str(budget(lab)["spec"]["selector"]["matchLabels"]["headgate.dev/revision"])


def test_nothing_is_protected_before_something_serves() -> None:
    lab = Lab()
    lab.behaves("1", says=LOADING)
    lab.settle()
    assert lab.status.candidate is not None
    assert PLACE not in lab.live
    lab.behaviours.clear()
    lab.wait(5)
    assert lab.status.stable is not None
    assert protected(lab) == lab.status.stable.revision


def test_one_pod_may_be_taken_away_unless_the_user_says_otherwise() -> None:
    lab = serving()
    assert budget(lab)["spec"]["maxUnavailable"] == 1
    assert budget(lab)["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    before = lab.status.stable
    for asked in (0, 2, "50%"):
        lab.edit(disruption=DisruptionSpec(max_unavailable=asked))
        lab.settle()
        assert budget(lab)["spec"]["maxUnavailable"] == asked
        assert (lab.status.rollout, lab.status.stable) == (None, before), "no new revision"


def test_it_moves_with_the_traffic_and_after_it() -> None:
    lab = serving()
    first = protected(lab)
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.settle()
    assert protected(lab) == first
    lab.writes.clear()
    lab.behaviours.clear()
    lab.wait(5)
    assert protected(lab) != first
    moved = [w.kind for w in lab.writes if isinstance(w, Apply) and w.kind in {"Service", "PodDisruptionBudget"}]
    assert moved == ["Service", "PodDisruptionBudget"]
    lab.order("undo")
    lab.settle()
    assert protected(lab) == first


def test_there_is_never_more_than_one() -> None:
    seen: set[tuple[str, ...]] = set()

    def look(lab: Lab) -> None:
        seen.add(tuple(name for kind, name in lab.live if kind == "PodDisruptionBudget"))

    lab = Lab()
    lab.watch = look
    lab.settle()
    for version in ("2", "3"):
        lab.want(version)
        lab.wait(30)
    lab.wait(2000)
    assert seen == {(), ("iris",)}


def test_it_stays_while_there_are_no_replicas() -> None:
    lab = serving()
    lab.edit(replicas=0)
    lab.wait(120)
    assert lab.status.stable is not None
    assert protected(lab) == lab.status.stable.revision


def test_it_protects_what_answers_while_the_status_is_lost() -> None:
    lab = serving()
    view = lab.view()
    forgotten = replace(lab.status, stable=None, previous=None)
    assert disruption_budget(view, forgotten)[0]["spec"] == {**budget(lab)["spec"], "minAvailable": None}
    assert not any(write.kind == "PodDisruptionBudget" for write in plan(view, forgotten, lab.live, frozenset()))


@pytest.mark.parametrize(
    "edit",
    [
        {"maxUnavailable": 3},
        {"maxUnavailable": None, "minAvailable": 2},
        {"selector": {"matchLabels": {}}},
        {"selector": {"matchLabels": {"headgate.dev/deployment": "iris"}}},
        {"unhealthyPodEvictionPolicy": None},
    ],
)
def test_what_others_change_of_it_is_put_back(edit: dict[str, Any]) -> None:
    lab = serving()
    rendered = copy.deepcopy(budget(lab))
    live = budget(lab)
    live["spec"] = {key: value for key, value in {**live["spec"], **edit}.items() if value is not None}
    lab.settle()
    assert budget(lab)["spec"] == rendered["spec"]


def test_a_further_label_in_its_selector_is_drift() -> None:
    lab = serving()
    live = copy.deepcopy(budget(lab))
    assert not drifted(disruption_budget(lab.view(), lab.status)[0], live)
    live["spec"]["selector"]["matchLabels"]["track"] = "canary"
    assert drifted(disruption_budget(lab.view(), lab.status)[0], live)


def test_status_and_labels_of_others_are_no_drift() -> None:
    lab = serving()
    budget(lab)["status"] = {"disruptionsAllowed": 1}
    budget(lab)["metadata"]["labels"]["team"] = "x"
    assert plan(lab.view(), lab.status, lab.live, frozenset()) == []


def test_somebody_elses_is_told_and_left_alone_and_keeps_no_traffic_from_moving() -> None:
    lab = serving()
    del lab.live[PLACE]
    lab.foreign = frozenset({PLACE})
    lab.budget_conflict = "PodDisruptionBudget iris exists and belongs to somebody else"
    lab.want("2")
    lab.wait(30)
    assert lab.stable == "2"
    assert lab.selected == "2"
    assert PLACE not in lab.live
    assert lab.said("Ready") == ("False", "NameConflict")
    assert lab.said("Stalled") == ("True", "NameConflict")
    assert lab.said("UpToDate")[0] == "True"
    assert [event.reason for event in lab.events].count("NameConflict") == 1
    assert next_wake(lab.view(), lab.status, 300.0) <= 30, "nobody tells when it goes"
    lab.foreign, lab.budget_conflict = frozenset(), ""
    lab.settle()
    assert lab.said("Ready") == ("True", "AsWanted")
    assert PLACE in lab.live


def test_a_budget_that_is_refused_is_no_trouble_of_the_candidates() -> None:
    lab = serving()
    lab.refused = Refusal("PodDisruptionBudget", "iris", "forbidden", hinders=False)
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.settle()
    assert lab.status.candidate is not None
    assert outside_trouble(lab.view(), lab.status.candidate.revision) is None
    assert lab.said("Ready") == ("False", "RefusedByApiServer")
    lab.wait(900)
    assert lab.quarantine[0][3] == "ProgressDeadline", "its clock runs"


def test_a_budget_is_written_for_protection_alone() -> None:
    lab = serving()
    del lab.live[PLACE]
    (write,) = plan(lab.view(), lab.status, lab.live, frozenset())
    assert isinstance(write, Apply)
    assert (write.purpose, write.force) == (Purpose.PROTECTION, False)
