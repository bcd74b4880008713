"""What may never happen, asked of the world and not of the code that decides it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headgate_operator.api.status import Status
from headgate_operator.core.plan import Apply, Delete, Write
from headgate_operator.core.traffic_rules import BACKSTOP
from modelcheck.engine import GOOD, Operator, version_of
from modelcheck.state import NAME, NOW, State

NONE = "none"


def proven(operator: Operator, state: State) -> frozenset[str]:
    """Revisions that a look at this state shows to be right: every pod there and ready, and the model a good one."""
    found = set(state.proven)
    for revision, size in state.deployments().items():
        promised = size if operator.shares else state.replicas  # a step may begin with a few pods
        enough = state.ready(revision) >= promised > 0 and size >= promised
        if enough and operator.behaviours.get(version_of(state, revision), GOOD) == GOOD:
            found.add(revision)
    return frozenset(found)


def of_a_decision(state: State, decided: Status) -> Iterator[str]:
    """`state`: as it was looked at."""
    old = state.status
    begun = decided.candidate
    fresh = begun is not None and (old.candidate is None or old.candidate.revision != begun.revision)
    if begun is not None and fresh and _rejected(decided, begun.revision, begun.identity):
        yield f"version {begun.version} is rejected, and it is tried again"
    stable = decided.stable
    if stable is not None and old.stable is not None and stable.revision != old.stable.revision:
        if stable.revision not in state.proven:
            yield f"version {stable.version} is decided to serve, and it has not shown that it can"
        if _rejected(decided, stable.revision, stable.identity):
            yield f"version {stable.version} is rejected, and it is decided to serve"
        yield from _of_a_switch(state, stable.revision, stable.version)
    drained = decided.previous
    if drained is not None and drained.drained and (old.previous is None or not old.previous.drained):
        if state.replicas > 0 and (_chosen(state, drained.revision) or _listed(state, drained.revision)):
            yield f"version {drained.version} counts as drained, and traffic still reaches it"
        since = drained.draining_since
        if state.replicas > 0 and drained.revision in state.busy and (since is None or NOW - since < BACKSTOP):
            yield f"version {drained.version} counts as drained in the middle of requests"
    known = {(entry.revision, entry.scope) for entry in old.rejected}
    kept = {(entry.revision, entry.scope) for entry in decided.rejected}
    retried = state.command is not None and state.command.verb == "retry"
    if not known <= kept and not retried:
        yield "the quarantine forgets a version"


def _of_a_switch(state: State, revision: str, version: str) -> Iterator[str]:
    """As many ready pods as are promised, or as many as there were; but one is enough to flee from a failing version.
    A pod may still die between the decision and the write: then the write must at least not lead to none."""
    old = state.selected()
    listed = {one.revision: one.ready for one in state.shown}
    answering = sum(min(state.ready(one), listed.get(one, 0)) for one in old)
    ready = state.ready(revision)
    fleeing = any(pod.restarts > 1 for name in old for pod in state.pods_of(name))
    if ready < (min(1, answering) if fleeing else min(state.replicas, answering)):
        yield f"traffic is decided to go from {answering} ready pods to {ready} of version {version}"


def of_a_pass(state: State, writes: Sequence[Write]) -> Iterator[str]:
    """In this order: add capacity, move traffic, remove capacity; at most one write destroys, and it is the last."""
    destroying = [number for number, write in enumerate(writes) if _destroys(state, write)]
    if len(destroying) > 1:
        yield f"a pass makes {len(destroying)} destructive writes"
    if destroying and destroying[-1] != len(writes) - 1:
        yield "a destructive write is not the last of its pass"
    moving = [number for number, write in enumerate(writes) if _moves(state, write)]
    for number, write in enumerate(writes):
        growth = _growth(state, write)
        if growth < 0 and moving and number < moving[-1]:
            yield "capacity is removed before traffic moves"
        if growth > 0 and moving and number > moving[0] and _revision(state, write) in _target(writes[moving[0]]):
            yield "traffic moves before capacity is added"


def _moves(state: State, write: Write) -> bool:
    if (write.kind, write.name) != ("Service", NAME) or not isinstance(write, Apply):
        return False
    return bool(write.obj["spec"]["selector"] != state.selector())


def _target(write: Write) -> set[str]:
    return {write.obj["spec"]["selector"].get("headgate.dev/revision", "")} if isinstance(write, Apply) else set()


def of_a_write(seen: State, before: State, after: State, write: Write) -> Iterator[str]:
    """`seen`: the world as the pass looked at it. What changed since could not be known, and is judged nowhere."""
    if (write.kind, write.name) == ("Service", NAME):
        yield from _of_traffic(seen, before, after)
    if write.kind == "Deployment":
        yield from _of_capacity(seen, before, after, write)


def _of_traffic(seen: State, before: State, after: State) -> Iterator[str]:
    old, new = before.selected(), after.selected()
    if after.selector() is None:
        yield "the public Service is deleted"
        return
    if old == new:
        return
    if after.selector() is not None and "headgate.dev/revision" not in (after.selector() or {}):
        yield from _of_a_wide_selector(seen, after)
    # What somebody else made it select without any right to traffic is nothing to be kept.
    ready_before, ready_after = _ready(seen, old & seen.proven), _ready(seen, new)
    if ready_before and not ready_after:
        yield f"traffic is moved away from {ready_before} ready pods to none"
    rejected = _all_rejected(seen)
    for revision in sorted(new - old - {NONE}):
        version = version_of(seen, revision)
        if revision not in seen.proven:
            yield f"traffic for version {version}, which has not shown that it can serve"
        # After an undo to a version that is not there any more the rejected one serves until it is (`hold`).
        if revision in rejected and not old & rejected and ready_before and seen.status.hold is None:
            yield f"traffic for version {version}, which is rejected"


def _of_a_wide_selector(seen: State, after: State) -> Iterator[str]:
    with_pods = sorted(name for name, pods in after.pods if any(pod.life != "ending" for pod in pods))
    if len(with_pods) != 2:
        versions = ", ".join(version_of(seen, name) for name in with_pods)
        yield f"the selector becomes wide while {len(with_pods)} revisions have pods ({versions})"


def _of_capacity(seen: State, before: State, after: State, write: Write) -> Iterator[str]:
    revision = _revision(before, write)
    was, becomes = before.deployments().get(revision, 0), after.deployments().get(revision, 0)
    version = version_of(before, revision)
    gone = isinstance(write, Delete)
    reached = revision in before.selected() & seen.selected() or _listed(seen, revision)
    if gone and reached and any(pod.life != "ending" for pod in before.pods_of(revision)):
        yield f"the Deployment of version {version} is deleted, and traffic still reaches it"
    if becomes >= was:
        return
    if reached:
        # Deployments give up first what is not ready.
        lost = before.ready(revision) - after.ready(revision)
        left = _ready(seen, seen.selected() | {one.revision for one in seen.shown}) - lost
        if lost and left < seen.replicas and not _moribund(seen, revision):
            yield f"version {version} is scaled from {was} to {becomes} pods, and traffic still reaches it"


def _moribund(state: State, revision: str) -> bool:
    """Nothing of it answers: there is nothing to lose."""
    return state.ready(revision) == 0 and state.replicas == 0


def _chosen(state: State, revision: str) -> bool:
    """Selected by name. A wide selector that somebody else wrote counts once it shows in the endpoints."""
    selector = state.selector()
    return selector is not None and selector.get("headgate.dev/revision") == revision


def _listed(state: State, revision: str) -> bool:
    return any(one.revision == revision and one.total for one in state.shown)


def _ready(state: State, revisions: frozenset[str] | set[str]) -> int:
    return sum(state.ready(revision) for revision in revisions)


def _rejected(status: Status, revision: str, identity: str) -> bool:
    return any(
        entry.revision == revision or (str(entry.scope) == "Model" and entry.identity == identity)
        for entry in status.rejected
    )


def _all_rejected(state: State) -> frozenset[str]:
    entries = state.status.rejected
    models = {entry.version for entry in entries if str(entry.scope) == "Model"}
    names = {entry.revision for entry in entries}
    return frozenset(names | {name for name, _ in state.pods if version_of(state, name) in models})


def _revision(state: State, write: Write) -> str:
    if isinstance(write, Apply):
        return str(write.obj["metadata"]["labels"]["headgate.dev/revision"])
    obj = state.object(write.kind, write.name)
    return "" if obj is None else str(obj["metadata"]["labels"]["headgate.dev/revision"])


def _growth(state: State, write: Write) -> int:
    if write.kind != "Deployment" or not isinstance(write, Apply):
        return -1 if write.kind == "Deployment" else 0
    live = state.object(write.kind, write.name)
    return int(write.obj["spec"]["replicas"]) - (live["spec"]["replicas"] if live is not None else 0)


def _destroys(state: State, write: Write) -> bool:
    if isinstance(write, Delete):
        return True
    return write.kind == "Deployment" and write.obj["spec"]["replicas"] == 0 and _growth(state, write) < 0
