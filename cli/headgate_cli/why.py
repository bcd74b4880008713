"""`headgate why`: what was decided, what is waited for, on which numbers, and what a person can do about it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from headgate_cli import decisions, evidence
from headgate_cli.show import condition, since, table

Obj = Mapping[str, Any]

_BY_ITSELF = "Nothing needs to be done: it goes on by itself."
_REJECTED = "Mend the model and name a new version, or try the same once more: headgate retry {name}"
NEXT: Mapping[str, tuple[str, ...]] = {
    "WaitingForEvidence": (
        f"{_BY_ITSELF} More requests make it faster; where predictions differ it waits for a person.",
        "To go on without waiting: headgate promote {name}",
        "To give it up: headgate abort {name}",
    ),
    "WaitingForMinDuration": (_BY_ITSELF, "To go on without waiting: headgate promote {name}"),
    "WaitingForApproval": ("To approve: headgate promote {name}", "To give it up: headgate abort {name}"),
    "WaitingForWebhook": (
        "It goes on as soon as every webhook approves.",
        "To go on all the same: headgate promote {name}",
    ),
    "Inconclusive": (
        "maxDuration has passed without a verdict, and onInconclusive is Hold: a person decides.",
        "To go on all the same: headgate promote {name}",
        "To give it up: headgate abort {name}",
    ),
    "AnalysisFailed": (
        "The evidence is against it, and onFailure is Hold: a person decides.",
        "To give it up: headgate abort {name}",
        "To go on all the same: headgate promote {name}",
    ),
    "UnachievableWeight": ("Give more replicas, other weights, or unachievableWeight: Round.",),
    "RolledBack": (_REJECTED,),
    "FirstRolloutFailed": (_REJECTED,),
    "HeldByUndo": ("What was undone stays away. To let it return: headgate retry {name}",),
    "InvalidSpec": ("Mend the spec: headgate lint FILE says what is wrong with it.",),
    "Verifying": (_BY_ITSELF,),
    "Scaling": (_BY_ITSELF,),
    "Switching": (_BY_ITSELF,),
    "DrainingPrevious": (_BY_ITSELF,),
    "AsWanted": ("Nothing needs to be done.",),
}
"""By the reason of a condition. The others are in docs/reference/conditions.md."""


def explain(obj: Obj) -> dict[str, Any]:
    """What there is to know, for programs and for `lines`."""
    meta, status = obj["metadata"], obj.get("status") or {}
    rollout = decisions.subject(status)
    made = decisions.ledger(rollout)
    under_way = status.get("rollout")
    return {
        "namespace": meta["namespace"],
        "name": meta["name"],
        "ready": _condition(obj, "Ready"),
        "progressing": _condition(obj, "Progressing"),
        "underWay": under_way is not None,
        "rollout": {key: value for key, value in rollout.items() if key not in {"decisions", "policy"}}
        if rollout
        else None,
        "candidate": status.get("candidate"),
        "steps": ((under_way or {}).get("policy") or {}).get("steps") or [],
        "traffic": status.get("traffic"),
        "lastDecision": decisions.last(made),
        "decisions": made,
        "approvals": (under_way or {}).get("approvals") or [],
        "rejected": status.get("rejected") or [],
        "webhooks": [
            one for one in status.get("webhooks") or [] if rollout and one["rollout"] == decisions.number_of(rollout)
        ],
        "next": next_steps(obj),
    }


def _condition(obj: Obj, kind: str) -> dict[str, Any]:
    found = condition(obj, kind)
    return {key: found.get(key) for key in ("status", "reason", "message") if found.get(key)}


def next_steps(obj: Obj) -> list[str]:
    name, status = obj["metadata"]["name"], obj.get("status") or {}
    progressing, ready = (str(condition(obj, kind).get("reason") or "") for kind in ("Progressing", "Ready"))
    if progressing == "Paused" or (status.get("pause") and not status.get("rollout")):
        return [f"To go on: headgate resume {name}" if status.get("pause") else "To go on: set spec.paused to false."]
    reason = progressing if status.get("rollout") else ready
    if not reason:
        return ["The operator has not looked at it yet."]
    told = NEXT.get(reason) or (f"docs/reference/conditions.md explains {reason}.",)
    return [line.format(name=name) for line in told]


def lines(explained: Obj, now: datetime) -> list[str]:
    told = [_headline(explained, now)]
    told += _block("now", _now(explained, now))
    told += _block("last decision", _last(explained, now))
    told += _block("all decisions of this rollout, the newest first", _all(explained, now))
    told += _block("approved", _approved(explained, now))
    told += _block("webhooks", [_webhook(one, now) for one in explained["webhooks"]])
    told += _block("rejected", [_rejected(one, now) for one in explained["rejected"]])
    return told + _block("what to do", explained["next"])


def _block(title: str, content: list[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in content)] if content else []


def _headline(explained: Obj, now: datetime) -> str:
    name, rollout = f"{explained['name']} (namespace {explained['namespace']})", explained["rollout"]
    if rollout is None:
        return f"{name}: nothing has been rolled out yet."
    change = f"version {rollout['from']} to {rollout['to']}" if rollout.get("from") else f"version {rollout['to']}"
    number = f"rollout {decisions.number_of(rollout)}, {change}"
    why = f", because {rollout['reason']}" if rollout.get("reason") else ""
    if explained["underWay"]:
        return f"{name}: {number}, is under way for {since(rollout.get('startedAt'), now)}{why}."
    return f"{name}: {number}, ended {since(rollout.get('at'), now)} ago as {rollout['outcome']}{why}."


def _now(explained: Obj, now: datetime) -> list[str]:
    ready, progressing, candidate = explained["ready"], explained["progressing"], explained["candidate"]
    if not explained["underWay"] or candidate is None:
        chosen = progressing if explained["underWay"] else ready
        return [f"{chosen['reason']}: {chosen.get('message', '')}".rstrip(": ")] if chosen else []
    told = [place(candidate, explained["steps"], now)]
    if traffic := explained["traffic"]:
        told.append(share(traffic))
    if reason := progressing.get("reason"):
        told.append(f"{reason}: {candidate.get('waitingFor') or progressing.get('message', '')}".rstrip(": "))
    if figures := candidate.get("evidence"):
        told += _figures(figures, explained["rollout"])
    return told


def place(candidate: Obj, steps: list[Obj], now: datetime) -> str:
    if candidate.get("step") is None:
        return f"version {candidate['version']} is being verified; it has no traffic yet"
    of = f" of {len(steps)}" if steps else ""
    began = candidate.get("stepStartedAt")
    lasts = f"for {since(began, now)}" if began else "its pods are still on their way"
    return f"step {int(candidate['step']) + 1}{of} ({candidate.get('weight')} %), {lasts}"


def share(traffic: Obj) -> str:
    observed = f", observed {traffic['observed']} %" if traffic.get("observed") else ""
    return f"share of the traffic: wanted {traffic['desired']} %, the pods make {traffic['achievable']} %{observed}"


def _figures(figures: Obj, rollout: Obj) -> list[str]:
    stable = f"version {rollout['from']}" if rollout.get("from") else "the stable version"
    told = [evidence.sample(figures, f"version {rollout['to']}", stable)]
    rows = [
        (
            gate.name,
            evidence.e_value(gate.harm.value),
            evidence.e_value(gate.harm.bound),
            evidence.e_value(gate.safety.value),
            evidence.e_value(gate.safety.bound),
        )
        for gate in evidence.gates(figures)
    ]
    header = ("EVIDENCE", "WORSE", "ROLLED BACK AT", "NO WORSE", "GOES ON AT")
    return told + (table(header, rows) if rows else [])


def _last(explained: Obj, now: datetime) -> list[str]:
    decision, rollout = explained["lastDecision"], explained["rollout"]
    if decision is None:
        message = (rollout or {}).get("message")
        return [message] if message and not explained["underWay"] else []
    told = [decisions.sentence(decision, rollout, now)]
    return told + (_figures(decision["figures"], rollout) if decision.get("figures") else [])


def _all(explained: Obj, now: datetime) -> list[str]:
    made = explained["decisions"]
    rows = [
        (
            f"{since(one.get('at'), now)} ago",
            str(one["what"]),
            str(int(one["step"]) + 1) if one.get("step") is not None else "-",
            f"{one['weight']} %" if one.get("weight") is not None else "-",
            str(one.get("person") or one["by"]),
            str((one.get("figures") or {}).get("requests", "-")),
        )
        for one in reversed(made)
    ]
    return table(("WHEN", "WHAT", "STEP", "WEIGHT", "BY", "REQUESTS"), rows) if len(made) > 1 else []


def _approved(explained: Obj, now: datetime) -> list[str]:
    return [
        f"step {int(one['step']) + 1} by {one.get('by') or 'somebody'}, {since(one.get('at'), now)} ago"
        + (", regardless of evidence" if one.get("regardless") else "")
        for one in explained["approvals"]
    ]


def _webhook(one: Obj, now: datetime) -> str:
    said = f": {one['message']}" if one.get("message") else ""
    return f"{one['name']} ({one['when']}): {one['outcome']}, {since(one.get('at'), now)} ago{said}"


def _rejected(one: Obj, now: datetime) -> str:
    scope = "with any settings" if one.get("scope") == "Model" else "with these settings"
    return f"version {one['version']} {scope}, {since(one.get('at'), now)} ago by {one['by']}: {one['message']}"
