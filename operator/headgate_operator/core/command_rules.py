"""`undo` and `retry`: what a person may order, carried out once and answered once."""

from __future__ import annotations

from dataclasses import replace

from headgate_operator.api.status import (
    Answer,
    By,
    Hold,
    LastCommand,
    Outcome,
    RolloutReason,
    Scope,
    Status,
)
from headgate_operator.core.command import Command, Malformed, outdated
from headgate_operator.core.quarantine import Verdict, entry_for, reject, release
from headgate_operator.core.revision import Revision
from headgate_operator.core.rollouts import fail_candidate, instantly, switch_back
from headgate_operator.core.view import View
from headgate_operator.core.wanted import wanted

_WAS_STABLE = {Outcome.PROMOTED, Outcome.REVERTED, Outcome.ADOPTED}


class RefusedCommandError(Exception):
    """The command makes no sense in the present state; the message tells the person why."""


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


def _carry_out(view: View, status: Status, command: Command | Malformed) -> tuple[Status, str]:
    if isinstance(command, Malformed):
        raise RefusedCommandError(command.message)
    why = outdated(command, status, view.uid, view.now)
    if why is not None:
        raise RefusedCommandError(why)
    match command.verb:
        case "undo":
            return undo(view, status, _verdict(command))
        case "retry":
            return retry(view, status)
    raise RefusedCommandError(f"this operator does not know {command.verb[:32]!r}; it knows undo and retry")


def _verdict(command: Command) -> Verdict:
    by = f" by {command.by[:128]}" if command.by else ""
    return Verdict(scope=Scope.MODEL, by=By.UNDO, gate="Undo", message=f"undone{by}")


def undo(view: View, status: Status, verdict: Verdict) -> tuple[Status, str]:
    candidate, stable = status.candidate, status.stable
    if candidate is not None:
        failed = fail_candidate(view, status, candidate, verdict)
        serving = f"version {stable.version} keeps serving" if stable else "nothing served yet"
        return failed, f"the rollout of version {candidate.version} is given up; {serving}"
    if stable is None:
        raise RefusedCommandError("there is nothing to undo: no version has been deployed yet")
    previous = instantly(view, status)
    if previous is not None:
        rejected = reject(status, stable, verdict, view.now, serving_identity=previous.identity)
        back = switch_back(
            view,
            rejected,
            stable,
            previous,
            reason=RolloutReason.UNDO,
            outcome=Outcome.ROLLED_BACK,
            message=verdict.message,
        )
        return back, f"traffic goes back to version {previous.version}, which is still warm"
    target = last_good(view, status)
    if target is None:
        raise RefusedCommandError("there is nothing to undo to: no earlier good version is kept")
    rejected = reject(status, stable, verdict, view.now, serving_identity=target.identity_hash)
    held = replace(rejected, hold=Hold(revision=target.hash, version=target.identity.version))
    return held, f"version {target.identity.version} is brought up again; version {stable.version} serves until then"


def last_good(view: View, status: Status) -> Revision | None:
    """The revision that was stable before the present one, is still stored, and was not rejected since."""
    stable = status.stable
    names = [entry.to_revision for entry in reversed(status.history) if entry.outcome in _WAS_STABLE]
    if status.previous is not None:
        names.insert(0, status.previous.revision)
    known = (view.revision(name) for name in names if stable is None or name != stable.revision)
    return next((found for found in known if found is not None and entry_for(status, found) is None), None)


def retry(view: View, status: Status) -> tuple[Status, str]:
    asked = wanted(view, status)
    if asked.asked is None or asked.forbidden_by is None:
        raise RefusedCommandError("there is nothing to retry: what is wanted has not been rejected")
    freed = replace(release(status, asked.asked), hold=None, retrying=asked.asked.hash)
    when = ", after the pause" if view.spec.paused else ""
    return freed, f"version {asked.asked.identity.version} starts anew{when}"
