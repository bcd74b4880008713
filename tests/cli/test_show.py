"""What a person reads about a deployment in each of its states."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headgate_cli import show
from headgate_cli.watching import without_ages

Obj = dict[str, Any]
NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def condition(kind: str, status: str, reason: str, message: str = "") -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(60)}


def mdep(name: str = "iris", namespace: str = "ml", **status: Any) -> Obj:
    return {
        "metadata": {"name": name, "namespace": namespace, "generation": 2, "creationTimestamp": ago(3 * 86400)},
        "spec": {"model": {"name": "iris-classifier", "alias": "champion"}},
        "status": status,
    }


ROLLING = mdep(
    observedGeneration=2,
    wanted="4 (@champion)",
    serving="3 -> 4",
    ready="2/2",
    url="http://iris.ml.svc:80",
    model={"requested": "iris-classifier@champion", "resolved": {"version": "4", "registry": "http://mlflow:5000"}},
    stable={
        "revision": "aaaaaaaaaa",
        "version": "3",
        "replicas": 2,
        "readyReplicas": 2,
        "digest": "sha256:" + "f" * 64,
    },
    candidate={
        "revision": "bbbbbbbbbb",
        "version": "4",
        "replicas": 2,
        "readyReplicas": 1,
        "waitingFor": "1 of 2 pods are ready",
    },
    previous={"version": "2", "warmUntil": ago(-300)},
    rollout={"id": 4, "to": "4", "phase": "Verifying", "reason": "AliasMoved", "startedAt": ago(30)},
    lastCommand={"verb": "retry", "outcome": "Accepted", "message": "starts anew"},
    conditions=[condition("Ready", "True", "RollingOut", "version 4 is brought up")],
    rejected=[
        {"version": "9", "scope": "Model", "by": "Preflight", "gate": "GoldenFailed", "message": "x", "at": ago(600)}
    ],
    history=[
        {"rollout": 2, "to": "2", "outcome": "Promoted", "seconds": 12, "at": ago(9000)},
        {
            "rollout": 3,
            "from": "2",
            "to": "3",
            "outcome": "Promoted",
            "seconds": 412,
            "at": ago(4000),
            "reason": "Undo",
        },
    ],
)


def test_the_list_has_a_line_for_each_deployment() -> None:
    lines = show.listing([ROLLING, mdep("rose")], NOW, namespaced=False)
    assert lines == [
        "NAME   MODEL             WANTED          SERVING   READY   STATUS       AGE",
        "iris   iris-classifier   4 (@champion)   3 -> 4    2/2     RollingOut   3d",
        "rose   iris-classifier   -               -         -       Unknown      3d",
    ]


def test_lists_of_all_namespaces_name_them() -> None:
    assert show.listing([ROLLING], NOW, namespaced=True)[1].startswith("ml ")


def test_the_detail_tells_what_serves_what_comes_and_what_went_wrong() -> None:
    assert show.detail(ROLLING, NOW) == [
        "name       iris (namespace ml)",
        "status     RollingOut: version 4 is brought up",
        "model      iris-classifier@champion: version 4 of http://mlflow:5000",
        "serving    version 3, 2/2 ready (revision aaaaaaaaaa, sha256:ffffffffffff...)",
        "rollout    #4 to version 4: Verifying, AliasMoved, for 30s",
        "candidate  version 4, 1/2 ready, waiting: 1 of 2 pods are ready (revision bbbbbbbbbb)",
        "previous   version 2, warm for 5m more",
        "url        http://iris.ml.svc:80",
        "command    retry: Accepted. starts anew",
        "",
        "conditions",
        "  TYPE    STATUS   REASON       SINCE   MESSAGE",
        "  Ready   True     RollingOut   60s     version 4 is brought up",
        "",
        "rejected",
        "  version 9 (Model) 10m ago by Preflight: GoldenFailed: x",
        "",
        "last rollouts",
        "  ROLLOUT   FROM   TO   OUTCOME    REASON   TOOK   WHEN      MESSAGE",
        "  3         2      3    Promoted   Undo     6m     66m ago",
        "  2         -      2    Promoted   -        12s    2h ago",
    ]


def test_an_object_that_no_operator_has_seen_is_said_to_be_one() -> None:
    fresh = {**mdep(), "status": {}}
    del fresh["status"]
    assert show.detail(fresh, NOW) == [
        "name    iris (namespace ml)",
        "status  the operator has not looked at it yet",
    ]


def test_a_status_of_an_earlier_generation_is_marked() -> None:
    late = mdep(observedGeneration=1, conditions=[condition("Ready", "True", "AsWanted")])
    assert "AsWanted (of an earlier generation)" in show.detail(late, NOW)[1]


@pytest.mark.parametrize(
    ("previous", "told"),
    [
        ({}, "loaded"),
        ({"warmUntil": ago(-200)}, "warm for 3m more"),
        ({"warmUntil": ago(5)}, "warm"),
        ({"warmUntil": ago(5), "drainingSince": ago(1)}, "draining"),
        ({"drainingSince": ago(1), "drained": True}, "drained"),
    ],
)
def test_the_previous_version_says_how_warm_it_is(previous: Obj, told: str) -> None:
    assert f"previous  version 2, {told}" in show.detail(mdep(previous={"version": "2", **previous}), NOW)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172799, "47h"), (172800, "2d")],
)
def test_ages_are_told_as_kubectl_tells_them(seconds: float, told: str) -> None:
    assert show.age(seconds) == told


def test_a_clock_that_runs_ahead_makes_no_negative_age() -> None:
    assert show.since(ago(-5), NOW) == "0s"


def test_time_that_passes_is_no_change() -> None:
    later = NOW + timedelta(seconds=70)
    assert without_ages(show.detail(ROLLING, NOW)) == without_ages(show.detail(ROLLING, later))
    other = {**ROLLING, "status": {**ROLLING["status"], "serving": "4"}}
    assert without_ages(show.listing([ROLLING], NOW, namespaced=False)) != without_ages(
        show.listing([other], NOW, namespaced=False)
    )


def test_a_pause_is_shown_with_who_and_since_when() -> None:
    lines = show.detail(mdep(observedGeneration=2, pause={"at": ago(300), "by": "erika"}), NOW)
    assert "paused  by erika, for 5m" in lines


def test_a_command_that_waits_for_its_answer_is_shown_instead_of_the_last_answer() -> None:
    obj = mdep(observedGeneration=2, lastCommand={"id": "a", "verb": "retry", "outcome": "Accepted", "message": ""})
    given = json.dumps({"id": "b", "verb": "undo", "by": "erika"})
    obj["metadata"]["annotations"] = {"headgate.dev/command": given}
    assert "command  undo by erika: not answered yet" in show.detail(obj, NOW)


def test_what_webhooks_answered_is_shown() -> None:
    answer = {"name": "bot", "when": "BeforePromotion", "rollout": 4, "outcome": "Refused", "at": ago(30)}
    lines = show.detail(mdep(observedGeneration=2, webhooks=[{**answer, "message": "not before Monday"}]), NOW)
    assert "  bot (BeforePromotion) of rollout 4: Refused, 30s ago: not before Monday" in lines
