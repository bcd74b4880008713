"""`undo`: back to what served before, or to a version by its number. What is undone is rejected."""

from __future__ import annotations

from dataclasses import replace

from headgate_operator.api.status import By, Hold, Outcome, RolloutReason, Scope, Stable, Status
from headgate_operator.core.canary_commands import refuse_where_nobody_takes_over
from headgate_operator.core.command import Command, RefusedCommandError
from headgate_operator.core.quarantine import Verdict, entry_for, reject
from headgate_operator.core.revision import Revision
from headgate_operator.core.rollouts import fail_candidate, instantly, switch_back
from headgate_operator.core.view import View
from headgate_operator.core.wanted import wanted

Done = tuple[Status, str]
_WAS_STABLE = {Outcome.PROMOTED, Outcome.REVERTED, Outcome.ADOPTED}


def undone_by(command: Command) -> Verdict:
    by = f" by {command.by[:128]}" if command.by else ""
    return Verdict(scope=Scope.MODEL, by=By.UNDO, gate="Undo", message=f"undone{by}")


def undo(view: View, status: Status, verdict: Verdict) -> Done:
    candidate, stable = status.candidate, status.stable
    refuse_where_nobody_takes_over(view, status)
    if candidate is not None:
        failed = fail_candidate(view, status, candidate, verdict)
        serving = f"version {stable.version} keeps serving" if stable else "nothing served yet"
        return failed, f"the rollout of version {candidate.version} is given up; {serving}"
    if stable is None:
        raise RefusedCommandError("there is nothing to undo: no version has been deployed yet")
    warm = instantly(view, status) is not None
    target = None if warm else last_good(view, status)
    if target is None and not warm:
        raise RefusedCommandError("there is nothing to undo to: no earlier good version is kept")
    return _back(view, status, stable, verdict, target)


def undo_to(view: View, status: Status, verdict: Verdict, version: str) -> Done:
    """What serves, and what is on its way, is undone; the named version serves instead."""
    candidate, stable = status.candidate, status.stable
    if stable is None:
        raise RefusedCommandError("there is nothing to undo: no version has been deployed yet")
    if candidate is not None and candidate.version == version != stable.version:
        raise RefusedCommandError(f"version {version} is on its way already")
    refuse_where_nobody_takes_over(view, status)
    if candidate is not None:
        status = fail_candidate(view, status, candidate, verdict)
    if stable.version == version:
        if candidate is None:
            raise RefusedCommandError(f"version {version} serves already")
        return status, f"the rollout of version {candidate.version} is given up; version {version} keeps serving"
    return _back(view, status, stable, verdict, _named(view, status, version))


def _back(view: View, status: Status, stable: Stable, verdict: Verdict, target: Revision | None) -> Done:
    """`target` None = to whatever is warm."""
    previous = instantly(view, status)
    if previous is not None and (target is None or target.hash == previous.revision):
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
    assert target is not None  # noqa: S101
    rejected = reject(status, stable, verdict, view.now, serving_identity=target.identity_hash)
    held = replace(rejected, hold=Hold(revision=target.hash, version=target.identity.version))
    goal = wanted(view, held).goal
    if goal is not None and goal.hash != target.hash:
        raise RefusedCommandError(f"version {goal.identity.version} is wanted and about to start: say pause before")
    return held, f"version {target.identity.version} is brought up again; version {stable.version} serves until then"


def last_good(view: View, status: Status) -> Revision | None:
    """The revision that was stable before the present one, is still stored, and was not rejected since."""
    stable = status.stable
    names = _served(status)
    if status.previous is not None:
        names.insert(0, status.previous.revision)
    known = (view.revision(name) for name in names if stable is None or name != stable.revision)
    return next((found for found in known if found is not None and entry_for(status, found) is None), None)


def _served(status: Status) -> list[str]:
    """Revisions that have had the traffic, the latest first."""
    return [entry.to_revision for entry in reversed(status.history) if entry.outcome in _WAS_STABLE]


def _named(view: View, status: Status, version: str) -> Revision:
    entries = [entry for entry in reversed(status.history) if entry.to == version]
    if not entries:
        known = sorted({entry.to for entry in status.history if entry.outcome in _WAS_STABLE}, key=_by_number)
        raise RefusedCommandError(f"history knows no version {version[:32]}; it knows {', '.join(known) or 'none'}")
    served = [entry.to_revision for entry in entries if entry.outcome in _WAS_STABLE]
    if not served:
        raise RefusedCommandError(f"version {version} has never served: its rollout ended as {entries[0].outcome}")
    stored = [found for found in map(view.revision, served) if found is not None]
    if not stored:
        raise RefusedCommandError(f"version {version} is not stored any more (historyLimit); name it in spec.model")
    good = [found for found in stored if entry_for(status, found) is None]
    if not good:
        entry = entry_for(status, stored[0])
        why = f" ({entry.gate}: {entry.message})" if entry else ""
        raise RefusedCommandError(f"version {version} was rejected{why}; name it in spec.model and say retry")
    # Another model of this deployment's past may have had the same number.
    return next((found for found in good if found.identity.name == view.spec.model.name), good[0])


def _by_number(version: str) -> tuple[int, str]:
    return (int(version) if version.isdecimal() else 0, version)
