"""What the status of the demonstration's ModelDeployment says, and waiting until it says something."""

import time
from collections.abc import Callable
from typing import Any

from headgate_cli.demo.lab import Lab
from headgate_cli.demo.load import Load
from headgate_cli.demo.timeline import Timeline

NAME = "iris"
NAMESPACE = "default"
REPLICAS = 3
STEP_SECONDS = 240.0  # no step takes a third of it on two quiet cores

Status = dict[str, Any]


class StoryError(Exception):
    """A step did not come true; the message says what was expected and what was seen."""


class Watch:
    """Waits for the status and for the clients, and ends the story when they do not follow."""

    def __init__(self, lab: Lab, timeline: Timeline) -> None:
        self.looks: list[Callable[[Status], None]] = []  # each is shown every status
        self._lab = lab
        self._say = timeline

    def until(self, what: str, met: Callable[[Status], bool], *, quick: bool = False) -> Status:
        """Wait until `met(status)`; `quick` looks every 20 ms, to catch a state that does not last."""
        deadline = time.monotonic() + STEP_SECONDS
        with self._say.waiting(f"until {what}") as tick:
            while True:
                status = self._lab.status(NAMESPACE, NAME)
                for look in self.looks:
                    look(status)
                if met(status):
                    return status
                self._lab.check()
                if time.monotonic() > deadline:
                    raise StoryError(f"waited {STEP_SECONDS:.0f} s until {what}; status: {brief(status)}")
                tick()
                time.sleep(0.02 if quick else 0.1)

    def expect(self, held: bool, otherwise: str) -> None:
        if not held:
            raise StoryError(f"expected: {otherwise}")

    def only(self, load: Load, version: str) -> None:
        """Fresh connections made from now on are answered by `version` alone: two seconds of them."""
        now = time.monotonic()
        deadline = now + 20
        while not (load.tally.answers and load.tally.answers[-1].began > now + 2):
            self.expect(time.monotonic() < deadline, "the load gets answers")
            time.sleep(0.05)
        seen = load.tally.versions_since(now, pooled=False)
        self.expect(seen == {version}, f"fresh connections are answered by version {version}, but {sorted(seen)} did")

    def prove(self, load: Load, version: str) -> None:
        """As `only`, and says how many requests there have been."""
        self.only(load, version)
        tally = load.tally
        self._say.event(f"{tally.sent} requests sent, {len(tally.lost())} lost, answered by {tally.by_version()}")


def serving(status: Status) -> str:
    return str(status.get("stable", {}).get("version", ""))


def candidate(status: Status) -> str:
    return str(status.get("candidate", {}).get("version", ""))


def step_in_force(status: Status) -> bool:
    return "stepStartedAt" in status.get("candidate", {})


def settled(status: Status) -> bool:
    return not status.get("rollout") and not candidate(status)


def rejected(status: Status) -> list[str]:
    return [str(entry["version"]) for entry in status.get("rejected", [])]


def rejection(status: Status, version: str) -> Status:
    return next((entry for entry in status.get("rejected", []) if entry["version"] == version), {})


def rollout_id(status: Status) -> int:
    return int(status.get("rollout", {}).get("id", 0))


def condition(status: Status, kind: str) -> dict[str, str]:
    return next((c for c in status.get("conditions", []) if c["type"] == kind), {})


def is_true(status: Status, kind: str) -> bool:
    return condition(status, kind).get("status") == "True"


def reason(status: Status, kind: str) -> str:
    return condition(status, kind).get("reason", "")


def brief(status: Status) -> str:
    conditions = {c["type"]: f"{c['status']}/{c['reason']}: {c['message']}" for c in status.get("conditions", [])}
    return f"serving {serving(status) or 'nothing'}, candidate {candidate(status) or 'none'}, {conditions}"
