"""Worlds and writes in words, for whoever reads a counterexample."""

from __future__ import annotations

from headgate_operator.core.plan import Apply, Write
from modelcheck.engine import Acts, version_of
from modelcheck.state import NAME, PodState, State


class BrokenRuleError(Exception):
    """`trail`: what led there from the state that was looked at."""

    def __init__(self, rule: str, trail: tuple[tuple[str, State], ...] = ()) -> None:
        super().__init__(rule)
        self.rule, self.trail = rule, trail


def told(state: State, done: Acts) -> str:
    return ", ".join(of_write(state, write) for write in done.writes)


def of_write(state: State, write: Write) -> str:
    labels = write.obj["metadata"]["labels"] if isinstance(write, Apply) else {}
    revision = labels.get("headgate.dev/revision", "")
    version = labels.get("headgate.dev/model-version", version_of(state, revision))
    if not isinstance(write, Apply):
        return f"deletes {write.kind} {_of(state, write.kind, write.name)}"
    if write.kind == "Deployment":
        return f"Deployment of version {version} = {write.obj['spec']['replicas']} pods"
    if write.kind == "Service":
        narrow = write.obj["spec"]["selector"].get("headgate.dev/revision")
        target = "all pods" if narrow is None else f"version {version_of(state, narrow) or narrow}"
        return f"{'public' if write.name == NAME else 'preview'} Service selects {target}"
    return f"{write.kind} of version {version}" if version else write.kind


def _of(state: State, kind: str, name: str) -> str:
    obj = state.object(kind, name)
    version = obj["metadata"]["labels"].get("headgate.dev/model-version") if obj else None
    return f"of version {version}" if version else name


def describe(state: State) -> str:
    """A state in one line."""
    status, parts = state.status, []
    for name in ("stable", "candidate", "previous"):
        role = getattr(status, name)
        if role is not None:
            more = [word for word, on in (
                ("verified", getattr(role, "verified_at", None)),
                ("draining", getattr(role, "draining_since", None)),
                ("drained", getattr(role, "drained", False)),
                ("unready", getattr(role, "unready_since", None)),
            ) if on]  # fmt: skip
            parts.append(f"{name} {role.version}" + (f" ({', '.join(more)})" if more else ""))
    if status.rollout is not None:
        step = status.candidate.step if status.candidate is not None else None
        parts.append(f"rollout {status.rollout.phase}" + (f", step {step}" if step is not None else ""))
    if status.rejected:
        parts.append(f"rejected {', '.join(entry.version for entry in status.rejected)}")
    pods = [f"{version_of(state, name)}: {', '.join(map(_of_pod, found))}" for name, found in state.pods]
    selector = state.selector()
    narrow = selector.get("headgate.dev/revision") if selector else None
    target = "no Service" if selector is None else "all" if narrow is None else version_of(state, narrow) or narrow
    listed = ", ".join(f"{version_of(state, s.revision)}: {s.ready}/{s.total}" for s in state.shown) or "nobody"
    wants = f"wants {state.replicas} x {state.wanted}" + (", paused" if state.paused else "")
    roles = "; ".join(parts) or "no status"
    return f"[{wants}] {roles} | pods {'; '.join(pods) or '-'} | Service -> {target}, lists {listed}"


def _of_pod(pod: PodState) -> str:
    return pod.life + (f" after {pod.restarts} restarts" if pod.restarts else "")
