"""Events: what happened, told once, from the difference of two statuses. At rest there is none."""

from __future__ import annotations

from headgate_operator.api.decisions import Decided, Decision
from headgate_operator.api.reasons import ConditionType, Reason
from headgate_operator.api.status import FAILED, Answer, HistoryEntry, Outcome, Phase, Status, Truth
from headgate_operator.core.event import Event
from headgate_operator.core.ledger import decided_between

# On the way to the first version: no trouble, and what happens is told by Events of its own.
_NOT_YET = {Reason.NO_VERSION_YET, Reason.SCALED_TO_ZERO, Reason.SWITCHING}


def events_between(old: Status, new: Status) -> list[Event]:
    return [
        *_command(old, new),
        *_rollout(old, new),
        *_steps(old, new),
        *_history(old, new),
        *_rejected(old, new),
        *_previous(old, new),
        *_conditions(old, new),
    ]


def _command(old: Status, new: Status) -> list[Event]:
    answer = new.last_command
    if answer is None or (old.last_command is not None and old.last_command.id == answer.id):
        return []
    accepted = answer.outcome is Answer.ACCEPTED
    return [Event(f"Command{answer.outcome}", f"{answer.verb or 'command'}: {answer.message}", warning=not accepted)]


def _rollout(old: Status, new: Status) -> list[Event]:
    events = []
    before, after = old.rollout, new.rollout
    if after is not None and (before is None or before.id != after.id):
        origin = f" from version {after.from_}" if after.from_ else ""
        events.append(Event("RolloutStarted", f"rollout {after.id}{origin} to version {after.to}: {after.reason}"))
    verified_before = old.candidate.verified_at if old.candidate else None
    switched = after is not None and after.phase is Phase.SWITCHING and after.outcome is Outcome.PROMOTED
    was_switched = before is not None and before.phase is Phase.SWITCHING
    verified_now = (new.candidate is not None and new.candidate.verified_at is not None) or (
        switched and not was_switched
    )
    if verified_before is None and verified_now and after is not None:
        events.append(Event("Verified", f"version {after.to}: all pods agree, golden prediction checked"))
    if after is not None and after.phase is Phase.SWITCHING and (before is None or before.outcome is not after.outcome):
        target = new.stable.version if new.stable else after.to
        last = after.decisions[-1] if after.decisions else None
        why = f": {last.reason}" if last is not None and last.reason else ""
        events.append(Event("Switching", f"traffic moves to version {target}{why}"))
    return events


_ON_THE_WAY = {Decided.WIDENED, Decided.STEP_ENTERED, Decided.STEP_REACHED, Decided.NARROWED}
"""The other decisions have Events of their own: of the command, of the switch, of the end."""


def _steps(old: Status, new: Status) -> list[Event]:
    return [
        Event(str(decision.what), _at_step(decision))
        for _, decision in decided_between(old, new)
        if decision.what in _ON_THE_WAY
    ]


def _at_step(decision: Decision) -> str:
    number = f"step {decision.step + 1} ({decision.weight} %)" if decision.step is not None else "the traffic"
    by = decision.person or decision.by
    return f"{number}, by {by}: {decision.reason}"


def _history(old: Status, new: Status) -> list[Event]:
    known = {(entry.rollout, entry.at) for entry in old.history}
    return [_ended(entry) for entry in new.history if (entry.rollout, entry.at) not in known]


def _ended(entry: HistoryEntry) -> Event:
    origin = f" from version {entry.from_}" if entry.from_ else ""
    more = f": {entry.message}" if entry.message else ""
    text = f"rollout {entry.rollout}{origin} to version {entry.to} after {entry.seconds} s{more}"
    return Event(str(entry.outcome), text, warning=entry.outcome in FAILED)


def _rejected(old: Status, new: Status) -> list[Event]:
    known = {(entry.revision, entry.scope, entry.at) for entry in old.rejected}
    return [
        Event("Rejected", f"version {entry.version} ({entry.scope}) by {entry.by}: {entry.message}", warning=True)
        for entry in new.rejected
        if (entry.revision, entry.scope, entry.at) not in known
    ]


def _previous(old: Status, new: Status) -> list[Event]:
    before, after = old.previous, new.previous
    if after is not None and after.draining_since is not None:
        was_draining = before is not None and before.revision == after.revision and before.draining_since is not None
        if not was_draining:
            early = after.warm_until is not None and after.draining_since < after.warm_until
            why = "; keepWarm ends early, the next version is ready" if early else ""
            return [Event("Draining", f"version {after.version} finishes its requests{why}")]
    if before is not None and before.drained and after is None:
        return [Event("Removed", f"the pods of version {before.version} are gone")]
    return []


def _conditions(old: Status, new: Status) -> list[Event]:
    events = []
    for kind in (ConditionType.MODEL_RESOLVED, ConditionType.AVAILABLE):
        before, after = old.condition(kind), new.condition(kind)
        if after is None or after.reason is Reason.SWITCHING or (before is None and after.reason in _NOT_YET):
            continue
        changed = before is None or before.status is not after.status or before.reason is not after.reason
        if changed:
            bad = after.status is not Truth.TRUE and after.reason not in _NOT_YET
            events.append(Event(str(after.reason), after.message, warning=bad))
    return [*events, *_trouble(old, new), *_waits_for_a_person(old, new), *_budget(old, new)]


_FOR_A_PERSON = {Reason.WAITING_FOR_APPROVAL, Reason.INCONCLUSIVE}


def _waits_for_a_person(old: Status, new: Status) -> list[Event]:
    before, after = old.condition(ConditionType.PROGRESSING), new.condition(ConditionType.PROGRESSING)
    if after is None or after.reason not in _FOR_A_PERSON or (before is not None and before.reason is after.reason):
        return []
    return [Event(str(after.reason), after.message, warning=after.reason is Reason.INCONCLUSIVE)]


def _budget(old: Status, new: Status) -> list[Event]:
    """A name that is taken hinders rollouts, which is told of them; that of the disruption budget hinders nothing."""
    before, after = old.condition(ConditionType.STALLED), new.condition(ConditionType.STALLED)
    progressing = new.condition(ConditionType.PROGRESSING)
    if after is None or after.reason is not Reason.NAME_CONFLICT or (before and before.reason is after.reason):
        return []
    if progressing is not None and progressing.reason is Reason.NAME_CONFLICT:
        return []
    return [Event(str(after.reason), after.message, warning=True)]


def _trouble(old: Status, new: Status) -> list[Event]:
    """What stands in the way of a rollout, when it begins to."""
    before, after = old.condition(ConditionType.PROGRESSING), new.condition(ConditionType.PROGRESSING)
    quiet = {Reason.NOTHING_TO_DO, Reason.ROLLED_BACK, Reason.FIRST_ROLLOUT_FAILED}
    if after is None or after.status is not Truth.FALSE or after.reason in quiet:
        return []
    if before is not None and before.reason is after.reason:
        return []
    return [Event(str(after.reason), after.message, warning=after.reason is not Reason.PAUSED)]
