"""The story that the demonstration tells, step by step, and what has to hold in each.

A step acts as a person would (moves an alias, stops a server, says `headgate undo`) and then waits for what the
resource's status and the clients see. A step that does not come true ends the story with StoryError.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headgate_cli.demo.lab import Lab
from headgate_cli.demo.load import Load
from headgate_cli.demo.timeline import Timeline
from headgate_cli.demo.train import MODEL

NAME = "iris"
NAMESPACE = "default"
ALIAS = "champion"
REPLICAS = 2
STEP_SECONDS = 90.0
# Pooled connections end with their first answer after this: the servers' connection max age of 15 s, plus a fifth.
CONNECTION_MAX_AGE_SECONDS = 18.0

Status = dict[str, Any]


class StoryError(Exception):
    """A step did not come true; the message says what was expected and what was seen."""


@dataclass(frozen=True)
class Transition:
    """One change of the version that serves, as a client of the resource sees it."""

    origin: str
    to: str
    kind: str
    seconds: float


class Story:
    """Runs the steps on a lab under a load, and keeps what the report needs."""

    def __init__(self, lab: Lab, timeline: Timeline) -> None:
        self.transitions: list[Transition] = []
        self.quarantined: list[str] = []
        self.rollback_seconds: float | None = None
        self._lab = lab
        self._say = timeline

    def manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": "headgate.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {
                "model": {"name": MODEL, "alias": ALIAS},
                "replicas": REPLICAS,
                "rollout": {"strategy": "BlueGreen", "keepWarm": "10m", "progressDeadline": "2m"},
            },
        }

    def first_deployment(self) -> None:
        """Alias champion -> 1, one ModelDeployment: version 1 serves."""
        self._say.chapter("1. A model goes live")
        self._lab.set_alias(MODEL, ALIAS, "1")
        began = time.monotonic()
        self._lab.apply(self.manifest())
        self._say.event(f"alias {ALIAS} is version 1; applied ModelDeployment {NAME}, {REPLICAS} replicas")
        self._wait("version 1 is verified and serves", lambda s: _serving(s) == "1" and _is(s, "Ready"))
        self._record("", "1", "first deployment", began)

    def promote_with_a_killed_operator(self, load: Load) -> None:
        """Alias 1 -> 2 under load; the operator is killed in the middle of the switch."""
        self._say.chapter("2. The alias moves to version 2, and the operator is killed in the middle of the switch")
        self._prove_load(load, "1")
        began = time.monotonic()
        self._lab.set_alias(MODEL, ALIAS, "2")
        self._say.event(f"alias {ALIAS} moved to version 2")
        self._wait("version 2 is verified and the switch begins", lambda s: _candidate(s) == "2", quick=True)
        self._say.event("version 2 is loading beside version 1; nothing of the traffic goes there")
        self._wait("the switch begins", _switching, quick=True)
        self._lab.kill_operator()
        self._say.event("operator killed (SIGKILL) in the middle of the switch")
        self._lab.start_operator()
        self._say.event("operator started again; it takes over when the dead one's lease has run out")
        self._wait("version 2 serves", lambda s: _serving(s) == "2" and _is(s, "UpToDate"))
        self._record("1", "2", "promotion", began)
        self._only(load, "2")

    def refuse_a_bad_version(self, load: Load) -> None:
        """Alias 2 -> 3, which cannot load: it never serves, it is quarantined, version 2 stays."""
        self._say.chapter("3. The alias moves to version 3, whose artifact is damaged")
        began = time.monotonic()
        self._lab.set_alias(MODEL, ALIAS, "3")
        self._say.event(f"alias {ALIAS} moved to version 3")
        status = self._wait("version 3 is refused", lambda s: "3" in _rejected(s) and _candidate(s) == "")
        entry = next(entry for entry in status["rejected"] if entry["version"] == "3")
        self.quarantined = _rejected(status)
        self._say.event(f"quarantined: version 3, {entry['message']}")
        self._expect(_serving(status) == "2", f"version 2 stays, but {_serving(status)} serves")
        self._record("2", "3", "refused, 2 stays", began)
        self._only(load, "2")

    def lose_the_registry(self, load: Load) -> None:
        """The registry stops: what serves keeps serving, and the condition says so."""
        self._say.chapter("4. The registry goes away")
        self._lab.stop_registry()
        self._say.event("MLflow stopped")
        down = self._wait("the operator notices", lambda s: _reason(s, "ModelResolved") == "RegistryUnreachable")
        self._expect(_serving(down) == "2" and _is(down, "Available"), "version 2 keeps serving without a registry")
        self._say.event("ModelResolved is RegistryUnreachable; version 2 keeps serving")
        self._prove_load(load, "2")
        self._lab.start_registry()
        self._say.event("MLflow started again")
        self._wait("the model resolves again", lambda s: _is(s, "ModelResolved"))

    def undo(self, load: Load) -> None:
        """`headgate undo`: back to version 1, whose pods are still warm."""
        self._say.chapter("5. headgate undo")
        began = time.monotonic()
        self._say.event(self._lab.headgate("undo", NAME).strip().splitlines()[0])
        status = self._wait("version 1 serves", lambda s: _serving(s) == "1" and not s.get("rollout"))
        self._record("2", "1", "undo", began)
        switched = time.monotonic()
        self._prove_load(load, "1")
        last = load.tally.last_of("2", pooled=False)
        self.rollback_seconds = round(max(0.0, (last or began) - began), 2)
        self.quarantined = _rejected(status)
        self._expect("2" in self.quarantined, "version 2 is kept away after the undo")
        self._say.event(f"last answer of version 2 on a fresh connection: {self.rollback_seconds} s after the command")
        self._let_connections_age(load, "1", switched)

    def _let_connections_age(self, load: Load, version: str, since: float) -> None:
        until = since + CONNECTION_MAX_AGE_SECONDS
        with self._say.waiting("kept-alive connections reach their age and move") as tick:
            while time.monotonic() < until + 2:
                tick()
                time.sleep(0.2)
        self._expect(
            load.tally.versions_since(until) == {version},
            f"after the connections' age only version {version} answers, "
            f"but {sorted(load.tally.versions_since(until))} did",
        )

    def _only(self, load: Load, version: str) -> None:
        """Fresh connections made from now on are answered by `version` alone."""
        now = time.monotonic()
        self._wait_for_load(lambda: len(load.tally.answers) > 0 and load.tally.answers[-1].began > now + 2)
        seen = load.tally.versions_since(now, pooled=False)
        self._expect(seen == {version}, f"fresh connections are answered by version {version}, but {sorted(seen)} did")

    def _prove_load(self, load: Load, version: str) -> None:
        """Two seconds of answers by `version` on fresh connections, none lost."""
        self._only(load, version)
        tally = load.tally
        self._say.event(f"{tally.sent} requests sent, {len(tally.lost())} lost, answered by {tally.by_version()}")

    def _wait_for_load(self, met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not met():
            self._expect(time.monotonic() < deadline, "the load gets no answers any more")
            time.sleep(0.05)

    def _wait(self, what: str, met: Callable[[Status], bool], *, quick: bool = False) -> Status:
        """Wait until `met(status)`; `quick` looks every 20 ms, to catch a state that does not last."""
        deadline = time.monotonic() + STEP_SECONDS
        status: Status = {}
        with self._say.waiting(f"until {what}") as tick:
            while True:
                status = self._lab.status(NAMESPACE, NAME)
                if met(status):
                    return status
                self._lab.check()
                if time.monotonic() > deadline:
                    raise StoryError(f"waited {STEP_SECONDS:.0f} s until {what}; status: {_brief(status)}")
                tick()
                time.sleep(0.02 if quick else 0.1)

    def _record(self, origin: str, to: str, kind: str, began: float) -> None:
        seconds = round(time.monotonic() - began, 2)
        self.transitions.append(Transition(origin, to, kind, seconds))
        self._say.event(f"{kind}: {f'{origin} -> {to}' if origin else to} after {seconds:.1f} s")

    def _expect(self, held: bool, otherwise: str) -> None:
        if not held:
            raise StoryError(f"expected: {otherwise}")


def _serving(status: Status) -> str:
    return str(status.get("stable", {}).get("version", ""))


def _candidate(status: Status) -> str:
    return str(status.get("candidate", {}).get("version", ""))


def _switching(status: Status) -> bool:
    return bool(status.get("rollout", {}).get("phase") == "Switching")


def _rejected(status: Status) -> list[str]:
    return [str(entry["version"]) for entry in status.get("rejected", [])]


def _condition(status: Status, kind: str) -> dict[str, str]:
    return next((c for c in status.get("conditions", []) if c["type"] == kind), {})


def _is(status: Status, kind: str) -> bool:
    return _condition(status, kind).get("status") == "True"


def _reason(status: Status, kind: str) -> str:
    return _condition(status, kind).get("reason", "")


def _brief(status: Status) -> str:
    conditions = {c["type"]: f"{c['status']}/{c['reason']}: {c['message']}" for c in status.get("conditions", [])}
    return f"serving {_serving(status) or 'nothing'}, candidate {_candidate(status) or 'none'}, {conditions}"
