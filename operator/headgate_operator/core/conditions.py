"""The seven conditions: what the state means to a person, to GitOps tools and to `kubectl wait`.

Each condition is a list of small checks; the first that has an answer gives it. All seven are always present; a
transition time changes only when the status does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from headgate_operator.api.reasons import ConditionType, Reason
from headgate_operator.api.status import By, Condition, Phase, Status, Truth
from headgate_operator.core.observed import Resolved, Unresolved
from headgate_operator.core.view import Trouble, View, outside_trouble, pods_say
from headgate_operator.core.waiting import waits_for
from headgate_operator.core.wanted import Wanted, paused_by, wanted


@dataclass(frozen=True, slots=True)
class Said:
    status: Truth
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the checks look at: the pass, the decided status, and what was asked for."""

    view: View
    status: Status
    wish: Wanted
    trouble: Trouble | None  # why the candidate cannot get on, outside the model


Check = Callable[[Situation], Said | None]
NOBODY = "none"


def yes(reason: Reason, message: str) -> Said:
    return Said(Truth.TRUE, reason, message)


def no(reason: Reason, message: str) -> Said:
    return Said(Truth.FALSE, reason, message)


# --- shared checks ----------------------------------------------------------------------------------------------------


def name_conflict(now: Situation) -> Said | None:
    conflict = now.view.children.conflict
    return no(Reason.NAME_CONFLICT, f"{conflict}; rename one of the two") if conflict else None


def budget_conflict(now: Situation) -> Said | None:
    """Rollouts go on: what serves is only not protected from evictions as it should be."""
    conflict = now.view.children.budget_conflict
    return no(Reason.NAME_CONFLICT, f"{conflict}; rename one of the two") if conflict else None


def garbage(now: Situation) -> Said | None:
    old = now.view.children.awaiting_collection
    return (
        no(Reason.WAITING_FOR_GARBAGE_COLLECTION, f"{old} of an earlier object of this name goes first")
        if old
        else None
    )


def rejected(now: Situation) -> Said | None:
    entry, stable = now.wish.forbidden_by, now.status.stable
    if entry is None or now.wish.goal is not None:
        return None
    why = f"version {entry.version} was rejected ({entry.gate}: {entry.message})"
    if stable is None:
        return no(Reason.FIRST_ROLLOUT_FAILED, f"{why}; give another version or say retry")
    if entry.by is By.UNDO and stable.revision != entry.revision:
        return None
    return no(Reason.ROLLED_BACK, f"{why}; version {stable.version} serves; give another version or say retry")


def refused(now: Situation) -> Said | None:
    refusal = now.view.refused
    if refusal is None:
        return None
    reason = Reason.QUOTA if refusal.quota else Reason.REFUSED_BY_API_SERVER
    return no(reason, f"{refusal.kind} {refusal.name}: {refusal.message}")


def never_resolved(now: Situation) -> Said | None:
    """The wish names something that was never found: what serves, if anything does, is not what is wanted."""
    model, answer = now.status.model, now.view.resolution
    if isinstance(answer, Resolved) or model is None or model.resolved_from == model.requested:
        return None
    return no(answer.reason, answer.message)


def gone(now: Situation) -> Said | None:
    answer = now.view.resolution
    if isinstance(answer, Unresolved) and answer.certain:
        return no(answer.reason, f"{answer.message}; what serves keeps serving")
    return None


def no_pods(now: Situation) -> Said | None:
    stable, view = now.status.stable, now.view
    if stable is None or view.spec.replicas == 0 or view.publicly_ready > 0:
        return None
    return no(Reason.NO_READY_PODS, f"no pod of version {stable.version} is ready{_why_unready(view, stable.revision)}")


def _why_unready(view: View, revision: str) -> str:
    trouble = outside_trouble(view, revision)
    why = f"{trouble.reason}: {trouble.message}" if trouble else pods_say(view, revision)
    return f" ({why})" if why else ""


def blocked(now: Situation) -> Said | None:
    return no(now.trouble.reason, now.trouble.message) if now.trouble else None


# --- one list a condition ---------------------------------------------------------------------------------------------


def paused_ready(now: Situation) -> Said | None:
    why = paused_by(now.view, now.status)
    if why is None or not _has_somewhere_to_go(now):
        return None
    stable, message = now.status.stable, f"a rollout is held back: {why}"
    return yes(Reason.PAUSED, message) if stable else no(Reason.PAUSED, message)


def _has_somewhere_to_go(now: Situation) -> bool:
    wish, stable = now.wish, now.status.stable
    allowed = (wish.goal, wish.asked if wish.forbidden_by is None else None)
    hashes = {revision.hash for revision in allowed if revision is not None}
    return now.status.candidate is not None or bool(hashes - {stable.revision if stable else ""})


def first_deployment(now: Situation) -> Said | None:
    if now.status.stable is not None:
        return None
    if now.status.candidate is not None:
        return no(Reason.FIRST_DEPLOYMENT, f"version {now.status.candidate.version} is brought up")
    if now.view.spec.replicas == 0:
        return no(Reason.SCALED_TO_ZERO, "spec.replicas is 0: nothing is deployed")
    return no(Reason.NO_VERSION_YET, "no version has been deployed yet")


def rolling_out(now: Situation) -> Said | None:
    if now.status.rollout is None:
        return None
    return yes(Reason.ROLLING_OUT, f"version {now.status.rollout.to} is on its way; what serves is healthy")


def held_by_undo(now: Situation) -> Said | None:
    entry = now.wish.forbidden_by
    if entry is None or entry.by is not By.UNDO or now.status.stable is None:
        return None
    message = (
        f"version {now.status.stable.version} serves since version {entry.version} was undone; say retry to try again"
    )
    return yes(Reason.HELD_BY_UNDO, message)


def scaled_to_zero(now: Situation) -> Said | None:
    return yes(Reason.SCALED_TO_ZERO, "spec.replicas is 0") if now.view.spec.replicas == 0 else None


def as_wanted(now: Situation) -> Said:
    stable = now.status.stable
    if stable is None:
        return yes(Reason.AS_WANTED, "as wanted")
    why = pods_say(now.view, stable.revision)
    missing = f", but a pod of it cannot ({why})" if why else ""
    return yes(Reason.AS_WANTED, f"version {stable.version} serves, as wanted{missing}")


READY: tuple[Check, ...] = (
    name_conflict, garbage, rejected, no_pods, never_resolved, gone, refused, budget_conflict, paused_ready, blocked,
    first_deployment, rolling_out, held_by_undo, scaled_to_zero, as_wanted,
)  # fmt: skip


def available(now: Situation) -> Said:
    view = now.view
    if view.publicly_ready > 0:
        return yes(Reason.SERVING, "the public Service has ready endpoints")
    if view.spec.replicas == 0:
        return no(Reason.SCALED_TO_ZERO, "spec.replicas is 0")
    if now.status.stable is None:
        return no(Reason.NO_VERSION_YET, "no version has been deployed yet")
    if now.status.rollout is not None and view.ready_pods(now.status.stable.revision) > 0:
        return no(Reason.SWITCHING, f"traffic moves to version {now.status.stable.version}")
    return no(Reason.NO_READY_PODS, f"no pod of version {now.status.stable.version} is ready")


def has_all_traffic(now: Situation) -> Said | None:
    asked, stable, rollout = now.wish.asked, now.status.stable, now.status.rollout
    if asked is None or stable is None or asked.hash != stable.revision or now.wish.forbidden_by is not None:
        return None
    if rollout is not None:
        return no(Reason.SWITCHING, f"traffic moves to version {stable.version}")
    return yes(Reason.AS_WANTED, f"version {stable.version} has all the traffic")


def not_up_to_date(now: Situation) -> Said:
    if now.status.rollout is not None:
        return no(Reason.ROLLING_OUT, f"version {now.status.rollout.to} is on its way")
    if now.view.spec.replicas == 0:
        return no(Reason.SCALED_TO_ZERO, "spec.replicas is 0: no rollout starts")
    return no(Reason.NO_VERSION_YET, "the wanted version has not been started yet")


def undone(now: Situation) -> Said | None:
    held = held_by_undo(now)
    return no(held.reason, held.message) if held and now.status.rollout is None else None


def paused(now: Situation) -> Said | None:
    said = paused_ready(now)
    return no(said.reason, said.message) if said else None


def paused_at_rest(now: Situation) -> Said | None:
    why = paused_by(now.view, now.status)
    return no(Reason.PAUSED, f"no rollout starts: {why}") if why else None


UP_TO_DATE: tuple[Check, ...] = (
    name_conflict, garbage, never_resolved, has_all_traffic, rejected, paused, undone, not_up_to_date,
)  # fmt: skip


def model_resolved(now: Situation) -> Said:
    answer, requested = now.view.resolution, now.view.spec.model.requested
    if isinstance(answer, Unresolved):
        return Said(Truth.FALSE if answer.certain else Truth.UNKNOWN, answer.reason, answer.message)
    return yes(Reason.RESOLVED, f"{requested} is version {answer.identity.version}")


def _target(now: Situation) -> str:
    return now.status.stable.version if now.status.stable else NOBODY


def under_way(now: Situation) -> Said | None:
    status, view = now.status, now.view
    if status.rollout is None:
        return None
    if status.rollout.phase is Phase.SWITCHING:
        return yes(Reason.SWITCHING, f"traffic moves to version {_target(now)}")
    if status.candidate is None:
        return None
    held = waits_for(view, status)
    if held is None:
        return yes(Reason.ROLLING_OUT, f"version {status.candidate.version} is verified")
    return yes(held.reason, f"version {status.candidate.version}: {held.message}")


def nothing_to_do(now: Situation) -> Said:  # noqa: ARG001
    return no(Reason.NOTHING_TO_DO, "no rollout is under way")


PROGRESSING: tuple[Check, ...] = (
    name_conflict, garbage, refused, blocked, under_way, rejected, paused, paused_at_rest, nothing_to_do,
)  # fmt: skip


def reconciling(now: Situation) -> Said:
    """kstatus: only while the operator itself is at work, not while it waits for evidence, time, people or others."""
    rollout, candidate = now.status.rollout, now.status.candidate
    if now.trouble is None and rollout is not None and not now.view.hindered:
        if rollout.phase is Phase.SWITCHING:
            return yes(Reason.SWITCHING, f"traffic moves to version {_target(now)}")
        if candidate is not None and candidate.verified_at is None:
            return yes(Reason.ROLLING_OUT, f"version {candidate.version} is brought up")
        if candidate is not None and candidate.step is not None and candidate.step_started_at is None:
            return yes(Reason.SCALING, f"version {candidate.version} is brought to its step's size")
    return no(Reason.NOTHING_TO_DO, "the present generation has been acted on")


def needs_a_person(now: Situation) -> Said | None:
    said = name_conflict(now) or rejected(now) or budget_conflict(now)
    return yes(said.reason, said.message) if said else None


def needs_nobody(now: Situation) -> Said:  # noqa: ARG001
    return no(Reason.NOTHING_TO_DO, "nothing waits for a person")


STALLED: tuple[Check, ...] = (needs_a_person, needs_nobody)

ALL: dict[ConditionType, tuple[Check, ...]] = {
    ConditionType.READY: READY,
    ConditionType.AVAILABLE: (available,),
    ConditionType.UP_TO_DATE: UP_TO_DATE,
    ConditionType.MODEL_RESOLVED: (model_resolved,),
    ConditionType.PROGRESSING: PROGRESSING,
    ConditionType.RECONCILING: (reconciling,),
    ConditionType.STALLED: STALLED,
}


def conditions_of(view: View, status: Status) -> tuple[Condition, ...]:
    now = Situation(view=view, status=status, wish=wanted(view, status), trouble=_trouble(view, status))
    said = {kind: next(filter(None, (check(now) for check in checks))) for kind, checks in ALL.items()}
    return tuple(_condition(kind, answer, status, view.generation, view.now) for kind, answer in said.items())


def _trouble(view: View, status: Status) -> Trouble | None:
    if status.candidate is None:
        return None
    trouble = outside_trouble(view, status.candidate.revision)
    if trouble is None and view.example_trouble is not None:
        return Trouble(Reason.GOLDEN_UNAVAILABLE, f"the input example: {view.example_trouble.message}")
    return trouble


def _condition(kind: ConditionType, said: Said, status: Status, generation: int, now: datetime) -> Condition:
    before = status.condition(kind)
    unchanged = before is not None and before.status is said.status
    return Condition(
        type=kind,
        status=said.status,
        reason=said.reason,
        message=said.message[:1024],
        last_transition_time=before.last_transition_time if before is not None and unchanged else now,
        observed_generation=generation,
    )


def blind(status: Status, why: str, generation: int, now: datetime) -> tuple[Condition, ...]:
    """The API server does not let us look (a right is missing): nothing is decided, and what is known stays known."""
    said = {
        ConditionType.READY: no(Reason.REFUSED_BY_API_SERVER, why),
        ConditionType.PROGRESSING: no(Reason.REFUSED_BY_API_SERVER, why),
        ConditionType.STALLED: yes(Reason.REFUSED_BY_API_SERVER, why),
    }
    unknown = Said(Truth.UNKNOWN, Reason.REFUSED_BY_API_SERVER, why)
    return tuple(
        _condition(kind, said[kind], status, generation, now)
        if kind in said
        else status.condition(kind) or _condition(kind, unknown, status, generation, now)
        for kind in ConditionType
    )


def invalid_spec(status: Status, why: str, generation: int, now: datetime) -> tuple[Condition, ...]:
    """The spec cannot be understood: everything stays as it is, and the user reads what to mend."""
    unknown = Said(Truth.UNKNOWN, Reason.INVALID_SPEC, why)
    said = {
        **dict.fromkeys(ConditionType, unknown),
        ConditionType.READY: no(Reason.INVALID_SPEC, why),
        ConditionType.STALLED: yes(Reason.INVALID_SPEC, why),
        ConditionType.RECONCILING: no(Reason.INVALID_SPEC, why),
    }
    return tuple(_condition(kind, answer, status, generation, now) for kind, answer in said.items())
