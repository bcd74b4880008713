"""The ledger of a deployment: which decisions are on record, and each of them in a sentence."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from headgate_cli.show import since

Obj = Mapping[str, Any]

_SENTENCES = {
    "Widened": "version {to} got its first traffic, {step}",
    "StepEntered": "{step} was entered",
    "StepReached": "{step} was reached",
    "Narrowed": "version {to} was taken out of the traffic, without being given up",
    "Approved": "{step} was approved",
    "Promoted": "version {to} got all the traffic",
    "RolledBack": "version {to} was rolled back",
    "Aborted": "the rollout of version {to} was aborted",
    "Undone": "version {to} was undone",
    "FirstRolloutFailed": "version {to} could not be deployed",
    "Cancelled": "the rollout of version {to} was cancelled",
    "Superseded": "the rollout of version {to} made way for another",
    "Reverted": "the traffic went back before the rollout had ended",
}
_BY = {
    "Analysis": "the evidence",
    "Guard": "the guard",
    "Load": "what its pods said",
    "Preflight": "the checks before the traffic",
    "Policy": "the rules of the spec",
}
# What is on record of every step, and changes nothing.
_ROUTINE = {"StepReached"}


def subject(status: Obj) -> Obj | None:
    """The rollout that a person asks about: the one under way, else the last one."""
    rollout: Obj | None = status.get("rollout")
    past = status.get("history") or []
    return rollout or (past[-1] if past else None)


def number_of(rollout: Obj) -> int:
    return int(rollout.get("id") or rollout.get("rollout") or 0)


def ledger(rollout: Obj | None) -> list[Obj]:
    """The oldest first."""
    return list((rollout or {}).get("decisions") or [])


def last(decisions: list[Obj]) -> Obj | None:
    told = [one for one in decisions if one.get("what") not in _ROUTINE]
    chosen = told or decisions
    return chosen[-1] if chosen else None


def who(decision: Obj) -> str:
    by = str(decision.get("by") or "")
    return str(decision.get("person") or "a person") if by == "Person" else _BY.get(by, by)


def what(decision: Obj, rollout: Obj) -> str:
    sentence = _SENTENCES.get(str(decision.get("what")), str(decision.get("what")))
    return sentence.format(to=rollout.get("to", "?"), step=_step(decision))


def _step(decision: Obj) -> str:
    if decision.get("step") is None:
        return "the switch"
    weight = f" ({decision['weight']} %)" if decision.get("weight") is not None else ""
    return f"step {int(decision['step']) + 1}{weight}"


def sentence(decision: Obj, rollout: Obj, now: datetime) -> str:
    reason = f": {decision['reason']}" if decision.get("reason") else ""
    when = f"{since(decision.get('at'), now)} ago"
    return f"{when}  {what(decision, rollout)}, decided by {who(decision)}{reason}"
