"""What a ModelDeployment looks like to a person: pure functions from objects to lines of text.

Lines are (label, value) or plain; colours are the caller's business, so that the same text goes to a terminal, a pipe
and a test.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from headgate_cli.orders import unanswered

Obj = Mapping[str, Any]
Row = Sequence[str]

LIST_HEADER = ("NAME", "MODEL", "WANTED", "SERVING", "READY", "STATUS", "AGE")
HISTORY_HEADER = ("ROLLOUT", "FROM", "TO", "OUTCOME", "REASON", "TOOK", "WHEN", "MESSAGE")
NOTHING = "-"


def table(header: Row, rows: Iterable[Row]) -> list[str]:
    """Columns as wide as they must be, nothing cut off: a terminal may wrap, a pipe must not lose anything."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def listing(objects: Iterable[Obj], now: datetime, *, namespaced: bool) -> list[str]:
    """One line a deployment, as `kubectl get` shows them; with their namespaces where those may differ."""
    rows = [
        ((obj["metadata"]["namespace"], *_summary(obj, now)) if namespaced else _summary(obj, now)) for obj in objects
    ]
    return table(("NAMESPACE", *LIST_HEADER) if namespaced else LIST_HEADER, rows)


def _summary(obj: Obj, now: datetime) -> tuple[str, ...]:
    meta, status = obj["metadata"], obj.get("status") or {}
    return (
        meta["name"],
        obj["spec"]["model"]["name"],
        status.get("wanted") or NOTHING,
        status.get("serving") or NOTHING,
        status.get("ready") or NOTHING,
        reason(obj),
        since(meta.get("creationTimestamp"), now),
    )


def reason(obj: Obj) -> str:
    """Of the Ready condition: the one word that says how it is."""
    return str(condition(obj, "Ready").get("reason") or "Unknown")


def condition(obj: Obj, kind: str) -> Obj:
    found: Obj = next((c for c in (obj.get("status") or {}).get("conditions") or [] if c["type"] == kind), {})
    return found


def detail(obj: Obj, now: datetime) -> list[str]:
    """Everything a person needs to know about one deployment."""
    meta, status = obj["metadata"], obj.get("status") or {}
    pairs = [("name", f"{meta['name']} (namespace {meta['namespace']})"), ("status", _status(obj)), *_model(status)]
    pairs += _revisions(status, now)
    if url := status.get("url"):
        pairs.append(("url", url))
    pairs += [*_pause(status, now), *_command(obj)]
    width = max(len(label) for label, _ in pairs) + 2
    lines = [f"{label:{width}}{value}" for label, value in pairs]
    lines += _section("conditions", _conditions(status, now))
    lines += _section("webhooks", _webhooks(status, now))
    lines += _section("rejected", _rejected(status, now))
    recent = sorted(status.get("history") or [], key=_when, reverse=True)[:3]
    return lines + _section("last rollouts", [f"  {line}" for line in table(HISTORY_HEADER, _history(recent, now))])


def _status(obj: Obj) -> str:
    status = obj.get("status") or {}
    if status.get("observedGeneration") is None:
        return "the operator has not looked at it yet"
    ready = condition(obj, "Ready")
    late = "" if status["observedGeneration"] == obj["metadata"].get("generation") else " (of an earlier generation)"
    return f"{reason(obj)}{late}: {ready.get('message') or ''}".rstrip(": ")


def _model(status: Obj) -> list[tuple[str, str]]:
    model = status.get("model")
    if not model:
        return []
    resolved = model.get("resolved") or {}
    told = f"version {resolved['version']} of {resolved['registry']}" if resolved else "not resolved"
    return [("model", f"{model['requested']}: {told}")]


def _revisions(status: Obj, now: datetime) -> list[tuple[str, str]]:
    lines = []
    if stable := status.get("stable"):
        digest = f", {stable['digest'][:19]}..." if stable.get("digest") else ""
        ready = f"{stable.get('readyReplicas', 0)}/{stable.get('replicas', 0)} ready"
        lines.append(("serving", f"version {stable['version']}, {ready} (revision {stable['revision']}{digest})"))
    if rollout := status.get("rollout"):
        told = f"#{rollout['id']} to version {rollout['to']}: {rollout['phase']}, {rollout['reason']}"
        lines.append(("rollout", f"{told}, for {since(rollout['startedAt'], now)}"))
    if candidate := status.get("candidate"):
        ready = f"{candidate.get('readyReplicas', 0)}/{candidate.get('replicas', 0)} ready"
        waiting = f", waiting: {candidate['waitingFor']}" if candidate.get("waitingFor") else ""
        told = f"version {candidate['version']}, {ready}{waiting}"
        lines.append(("candidate", f"{told} (revision {candidate['revision']})"))
    if previous := status.get("previous"):
        lines.append(("previous", f"version {previous['version']}, {_warmth(previous, now)}"))
    return lines


def _pause(status: Obj, now: datetime) -> list[tuple[str, str]]:
    pause = status.get("pause")
    return [("paused", f"by {pause.get('by') or 'somebody'}, for {since(pause.get('at'), now)}")] if pause else []


def _command(obj: Obj) -> list[tuple[str, str]]:
    """The one that waits for its answer, else the last that was answered."""
    if waiting := unanswered(obj):
        by = waiting.get("by") or "somebody"
        return [("command", f"{waiting.get('verb')} by {by}: not answered yet")]
    last = (obj.get("status") or {}).get("lastCommand")
    return [("command", f"{last['verb']}: {last['outcome']}. {last.get('message') or ''}".rstrip(". "))] if last else []


def _warmth(previous: Obj, now: datetime) -> str:
    if previous.get("drained"):
        return "drained"
    if previous.get("drainingSince"):
        return "draining"
    until = _time(previous.get("warmUntil"))
    if until is None:
        return "loaded"
    return f"warm for {age((until - now).total_seconds())} more" if until > now else "warm"


def _conditions(status: Obj, now: datetime) -> list[str]:
    rows = [
        (c["type"], c["status"], c["reason"], since(c.get("lastTransitionTime"), now), c.get("message") or "")
        for c in status.get("conditions") or []
    ]
    return [f"  {line}" for line in table(("TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"), rows)] if rows else []


def _webhooks(status: Obj, now: datetime) -> list[str]:
    return [
        f"  {w['name']} ({w['when']}) of rollout {w['rollout']}: {w['outcome']}, {since(w['at'], now)} ago"
        + (f": {w['message']}" if w.get("message") else "")
        for w in status.get("webhooks") or []
    ]


def _rejected(status: Obj, now: datetime) -> list[str]:
    return [
        f"  version {r['version']} ({r['scope']}) {since(r['at'], now)} ago by {r['by']}: {r['gate']}: {r['message']}"
        for r in status.get("rejected") or []
    ]


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *lines] if lines and lines != [f"  {table(HISTORY_HEADER, [])[0]}"] else []


def history(obj: Obj, now: datetime) -> list[str]:
    """Newest first."""
    entries = sorted((obj.get("status") or {}).get("history") or [], key=_when, reverse=True)
    return table(HISTORY_HEADER, _history(entries, now))


def _history(entries: Iterable[Obj], now: datetime) -> list[Row]:
    return [
        (
            str(e["rollout"]),
            e.get("from") or NOTHING,
            e["to"],
            e["outcome"],
            e.get("reason") or NOTHING,
            age(e["seconds"]),
            f"{since(e['at'], now)} ago",
            e.get("message") or "",
        )
        for e in entries
    ]


def _when(entry: Obj) -> str:
    return str(entry["at"])


def since(text: str | None, now: datetime) -> str:
    """How long ago, as kubectl says it; the operator's clock may be a little ahead of ours."""
    then = _time(text)
    return NOTHING if then is None else age(max(0.0, (now - then).total_seconds()))


def age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
