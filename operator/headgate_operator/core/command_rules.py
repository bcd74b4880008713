"""What a person may order: carried out once, and answered once.

A verb is a row of `VERBS`: what it does, and the arguments it takes. One that is missing here is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from headgate_operator.api.errors import SpecError
from headgate_operator.api.reader import Reader
from headgate_operator.api.status import Answer, LastCommand, Pause, Status
from headgate_operator.core.canary_commands import abort, promote
from headgate_operator.core.command import Command, Malformed, RefusedCommandError, outdated
from headgate_operator.core.quarantine import release
from headgate_operator.core.restarting import next_restart
from headgate_operator.core.undoing import undo, undo_to, undone_by
from headgate_operator.core.view import View
from headgate_operator.core.wanted import paused_by, wanted

Done = tuple[Status, str]
"""The status that follows, and what the person reads."""


@dataclass(frozen=True, slots=True)
class Verb:
    run: Callable[[View, Status, Command], Done]
    args: frozenset[str] = frozenset()


def obey(view: View, status: Status) -> Status:
    command = view.command
    if command is None or (status.last_command is not None and status.last_command.id == command.id):
        return status
    try:
        obeyed, message = _carry_out(view, status, command)
    except RefusedCommandError as refusal:
        return _answer(status, command, Answer.REFUSED, str(refusal))
    return _answer(obeyed, command, Answer.ACCEPTED, message)


def _answer(status: Status, command: Command | Malformed, outcome: Answer, message: str) -> Status:
    answer = LastCommand(id=command.id, verb=command.verb[:32], outcome=outcome, message=message[:512])
    return replace(status, last_command=answer)


def _carry_out(view: View, status: Status, command: Command | Malformed) -> Done:
    if isinstance(command, Malformed):
        raise RefusedCommandError(command.message)
    why = outdated(command, status, view.uid, view.now)
    if why is not None:
        raise RefusedCommandError(why)
    verb = VERBS.get(command.verb)
    if verb is None:
        known = ", ".join(sorted(VERBS))
        raise RefusedCommandError(f"this operator does not know {command.verb[:32]!r}; it knows {known}")
    if unknown := sorted(command.args.keys() - verb.args):
        # Never ignored: an undo without its `to` would be another undo.
        raise RefusedCommandError(f"this operator does not know {unknown[0][:32]!r} of {command.verb}")
    try:
        return verb.run(view, status, command)
    except SpecError as error:
        raise RefusedCommandError(str(error)) from error


def _undo(view: View, status: Status, command: Command) -> Done:
    version = Reader(command.args, "args").text("to")
    verdict = undone_by(command)
    return undo(view, status, verdict) if version is None else undo_to(view, status, verdict, version)


def _retry(view: View, status: Status, command: Command) -> Done:  # noqa: ARG001
    asked = wanted(view, status)
    if asked.asked is None or asked.forbidden_by is None:
        raise RefusedCommandError("there is nothing to retry: what is wanted has not been rejected")
    freed = replace(release(status, asked.asked), hold=None, retrying=asked.asked.hash)
    return freed, f"version {asked.asked.identity.version} starts anew{_when(view, status)}"


def _pause(view: View, status: Status, command: Command) -> Done:
    if status.pause is not None:
        raise RefusedCommandError(f"it has been paused already, by {status.pause.by or 'somebody'}")
    what = f"the rollout of version {status.candidate.version} is held" if status.candidate else "no rollout starts"
    return replace(status, pause=Pause(at=view.now, by=command.by[:128])), f"{what} until resume; undo still works"


def _resume(view: View, status: Status, command: Command) -> Done:  # noqa: ARG001
    if view.spec.paused:
        raise RefusedCommandError("spec.paused is true: set it to false where the spec is kept")
    if status.pause is None:
        raise RefusedCommandError("there is nothing to resume: it is not paused")
    freed = replace(status, pause=None)
    going, serving = wanted(view, freed).goal, status.stable.revision if status.stable else None
    waits = going is not None and going.hash != serving
    return freed, f"version {going.identity.version} goes on" if going and waits else "nothing was waiting for it"


def _restart(view: View, status: Status, command: Command) -> Done:
    update = Reader(command.args, "args").flag("updateImage", default=False)
    stable = status.stable
    if stable is None:
        raise RefusedCommandError("there is nothing to restart: no version has been deployed yet")
    if status.rollout is not None:
        raise RefusedCommandError(f"version {status.rollout.to} is on its way: let its rollout end first, or undo it")
    wish = wanted(view, status)
    if wish.goal is not None and wish.goal.hash != stable.revision:
        raise RefusedCommandError(f"version {wish.goal.identity.version} is about to start, in new pods")
    if view.spec.replicas == 0:
        raise RefusedCommandError("spec.replicas is 0: no pod runs")
    origin = view.revision(stable.revision)
    if origin is None:
        raise RefusedCommandError(f"revision {stable.revision} is not stored: a change of spec makes a new one")
    image = _new_image(view, origin.settings) if update else origin.image
    if update and image == origin.image:
        raise RefusedCommandError(f"{image} is the operator's present default already; leave out --update-image")
    again = replace(status, restart=next_restart(view, status, origin, image))
    with_image = f" with {image}" if update else ""
    return again, f"version {stable.version} starts in new pods{with_image}{_when(view, status)}"


def _new_image(view: View, settings: Mapping[str, object]) -> str:
    if "image" in settings:
        raise RefusedCommandError("spec.serving.image names the image: change it there")
    return view.default_image


def _when(view: View, status: Status) -> str:
    return ", after the pause" if paused_by(view, status) is not None else ""


VERBS: dict[str, Verb] = {
    "abort": Verb(abort),
    "pause": Verb(_pause),
    "promote": Verb(promote, frozenset({"full"})),
    "restart": Verb(_restart, frozenset({"updateImage"})),
    "resume": Verb(_resume),
    "retry": Verb(_retry),
    "undo": Verb(_undo, frozenset({"to"})),
}
