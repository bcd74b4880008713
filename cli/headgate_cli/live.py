"""`headgate status NAME --watch`: a rollout as it goes, as a picture for a terminal and as a line for a log."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from headgate_cli import decisions, evidence, show, why

Obj = Mapping[str, Any]
LAST = 4


def picture(obj: Obj, now: datetime, *, plain: bool = False) -> list[str]:
    """Everything at a glance while a rollout is under way; how it is otherwise."""
    status = obj.get("status") or {}
    rollout = status.get("rollout")
    if rollout is None:
        return show.detail(obj, now)
    lines = [_title(obj, rollout, now), "", *_pairs(status, rollout, now)]
    figures = (status.get("candidate") or {}).get("evidence")
    if found := evidence.gates(figures):
        lines += ["", "evidence", *(f"  {line}" for line in evidence.bars(found, plain=plain))]
    if made := decisions.ledger(rollout)[-LAST:]:
        lines += ["", "decisions", *(f"  {decisions.sentence(one, rollout, now)}" for one in reversed(made))]
    return lines


def _title(obj: Obj, rollout: Obj, now: datetime) -> str:
    change = f"{rollout['from']} -> {rollout['to']}" if rollout.get("from") else f"version {rollout['to']}"
    started = show.since(rollout.get("startedAt"), now)
    meta = obj["metadata"]
    words = dict.fromkeys([rollout["strategy"], rollout["phase"], rollout["reason"]])  # Canary is both
    what = f"{', '.join(words)}, for {started}"
    return f"{meta['name']} (namespace {meta['namespace']})  rollout {rollout['id']}  {change}  {what}"


def _pairs(status: Obj, rollout: Obj, now: datetime) -> list[str]:
    candidate, stable = status.get("candidate"), status.get("stable")
    steps = (rollout.get("policy") or {}).get("steps") or []
    pairs: list[tuple[str, str]] = []
    if steps and candidate:
        pairs.append(("steps", _steps(steps, candidate.get("step"))))
    if candidate:
        pairs.append(("now", why.place(candidate, steps, now)))
    if traffic := status.get("traffic"):
        pairs.append(("share", why.share(traffic).removeprefix("share of the traffic: ")))
    pairs += [("pods", _pods(role)) for role in (candidate, stable) if role]
    if candidate and (figures := candidate.get("evidence")):
        versions = f"version {rollout['to']}", f"version {rollout.get('from')}"
        pairs.append(("requests", evidence.sample(figures, *versions)))
    if candidate and candidate.get("waitingFor"):
        pairs.append(("waiting", str(candidate["waitingFor"])))
    elif rollout["phase"] == "Switching":
        pairs.append(("waiting", "the endpoints to show the switch"))
    return [f"{label:<10}{text}" for label, text in pairs]


def _steps(steps: list[Obj], at: int | None) -> str:
    """Those that are over, [the present one], those to come."""
    return "  ".join(
        f"[{one['weight']} %]" if number == at else f"{one['weight']} %" for number, one in enumerate(steps)
    )


def _pods(role: Obj) -> str:
    return f"version {role['version']}: {role.get('readyReplicas', 0)}/{role.get('replicas', 0)} ready"


def line(obj: Obj, now: datetime) -> str:
    """What changes, in the order in which it is looked for. Without ages: time alone is no change."""
    status = obj.get("status") or {}
    rollout, candidate = status.get("rollout"), status.get("candidate") or {}
    when = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    ready = show.condition(obj, "Ready")
    if rollout is None:
        serving = f"{status.get('serving') or 'none'} serves, {status.get('ready') or '0/?'} ready"
        return f"{when}  {serving}; {ready.get('reason', 'Unknown')}: {ready.get('message', '')}".rstrip(": ")
    parts = [f"rollout {rollout['id']} {status.get('serving')}", str(rollout["phase"])]
    if candidate.get("step") is not None:
        of = len((rollout.get("policy") or {}).get("steps") or [])
        parts.append(f"step {int(candidate['step']) + 1}{f'/{of}' if of else ''} {candidate.get('weight')} %")
    if traffic := status.get("traffic"):
        parts.append(why.share(traffic).removeprefix("share of the traffic: "))
    parts += [_pods(role) for role in (status.get("candidate"), status.get("stable")) if role]
    parts += [
        f"{gate.name} worse {gate.harm.text}, no worse {gate.safety.text}"
        for gate in evidence.gates(candidate.get("evidence"))
    ]
    if candidate.get("waitingFor"):
        parts.append(f"waits: {candidate['waitingFor']}")
    if (last := decisions.last(decisions.ledger(rollout))) is not None:
        parts.append(f"decided: {decisions.what(last, rollout)} by {decisions.who(last)}")
    return f"{when}  " + "; ".join(parts)
