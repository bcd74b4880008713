"""`promote` and `abort`: a person's word on a rollout that is under way."""

from __future__ import annotations

from dataclasses import replace

from headgate_operator.api.reader import Reader
from headgate_operator.api.spec import Approval
from headgate_operator.api.status import ApprovalStatus, By, Candidate, Scope, Status
from headgate_operator.core.canary_gates import evidence_suffices
from headgate_operator.core.command import Command, RefusedCommandError
from headgate_operator.core.gates import approval_of
from headgate_operator.core.quarantine import Verdict
from headgate_operator.core.rollouts import fail_candidate
from headgate_operator.core.sizes import can_return, following_step, in_steps, last_step, shares_traffic, step_at
from headgate_operator.core.view import View

MOST = 32
"""Approvals that status keeps: more than a canary has steps. A rolling rollout has more, and asks for none."""


def promote(view: View, status: Status, command: Command) -> tuple[Status, str]:
    """The approval that the next step wants, where it is all that is missing; else the next step regardless of evidence
    and time. `full` goes on to the switch. Pods are brought up and verified as always: only waiting is cut short."""
    candidate = status.candidate
    if candidate is None or status.rollout is None:
        raise RefusedCommandError("there is nothing to promote: no rollout is under way")
    if not in_steps(status):
        return _approve_switch(view, status, candidate, command)
    full = Reader(command.args, "args").flag("full", default=False)
    following = following_step(candidate)
    if following > last_step(view, status):
        raise RefusedCommandError(f"version {candidate.version} is on its way to all the traffic already")
    if full:
        goal = last_step(view, status)
        for step in range(following, goal + 1):
            status = _approved(view, status, step, command, regardless=True)
        return status, f"version {candidate.version} goes on to all the traffic, regardless of evidence"
    missing = evidence_suffices(view, status, candidate) if shares_traffic(status) else None
    only_approval = step_at(view, status, following).approval is Approval.MANUAL
    if only_approval and approval_of(status, following) is None:
        waits = f"; it still waits: {missing.message} (say promote again to go on regardless)" if missing else ""
        given = _approved(view, status, following, command, regardless=False)
        return given, f"step {following + 1} is approved{waits}"
    given = _approved(view, status, following, command, regardless=True)
    return given, f"version {candidate.version} goes on to step {following + 1}, regardless of evidence"


def _approve_switch(view: View, status: Status, candidate: Candidate, command: Command) -> tuple[Status, str]:
    if view.policy.approval is Approval.MANUAL and approval_of(status, 0) is None:
        return _approved(view, status, 0, command, regardless=False), "the switch is approved"
    given = _approved(view, status, 0, command, regardless=True)
    return given, f"version {candidate.version} gets the traffic as soon as it is verified"


def _approved(view: View, status: Status, step: int, command: Command, *, regardless: bool) -> Status:
    assert status.rollout is not None  # noqa: S101
    approval = ApprovalStatus(step=step, by=command.by[:128], at=view.now, regardless=regardless)
    others = tuple(given for given in status.rollout.approvals if given.step != step)
    return replace(status, rollout=replace(status.rollout, approvals=(*others, approval)[-MOST:]))


def refuse_where_nobody_takes_over(view: View, status: Status) -> None:
    if shares_traffic(status) and not can_return(view, status):
        raise RefusedCommandError(
            "no pod of the stable version is ready to take the traffic back; mend it, or promote --full"
        )


def abort(view: View, status: Status, command: Command) -> tuple[Status, str]:
    """The candidate is taken out and rejected: only a retry, or another version, starts again."""
    candidate, stable = status.candidate, status.stable
    if candidate is None:
        raise RefusedCommandError("there is nothing to abort: no rollout is under way (undo goes back after a switch)")
    refuse_where_nobody_takes_over(view, status)
    by = f" by {command.by[:128]}" if command.by else ""
    verdict = Verdict(scope=Scope.MODEL, by=By.ABORT, gate="Abort", message=f"aborted{by}")
    failed = fail_candidate(view, status, candidate, verdict)
    serving = f"version {stable.version} serves" if stable else "nothing served yet"
    return failed, f"the rollout of version {candidate.version} is given up; {serving}"
