"""What a rule has decided, put on record with its reason and figures.

Read off the difference that a single rule has made, so that no rule can decide and forget to say so. A rule that
changes nothing that people call a decision (a count, a clock, a checkpoint) leaves no entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from headgate_operator.api.decisions import Decided, DecidedBy, Decision
from headgate_operator.api.status import FAILED, By, Candidate, HistoryEntry, Outcome, Rejected, Status
from headgate_operator.core.analysis import figures, judged
from headgate_operator.core.command import Command
from headgate_operator.core.evidence.judgement import Verdict
from headgate_operator.core.gates import approval_of
from headgate_operator.core.sizes import shares_traffic, step_at
from headgate_operator.core.view import View

CAPACITY = 64
LONGEST = 512
SOMEBODY = "somebody"
Record = tuple[int, Decision]
"""The number of the rollout, and what was decided about it."""


@dataclass(frozen=True, slots=True)
class _Grounds:
    by: DecidedBy
    reason: str
    gate: str | None = None
    person: str | None = None


def recorded(view: View, before: Status, after: Status) -> Status:
    """`after` one rule, with what it has decided."""
    made = (*_approved(view, before, after), *_on_the_way(view, before, after), *_ended(view, before, after))
    for rollout, decision in made:
        after = _written(after, rollout, decision)
    return after


def decisions_of(status: Status) -> list[Record]:
    past = [(entry.rollout, decision) for entry in status.history for decision in entry.decisions]
    rollout = status.rollout
    return past + ([(rollout.id, decision) for decision in rollout.decisions] if rollout else [])


def decided_between(old: Status, new: Status) -> list[Record]:
    known = set(decisions_of(old))
    return [record for record in decisions_of(new) if record not in known]


def _written(status: Status, rollout: int, decision: Decision) -> Status:
    if status.rollout is not None and status.rollout.id == rollout:
        return replace(status, rollout=replace(status.rollout, decisions=_longer(status.rollout.decisions, decision)))
    entry = _entry(status, rollout)
    if entry is None:
        return status
    longer = replace(entry, decisions=_longer(entry.decisions, decision))
    return replace(status, history=tuple(longer if one is entry else one for one in status.history))


def _longer(decisions: tuple[Decision, ...], decision: Decision) -> tuple[Decision, ...]:
    return (*decisions, decision)[-CAPACITY:]


def _entry(status: Status, rollout: int) -> HistoryEntry | None:
    return next((entry for entry in reversed(status.history) if entry.rollout == rollout), None)


def _made(view: View, before: Status, what: Decided, why: _Grounds, step: int | None, weight: int | None) -> Decision:
    return Decision(
        at=view.now, what=what, by=why.by, person=why.person, step=step, weight=weight, gate=why.gate,
        reason=why.reason[:LONGEST], figures=figures(view, before),
    )  # fmt: skip


def _person(view: View) -> str:
    said = view.command.by if isinstance(view.command, Command) else ""
    return said[:128] or SOMEBODY


def _approved(view: View, before: Status, after: Status) -> Iterator[Record]:
    old, new = before.rollout, after.rollout
    if old is None or new is None or old.id != new.id or old.approvals == new.approvals:
        return
    given = [approval for approval in new.approvals if approval not in old.approvals]
    if not given:
        return
    answer = after.last_command.message if after.last_command else ""
    step = max(approval.step for approval in given)
    weight = step_at(view, after, step).weight if before.candidate and before.candidate.step is not None else None
    why = _Grounds(DecidedBy.PERSON, answer, person=_person(view))
    yield new.id, _made(view, before, Decided.APPROVED, why, step, weight)


def _on_the_way(view: View, before: Status, after: Status) -> Iterator[Record]:
    old, new = before.candidate, after.candidate
    if old is None or new is None or old.revision != new.revision or before.rollout is None or after.rollout is None:
        return
    found = _moved(view, before, after, old, new)
    if found is not None and before.rollout.id == after.rollout.id:
        what, why = found
        at = old if what is Decided.NARROWED else new
        yield after.rollout.id, _made(view, before, what, why, at.step, at.weight)


def _moved(
    view: View, before: Status, after: Status, old: Candidate, new: Candidate
) -> tuple[Decided, _Grounds] | None:
    if shares_traffic(after) and not shares_traffic(before):
        return Decided.WIDENED, _verified(before, new.step or 0)
    if shares_traffic(before) and not shares_traffic(after):
        return Decided.NARROWED, _Grounds(DecidedBy.POLICY, "spec.replicas is 0: nobody has traffic")
    if (old.step, old.weight) != (new.step, new.weight) and new.step is not None:
        return Decided.STEP_ENTERED, _for_going_on(view, before, old, new.step)
    if old.step_started_at is None and new.step_started_at is not None:
        pods = view.ready_pods(new.revision)
        reached = f"{pods} pod{'' if pods == 1 else 's'} of version {new.version} ready and with traffic"
        return Decided.STEP_REACHED, _Grounds(DecidedBy.POLICY, reached)
    return None


def _verified(status: Status, step: int) -> _Grounds:
    given, shown = approval_of(status, step), "verified: all pods agree, golden prediction checked"
    if given is None:
        return _Grounds(DecidedBy.POLICY, shown)
    if given.regardless:
        return _Grounds(DecidedBy.PERSON, shown, person=given.by or SOMEBODY)
    return _Grounds(DecidedBy.POLICY, f"{shown}, approved by {given.by or SOMEBODY}")


def _for_going_on(view: View, status: Status, old: Candidate, step: int) -> _Grounds:
    if old.step is not None and step <= old.step:
        return _Grounds(DecidedBy.POLICY, "the steps of the spec have changed")
    judgement, given = judged(view, status), approval_of(status, step)
    if judgement is not None and judgement.verdict is Verdict.PROMOTE:
        return _Grounds(DecidedBy.ANALYSIS, judgement.reason, judgement.gate)
    known = f": {judgement.missing or judgement.reason}" if judgement else ""
    if given is not None and given.regardless:
        return _Grounds(DecidedBy.PERSON, f"promoted regardless of evidence{known}", person=given.by or SOMEBODY)
    if judgement is None:
        return _Grounds(DecidedBy.POLICY, "the step has lasted")
    return _Grounds(DecidedBy.POLICY, f"no verdict within maxDuration{known}; onInconclusive: Promote", "Inconclusive")


def _ended(view: View, before: Status, after: Status) -> Iterator[Record]:
    """What becomes of a rollout is decided once; that it is seen later is no decision."""
    ids = {status.rollout.id for status in (before, after) if status.rollout is not None}
    for rollout in sorted(ids):
        outcome = _outcome(after, rollout)
        if outcome is None or outcome is _outcome(before, rollout):
            continue
        what, why = _why_it_ends(view, before, after, rollout, outcome)
        ours = before.rollout is not None and before.rollout.id == rollout
        at = before.candidate if ours else None
        yield rollout, _made(view, before, what, why, at.step if at else None, at.weight if at else None)


def _outcome(status: Status, rollout: int) -> Outcome | None:
    if status.rollout is not None and status.rollout.id == rollout:
        return status.rollout.outcome
    entry = _entry(status, rollout)
    return entry.outcome if entry else None


_BY = {
    By.ANALYSIS: DecidedBy.ANALYSIS,
    By.GUARD: DecidedBy.GUARD,
    By.LOAD: DecidedBy.LOAD,
    By.PREFLIGHT: DecidedBy.PREFLIGHT,
    By.UNDO: DecidedBy.PERSON,
    By.ABORT: DecidedBy.PERSON,
}
_WORD = {By.UNDO: Decided.UNDONE, By.ABORT: Decided.ABORTED}


def _why_it_ends(view: View, before: Status, after: Status, rollout: int, outcome: Outcome) -> tuple[Decided, _Grounds]:
    if outcome is Outcome.PROMOTED and before.candidate is not None:
        return Decided.PROMOTED, _for_the_switch(before, before.candidate)
    entry = _rejected(before, after)
    if entry is not None and outcome in FAILED:
        person = _person(view) if entry.by in _WORD else None
        return _WORD.get(entry.by, Decided(str(outcome))), _Grounds(_BY[entry.by], entry.message, entry.gate, person)
    told = after.rollout if after.rollout is not None and after.rollout.id == rollout else _entry(after, rollout)
    by = DecidedBy.GUARD if outcome is Outcome.ROLLED_BACK else DecidedBy.POLICY
    return Decided(str(outcome)), _Grounds(by, (told.message if told else None) or "")


def _rejected(before: Status, after: Status) -> Rejected | None:
    new = [entry for entry in after.rejected if entry not in before.rejected]
    return new[-1] if new else None


def _for_the_switch(before: Status, candidate: Candidate) -> _Grounds:
    """Everything was decided when the last step was entered: the switch only waits for its pods."""
    if candidate.step is None:
        return _verified(before, 0)
    entered = {Decided.STEP_ENTERED, Decided.WIDENED}
    past = before.rollout.decisions if before.rollout else ()
    last = next((one for one in reversed(past) if one.what in entered and one.step == candidate.step), None)
    if last is None:
        return _Grounds(DecidedBy.POLICY, "the last step is over")
    return _Grounds(last.by, last.reason, last.gate, last.person)
