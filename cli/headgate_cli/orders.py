"""A person's command to the operator: one annotation, bound to what the person saw.

The operator refuses it where the object, the rollout or the stable revision are no longer the ones it was given for, so
a command can be late but never hit something else. It is written with the resourceVersion of that look, and not over an
earlier command that still waits for its answer; an abort is, since it must not wait. Nothing here edits the spec: Git
stays the truth.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from headgate_cli import contract
from headgate_cli.kube import MODEL_DEPLOYMENTS, ClusterError, Resource

Obj = dict[str, Any]
MANAGER = "headgate-cli"
LOOK_SECONDS = 0.2
WRITES = 20


class Api(Protocol):
    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None: ...

    def merge(self, resource: Resource, namespace: str, name: str, patch: Obj, *, manager: str) -> Obj: ...


class OrderError(Exception):
    """The command was not given, or not answered; the message is for the person who gave it."""


@dataclass(frozen=True)
class Answer:
    accepted: bool
    message: str


@dataclass(frozen=True)
class Seen:
    """What a command is bound to."""

    uid: str
    rollout: int
    stable: str


def seen(obj: Obj) -> Seen:
    status = obj.get("status") or {}
    past = max((int(entry["rollout"]) for entry in status.get("history") or []), default=0)
    return Seen(
        uid=obj["metadata"]["uid"],
        rollout=int((status.get("rollout") or {}).get("id") or past),
        stable=(status.get("stable") or {}).get("revision") or "",
    )


def unanswered(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The command on the object that its operator has not answered yet."""
    text = (obj["metadata"].get("annotations") or {}).get(contract.ANNOTATION_COMMAND)
    try:
        given = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(given, dict) or not given.get("id"):
        return None
    answered = ((obj.get("status") or {}).get("lastCommand") or {}).get("id")
    return None if given["id"] == answered else given


def answer_to(obj: Obj, command: str) -> Answer | None:
    last = (obj.get("status") or {}).get("lastCommand") or {}
    if last.get("id") != command:
        return None
    return Answer(accepted=last.get("outcome") == "Accepted", message=str(last.get("message") or ""))


class Orders:
    """Gives commands. `pause` is called between looks; `clock` is monotonic, `now` the date that is written."""

    def __init__(
        self,
        api: Api,
        *,
        by: str,
        new_id: Callable[[], str],
        now: Callable[[], datetime],
        clock: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        self._api, self._by, self._new_id = api, by, new_id
        self._now, self._clock, self._pause = now, clock, pause

    def give(
        self,
        namespace: str,
        name: str,
        verb: str,
        *,
        timeout: float,
        args: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> Answer:
        end = self._clock() + timeout
        first = self._read(namespace, name)
        command = self._write(first, verb, dict(args or {}), end, overwrite=overwrite)
        while True:
            obj = self._read(namespace, name)
            if obj["metadata"]["uid"] != first["metadata"]["uid"]:
                raise OrderError(f"{name} was deleted before it could answer")
            if (answer := answer_to(obj, command)) is not None:
                return answer
            if (later := unanswered(obj)) is not None and later["id"] != command:
                raise OrderError(f"a later `{later.get('verb')}` by {later.get('by') or 'somebody'} overwrote `{verb}`")
            if self._clock() >= end:
                raise OrderError(
                    f"no answer to `{verb}` after {timeout:.0f} s: is the operator running? "
                    "The command stays on the object; it is carried out if the operator sees it within 10 minutes"
                )
            self._pause(LOOK_SECONDS)

    def _write(self, first: Obj, verb: str, args: Obj, end: float, *, overwrite: bool) -> str:
        """The command's id. Waits for its turn; gives up where the object is no longer what the person saw."""
        meta, bound, obj = first["metadata"], seen(first), first
        for _ in range(WRITES):
            obj = obj if overwrite else self._own_turn(obj, end)
            if seen(obj) != bound:
                raise OrderError(f"{meta['name']} has changed meanwhile: look at it again (headgate status)")
            command = self._command(verb, args, bound)
            patch = {
                "metadata": {
                    "resourceVersion": obj["metadata"]["resourceVersion"],
                    "annotations": {contract.ANNOTATION_COMMAND: json.dumps(command)},
                }
            }
            try:
                self._api.merge(MODEL_DEPLOYMENTS, meta["namespace"], meta["name"], patch, manager=MANAGER)
            except ClusterError as error:
                if error.status != 409:
                    raise
                obj = self._read(meta["namespace"], meta["name"])
                continue
            return str(command["id"])
        raise OrderError(f"{meta['name']} changes all the time: the command could not be written")

    def _own_turn(self, obj: Obj, end: float) -> Obj:
        meta = obj["metadata"]
        while (earlier := unanswered(obj)) is not None:
            if self._clock() >= end:
                raise OrderError(
                    f"an earlier `{earlier.get('verb')}` by {earlier.get('by') or 'somebody'} "
                    f"({earlier.get('issuedAt')}) has not been answered: is the operator running?"
                )
            self._pause(LOOK_SECONDS)
            obj = self._read(meta["namespace"], meta["name"])
        return obj

    def _command(self, verb: str, args: Obj, bound: Seen) -> Obj:
        issued = self._now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "id": self._new_id(),
            "verb": verb,
            "args": args,
            "uid": bound.uid,
            "rollout": bound.rollout,
            "stable": bound.stable,
            "issuedAt": issued,
            "by": self._by,
        }

    def _read(self, namespace: str, name: str) -> Obj:
        obj = self._api.get(MODEL_DEPLOYMENTS, namespace, name)
        if obj is None:
            raise OrderError(f"ModelDeployment {name} does not exist in namespace {namespace}")
        return obj
