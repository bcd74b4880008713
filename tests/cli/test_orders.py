"""A command is bound to what the person saw, waits its turn, and tells the operator's answer."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from headgate_cli.kube import ClusterError, Resource
from headgate_cli.orders import OrderError, Orders, seen, unanswered

Obj = dict[str, Any]
ANNOTATION = "headgate.dev/command"


def mdep(**status: Any) -> Obj:
    return {
        "metadata": {"namespace": "ml", "name": "iris", "uid": "u-1", "resourceVersion": "1"},
        "status": {"stable": {"revision": "aaaaaaaaaa"}, "history": [{"rollout": 2}, {"rollout": 7}], **status},
    }


class Api:
    """One object, an operator that answers at `answers_at`, and things that happen between looks."""

    def __init__(self, obj: Obj | None) -> None:
        self.obj = obj
        self.commands: list[Obj] = []
        self.time = 0.0
        self.answer: tuple[float, str, str] | None = (1.0, "Accepted", "done")
        self.at: list[tuple[float, Callable[[], None]]] = []
        self.conflicts = 0

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return deepcopy(self.obj)

    def merge(self, resource: Resource, namespace: str, name: str, patch: Obj, *, manager: str) -> Obj:
        assert self.obj is not None
        assert manager == "headgate-cli"
        if self.conflicts or patch["metadata"]["resourceVersion"] != self.obj["metadata"]["resourceVersion"]:
            self.conflicts = max(0, self.conflicts - 1)
            raise ClusterError("the object has been modified", status=409)
        self.change(lambda o: o["metadata"].setdefault("annotations", {}).update(patch["metadata"]["annotations"]))
        command = json.loads(patch["metadata"]["annotations"][ANNOTATION])
        self.commands.append(command)
        if self.answer is not None:
            after, outcome, message = self.answer
            told = {"id": command["id"], "verb": command["verb"], "outcome": outcome, "message": message}
            self.at.append((self.time + after, lambda: self.change(lambda o: o["status"].update(lastCommand=told))))
        return self.obj

    def change(self, how: Callable[[Obj], Any]) -> None:
        assert self.obj is not None
        how(self.obj)
        self.obj["metadata"]["resourceVersion"] = str(int(self.obj["metadata"]["resourceVersion"]) + 1)

    def pause(self, seconds: float) -> None:
        self.time += seconds
        due = [act for when, act in self.at if when <= self.time]
        self.at = [(when, act) for when, act in self.at if when > self.time]
        for act in due:
            act()

    def give(self, verb: str = "undo", timeout: float = 30.0, **more: Any) -> Any:
        ids = iter(f"{n:032x}" for n in range(1, 100))
        orders = Orders(
            self,
            by="ada",
            new_id=lambda: next(ids),
            now=lambda: datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
            clock=lambda: self.time,
            pause=self.pause,
        )
        return orders.give("ml", "iris", verb, timeout=timeout, **more)


def test_a_command_says_what_it_was_given_for() -> None:
    api = Api(mdep())
    answer = api.give()
    assert (answer.accepted, answer.message) == (True, "done")
    assert api.commands == [
        {
            "id": f"{1:032x}",
            "verb": "undo",
            "args": {},
            "uid": "u-1",
            "rollout": 7,
            "stable": "aaaaaaaaaa",
            "issuedAt": "2026-11-21T09:30:00.000Z",
            "by": "ada",
        }
    ]


def test_a_rollout_under_way_is_the_one_a_command_speaks_of() -> None:
    assert seen(mdep(rollout={"id": 8})).rollout == 8
    assert (seen(mdep(stable=None, history=[])).rollout, seen(mdep(stable=None)).stable) == (0, "")
    assert seen({"metadata": {"uid": "u"}}).rollout == 0


def test_a_refusal_is_told_with_its_reason() -> None:
    api = Api(mdep())
    api.answer = (1.0, "Refused", "nothing to undo")
    answer = api.give()
    assert (answer.accepted, answer.message) == (False, "nothing to undo")


def test_a_write_that_met_a_harmless_change_is_written_again() -> None:
    api = Api(mdep())
    api.conflicts = 3
    assert api.give().accepted
    assert len(api.commands) == 1


@pytest.mark.parametrize("change", [{"stable": {"revision": "bbbbbbbbbb"}}, {"rollout": {"id": 9}}])
def test_a_write_that_met_a_change_of_what_the_person_saw_is_given_up(change: Obj) -> None:
    api = Api(mdep())
    api.conflicts = 1
    read = api.get

    def changing(resource: Resource, namespace: str, name: str) -> Obj | None:
        found = read(resource, namespace, name)
        api.change(lambda o: o["status"].update(change))
        return found

    api.get = changing  # type: ignore[method-assign]
    with pytest.raises(OrderError, match="changed meanwhile"):
        api.give()
    assert api.commands == []


def pending(api: Api, verb: str = "retry", command: str = "other") -> None:
    given = {"id": command, "verb": verb, "by": "bob", "issuedAt": "2026-11-21T09:29:00Z"}
    api.change(lambda o: o["metadata"].setdefault("annotations", {}).update({ANNOTATION: json.dumps(given)}))


def test_an_earlier_command_is_waited_for() -> None:
    api = Api(mdep())
    pending(api)
    api.at.append((5.0, lambda: api.change(lambda o: o["status"].update(lastCommand={"id": "other"}))))
    assert api.give().accepted
    assert api.time > 5


def test_an_earlier_command_that_is_never_answered_is_not_overwritten() -> None:
    api = Api(mdep())
    pending(api)
    with pytest.raises(OrderError, match="an earlier `retry` by bob"):
        api.give()
    assert api.commands == []


def test_arguments_are_part_of_the_command() -> None:
    api = Api(mdep())
    api.give(args={"to": "3"})
    assert api.commands[0]["args"] == {"to": "3"}


def test_an_abort_overwrites_an_earlier_command_and_nothing_else_does() -> None:
    api = Api(mdep())
    pending(api)
    assert api.give("abort", overwrite=True).accepted
    assert [command["verb"] for command in api.commands] == ["abort"]
    assert api.time < 2


def test_whoever_waits_for_an_overwritten_command_is_told_by_whom() -> None:
    api = Api(mdep())
    api.answer = None
    api.at.append((2.0, lambda: pending(api, "abort", "later")))
    with pytest.raises(OrderError, match="a later `abort` by bob overwrote `undo`"):
        api.give()


def test_an_answered_command_and_a_meaningless_annotation_stand_in_nobodys_way() -> None:
    api = Api(mdep(lastCommand={"id": "other"}))
    pending(api)
    assert api.obj is not None
    assert unanswered(api.obj) is None
    for nonsense in ("", "{", "[]", "{}"):
        api.change(lambda o, text=nonsense: o["metadata"]["annotations"].update({ANNOTATION: text}))
        assert unanswered(api.obj) is None


def test_no_answer_is_said_to_be_no_answer() -> None:
    api = Api(mdep())
    api.answer = None
    with pytest.raises(OrderError, match="no answer to `undo` after 10 s: is the operator running"):
        api.give(timeout=10)


def test_an_object_deleted_while_waiting_ends_the_wait() -> None:
    api = Api(mdep())
    api.answer = None
    api.at.append((2.0, lambda: setattr(api, "obj", None)))
    with pytest.raises(OrderError, match="does not exist"):
        api.give()


def test_an_object_made_anew_while_waiting_is_not_taken_for_the_old_one() -> None:
    api = Api(mdep())
    api.answer = None
    api.at.append((2.0, lambda: api.change(lambda o: o["metadata"].update(uid="u-2"))))
    with pytest.raises(OrderError, match="was deleted"):
        api.give()
