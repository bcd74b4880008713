"""The story that the demonstration tells, step by step, and what has to hold in each.

A step acts as a person would (moves an alias, stops a server, says `headgate undo`) and then waits for what the
resource's status and the clients see. A step that does not come true ends the story with StoryError.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

from headgate_cli.demo import seen
from headgate_cli.demo.lab import Lab
from headgate_cli.demo.load import Load
from headgate_cli.demo.seen import NAME, NAMESPACE, REPLICAS, Status, StoryError, Watch
from headgate_cli.demo.steps import Steps
from headgate_cli.demo.timeline import Timeline
from headgate_cli.demo.train import MODEL

__all__ = ["NAME", "Story", "StoryError"]

ALIAS = "champion"
STEPS = (10, 50)  # per cent; the switch to all follows by itself
QUIET_SECONDS = 12.0  # without any request: longer than minDuration
# Pooled connections end with their first answer after this: the servers' connection max age of 15 s, plus a fifth.
CONNECTION_MAX_AGE_SECONDS = 18.0


@dataclass(frozen=True)
class Transition:
    """One change of the version that serves, as a client of the resource sees it."""

    origin: str
    to: str
    kind: str
    seconds: float


@dataclass(frozen=True)
class Rollback:
    """A version that the evidence spoke against."""

    version: str
    gate: str
    requests: int  # that it was given until the load got nothing of it any more
    errors: int  # that it answered with 5xx
    milliseconds: int | None  # from the decision until no endpoint of it was left


class Story:
    """Runs the steps on a lab under a load, and keeps what the report needs."""

    def __init__(self, lab: Lab, timeline: Timeline) -> None:
        self.transitions: list[Transition] = []
        self.rollbacks: list[Rollback] = []
        self.steps: Steps | None = None
        self.quarantined: list[str] = []
        self.undo_seconds: float | None = None
        self._lab = lab
        self._say = timeline
        self._watch = Watch(lab, timeline)

    def manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": "headgate.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {
                "model": {"name": MODEL, "alias": ALIAS},
                "replicas": REPLICAS,
                "rollout": {
                    "strategy": "Canary",
                    "steps": [{"weight": weight} for weight in STEPS],
                    "keepWarm": "10m",
                    "progressDeadline": "2m",
                },
                # For an audience of minutes. The defaults take longer, and tell smaller differences.
                "analysis": {
                    "interval": "2s",
                    "minDuration": "10s",
                    "minRequests": 30,
                    "errorRate": {"maxIncrease": "0.02"},
                    "latency": {"maxRatio": "1.9"},
                },
            },
        }

    def first_deployment(self) -> None:
        """Alias champion -> 1, one ModelDeployment: version 1 serves."""
        self._say.chapter("1. A model goes live")
        self._lab.set_alias(MODEL, ALIAS, "1")
        began = time.monotonic()
        self._lab.apply(self.manifest())
        steps = ", ".join(f"{weight} %" for weight in STEPS)
        self._say.event(
            f"alias {ALIAS} is version 1; applied ModelDeployment {NAME}: {REPLICAS} replicas, canary {steps}"
        )
        self._watch.until(
            "version 1 is verified and serves", lambda s: seen.serving(s) == "1" and seen.is_true(s, "Ready")
        )
        self._record("", "1", "first deployment", began)

    def under(self, load: Load) -> None:
        """From now on there are clients."""
        self.steps = Steps(load, self._say)
        self._watch.looks.append(self.steps.look)

    def promote_on_evidence(self, load: Load) -> None:
        """Alias 1 -> 2 under load: a canary; the operator is killed while both versions share the traffic."""
        self._say.chapter("2. A good version: 10 %, 50 %, 100 % on evidence, with the operator killed on the way")
        self._watch.prove(load, "1")
        began = self._move_alias("2")
        status = self._watch.until("versions 1 and 2 share the traffic", seen.step_in_force)
        self._lab.kill_operator()
        self._say.event("operator killed (SIGKILL); the Service selects both versions, which goes on without it")
        self._lab.start_operator()
        self._say.event("operator started again; it takes over when the dead one's lease has run out")
        self._watch.until("version 2 serves", lambda s: seen.serving(s) == "2" and seen.is_true(s, "UpToDate"))
        self._record("1", "2", "promoted on evidence", began)
        self._tell_evidence(status, "safety")
        self._watch.only(load, "2")

    def roll_back_for_errors(self, load: Load) -> None:
        """Version 3 predicts its input example and fails for larger flowers."""
        self._say.chapter("3. A version that passes every check and fails for a fifth of the inputs")
        self._rolled_back(load, "3", "errorRate")

    def roll_back_for_latency(self, load: Load) -> None:
        """Version 4 is right, and slow."""
        self._say.chapter("4. A version that is right, and slow")
        self._rolled_back(load, "4", "latency")

    def wait_without_traffic(self, load: Load) -> None:
        """Version 5 is good, but for a while nobody asks."""
        self._say.chapter("5. A good version, and no traffic: silence proves nothing")
        load.pause()
        self._say.event("the clients pause")
        began = self._move_alias("5")
        status = self._watch.until("version 5 would share the traffic, if there were any", seen.step_in_force)
        quiet = time.monotonic() + QUIET_SECONDS
        silent = self._watch.until("silence is told", lambda s: time.monotonic() > quiet and _waits(s))
        entry = silent["candidate"]
        self._watch.expect(entry["step"] == 0 and entry["verdict"] == "Wait", "version 5 stays at its first step")
        self._say.event(f"{QUIET_SECONDS:.0f} s without a request: verdict {entry['verdict']}, {entry['waitingFor']}")
        load.go_on()
        self._say.event("the clients are back")
        self._watch.until("version 5 serves", lambda s: seen.serving(s) == "5" and seen.is_true(s, "UpToDate"))
        self._record("2", "5", "waited, then promoted on evidence", began)
        self._tell_evidence(status, "safety")
        self._watch.only(load, "5")

    def refuse_a_bad_version(self, load: Load) -> None:
        """Alias 5 -> 6, which cannot load: it never serves, it is quarantined, version 5 stays."""
        self._say.chapter("6. A version whose artifact is damaged")
        began = self._move_alias("6")
        status = self._watch.until("version 6 is refused", lambda s: "6" in seen.rejected(s) and not seen.candidate(s))
        self._say.event(f"quarantined: version 6, {seen.rejection(status, '6')['message']}")
        self._stays(status, "5")
        self._record("5", "6", "refused, 5 stays", began)
        self._watch.only(load, "5")

    def lose_the_registry(self, load: Load) -> None:
        """The registry stops: what serves keeps serving, and the condition says so."""
        self._say.chapter("7. The registry goes away")
        self._lab.stop_registry()
        self._say.event("MLflow stopped")
        down = self._watch.until(
            "the operator notices", lambda s: seen.reason(s, "ModelResolved") == "RegistryUnreachable"
        )
        self._stays(down, "5")
        self._watch.expect(seen.is_true(down, "Available"), "version 5 keeps serving without a registry")
        self._say.event("ModelResolved is RegistryUnreachable; version 5 keeps serving")
        self._watch.prove(load, "5")
        self._lab.start_registry()
        self._say.event("MLflow started again")
        self._watch.until("the model resolves again", lambda s: seen.is_true(s, "ModelResolved"))

    def undo(self, load: Load) -> None:
        """`headgate undo`: back to version 2, whose pods are still warm."""
        self._say.chapter("8. headgate undo")
        began = time.monotonic()
        self._say.event(self._lab.headgate("undo", NAME).strip().splitlines()[0])
        status = self._watch.until("version 2 serves", lambda s: seen.serving(s) == "2" and not s.get("rollout"))
        self._record("5", "2", "undo", began)
        switched = time.monotonic()
        self._watch.prove(load, "2")
        last = load.tally.last_of("5", pooled=False)
        self.undo_seconds = round(max(0.0, (last or began) - began), 2)
        self.quarantined = seen.rejected(status)
        self._watch.expect("5" in self.quarantined, "version 5 is kept away after the undo")
        self._say.event(f"last answer of version 5 on a fresh connection: {self.undo_seconds} s after the command")
        self._let_connections_age(load, "2", switched)

    def _rolled_back(self, load: Load, version: str, gate: str) -> None:
        began = self._move_alias(version)
        shared = self._watch.until(f"versions 2 and {version} share the traffic", seen.step_in_force, quick=True)
        status = self._watch.until(
            f"the evidence speaks against version {version}", lambda s: version in seen.rejected(s) and seen.settled(s)
        )
        entry = seen.rejection(status, version)
        self._watch.expect(
            (entry["by"], entry["gate"]) == ("Analysis", gate),
            f"version {version} is rolled back by gate {gate}, but it was {entry['by']}, {entry['gate']}",
        )
        self._say.event(f"rolled back and quarantined, gate {gate}: {entry['message']}")
        self._stays(status, "2")
        self._record("2", version, f"rolled back ({gate}), 2 stays", began)
        self._watch.only(load, "2")
        requests, errors = load.tally.answered_by(version), load.tally.failed_by_version().get(version, 0)
        took = status.get("lastRollbackMilliseconds")
        self.rollbacks.append(Rollback(version, gate, requests, errors, took))
        self._say.event(
            f"version {version} was given {requests} requests and answered {errors} of them with 5xx; "
            f"from the decision until no endpoint was left: {took} ms"
        )
        self._tell_evidence(shared, "harm")

    def _tell_evidence(self, status: Status, side: str) -> None:
        """The rollout that `status` is of, decided once more by `headgate replay` from the counts in the log."""
        told = self._lab.replay(
            seen.rollout_id(status),
            candidate=f"version {seen.candidate(status)}",
            stable=f"version {seen.serving(status)}",
        )
        values = {gate.removesuffix(f".{side}"): log for gate, log in told["log_e"].items() if gate.endswith(side)}
        numbers = ", ".join(f"{gate} {math.exp(min(log, 700)):.3g}" for gate, log in values.items())
        whose = "for" if side == "safety" else "against"
        self._say.event(
            f"headgate replay, from the operator's log: {told['verdict']} after {told['t']:.0f} s of traffic"
        )
        self._say.event(f"  evidence {whose} version {seen.candidate(status)}: {numbers}")
        self._say.event(f"  {told['reason']}")
        expected = "rollback" if side == "harm" else "promote"
        self._watch.expect(told["verdict"] == expected, f"the replay says {expected}, but it says {told['verdict']}")

    def _move_alias(self, version: str) -> float:
        began = time.monotonic()
        self._lab.set_alias(MODEL, ALIAS, version)
        self._say.event(f"alias {ALIAS} moved to version {version}")
        return began

    def _stays(self, status: Status, version: str) -> None:
        self._watch.expect(
            seen.serving(status) == version, f"version {version} stays, but {seen.serving(status)} serves"
        )

    def _let_connections_age(self, load: Load, version: str, since: float) -> None:
        until = since + CONNECTION_MAX_AGE_SECONDS
        with self._say.waiting("kept-alive connections reach their age and move") as tick:
            while time.monotonic() < until + 2:
                tick()
                time.sleep(0.2)
        answered = load.tally.versions_since(until)
        self._watch.expect(
            answered == {version},
            f"after the connections' age only version {version} answers, but {sorted(answered)} did",
        )

    def _record(self, origin: str, to: str, kind: str, began: float) -> None:
        seconds = round(time.monotonic() - began, 2)
        self.transitions.append(Transition(origin, to, kind, seconds))
        self._say.event(f"{kind}: {f'{origin} -> {to}' if origin else to} after {seconds:.1f} s")


def _waits(status: Status) -> bool:
    return str(status.get("candidate", {}).get("waitingFor", "")).startswith("no requests to")
