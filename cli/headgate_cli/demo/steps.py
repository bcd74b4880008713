"""What the status tells of a canary as it goes on: its steps, their shares, what they wait for, how long they take."""

import time
from dataclasses import dataclass, field

from headgate_cli.demo import seen
from headgate_cli.demo.load import Load
from headgate_cli.demo.seen import Status
from headgate_cli.demo.timeline import Timeline


@dataclass(frozen=True)
class Step:
    """One step as it was when it was left."""

    number: int
    version: str
    desired: str
    achievable: str
    observed: str  # by the pods' own counters, in the last intervals
    clients: str  # the same share as the load saw it, from when the pods were there
    requests: int  # to the candidate
    verdict: str
    seconds: float


@dataclass
class Steps:
    """Is shown every status that the story looks at, and says once what is new in it."""

    load: Load
    say: Timeline
    left: list[Step] = field(default_factory=list)
    _at: tuple[int, int] | None = None
    _began: float = 0.0
    _in_force: float | None = None
    _requests: int = 0
    _last: Status = field(default_factory=dict)
    _told: str = ""

    def look(self, status: Status) -> None:
        step = status.get("candidate", {}).get("step")
        at = None if step is None else (seen.rollout_id(status), int(step))
        if at != self._at:
            if self._at is not None:
                self._leave(status)
            self._at = at
            if at is not None:
                self._enter(status)
        if at is not None:
            self._last = status
            self._waits(status)

    def _enter(self, status: Status) -> None:
        version, traffic = seen.candidate(status), status["traffic"]
        self._began, self._in_force, self._told = time.monotonic(), None, ""
        self._requests = self.load.tally.answered_by(version)
        self.say.event(
            f"step {status['candidate']['step'] + 1}: {traffic['desired']} % for version {version}; "
            f"{seen.REPLICAS} replicas can express {traffic['achievable']} %"
        )

    def _waits(self, status: Status) -> None:
        if self._in_force is None and seen.step_in_force(status):
            self._in_force = time.monotonic()
        reason, message = seen.reason(status, "Progressing"), status["candidate"].get("waitingFor")
        if message and reason != "Scaling" and message != self._told:
            self._told = message
            self.say.event(f"  {reason}: {message}")

    def _leave(self, status: Status) -> None:
        candidate, traffic = self._last["candidate"], self._last["traffic"]
        version, now, tally = candidate["version"], time.monotonic(), self.load.tally
        clients = tally.share_of(version, self._in_force or self._began, now)
        # The share is written down with each decision, and then the step is another one already.
        observed = status.get("traffic", {}).get("observed") or traffic.get("observed")
        step = Step(
            number=candidate["step"] + 1,
            version=version,
            desired=f"{traffic['desired']} %",
            achievable=f"{traffic['achievable']} %",
            observed=f"{observed} %" if observed else "-",
            clients="-" if clients is None else f"{100 * clients:.1f} %",
            requests=tally.answered_by(version) - self._requests,
            verdict=_verdict(status, version),
            seconds=round(now - self._began, 1),
        )
        self.left.append(step)
        self.say.event(
            f"step {step.number}: {step.verdict} after {step.seconds:.1f} s and {step.requests} requests to version "
            f"{version}; desired {step.desired}, achievable {step.achievable}, observed {step.observed}"
        )


def _verdict(after: Status, version: str) -> str:
    """What was decided: a verdict that lets a step go is acted on in the moment in which it is written."""
    if version in (seen.candidate(after), seen.serving(after)):
        return "promote"
    return "rollback" if _leaves(after, version) else "none"


def _leaves(after: Status, version: str) -> bool:
    return version in seen.rejected(after) or after.get("rollout", {}).get("outcome") == "RolledBack"
