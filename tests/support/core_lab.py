"""The core alone, closed into a loop: a world of plain values that obeys every plan at once, and a clock in hand.

No API server, no controllers, no asyncio: thousands of passes a second, for tables of behaviours and for properties.
"""

from __future__ import annotations

import itertools
import json
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from headgate_operator.api.codec import from_json, to_json
from headgate_operator.api.evidence import EvidenceState
from headgate_operator.api.model import ByAlias, ByVersion
from headgate_operator.api.reasons import ConditionType, Reason
from headgate_operator.api.spec import ModelSpec, RolloutSpec, ServingSpec, Spec, Strategy
from headgate_operator.api.status import Condition, Phase, Status
from headgate_operator.children import revision_of
from headgate_operator.core.advance import advance
from headgate_operator.core.analysis import evidence_policy
from headgate_operator.core.command import Command, current_rollout
from headgate_operator.core.event import Event
from headgate_operator.core.evidence.engine import begin, update
from headgate_operator.core.evidence.interval import Arm, Interval
from headgate_operator.core.evidence.policy import LADDER
from headgate_operator.core.gates import BEFORE_GOLDEN, held_by, proven
from headgate_operator.core.observed import (
    Children,
    Counters,
    Deployment,
    Endpoint,
    Golden,
    GoldenPassed,
    Pod,
    PodAddress,
    PodReady,
    Readiness,
    Refusal,
    Resolution,
    Resolved,
    Service,
    Unresolved,
)
from headgate_operator.core.plan import Apply, Write, plan
from headgate_operator.core.replies import Reply
from headgate_operator.core.settling import only_told
from headgate_operator.core.stored import read_revision
from headgate_operator.core.transitions import events_between
from headgate_operator.core.view import View
from headgate_operator.core.waiting import promotion_is_next
from headgate_operator.core.wake import next_wake
from headgate_operator.core.webhooks import Question, due
from headgate_operator.ports import Key
from headgate_operator.watching import Watching
from model_catalogue import MODEL, identity

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAME = "iris"
UID = "uid-1"
KEY = Key("default", NAME)
WIDE = "all"
AT_ONCE = RolloutSpec(strategy=Strategy.BLUE_GREEN)
"""Where a test says nothing else: most are about what all strategies have in common."""
IDLE = Counters(in_flight=0, open_connections=0, last_request_age_seconds=None)
Obj = dict[str, Any]


@dataclass(frozen=True)
class Behaviour:
    """How the pods of one model version behave."""

    ready: bool = True
    ready_pods: int = 1000  # the others are not, for as long
    says: Readiness | None = None  # instead of "ready"
    digest: str | None = None
    digest_of_second: str | None = None
    golden: Golden = field(default_factory=GoldenPassed)
    restarts: int = 0
    restarts_by_pod: tuple[int, ...] = ()  # of the first pods, where they differ
    crash_looping: bool = False
    trouble: Reason | None = None
    counters: Counters | None = IDLE
    errors: float = 0.0  # share of its requests
    seconds: float = 0.01  # that a request takes
    predicts: tuple[tuple[str, float], ...] = ()  # classes and their shares


class Lab:
    def __init__(self, spec: Spec | None = None, *, version: str = "1") -> None:
        self.spec = spec or Spec(model=ModelSpec(name=MODEL, ref=ByAlias("champion")), replicas=2, rollout=AT_ONCE)
        self.answer: Resolution = Resolved(identity(version))
        self.status = Status()
        self.now = START
        self.generation = 1
        self.watching = Watching()
        self.live: dict[tuple[str, str], Obj] = {}
        self.behaviours: dict[str, Behaviour] = {}
        self.image = "server:1"
        self.command: Command | None = None
        self.refused: Refusal | None = None
        self.example_trouble: Unresolved | None = None
        self.conflict = ""
        self.budget_conflict = ""
        self.webhooks: dict[str, Reply] = {}  # what each one answers, by name; one that is missing takes its time
        self.asked: list[Question] = []
        self.foreign: frozenset[tuple[str, str]] = frozenset()
        self.stuck: tuple[Pod, ...] = ()  # pods that end and end and are never gone
        self.last_says: Readiness | None = None  # the last pod of a candidate, instead of what the others say
        self.awaiting_collection = ""
        self.events: list[Event] = []
        self.writes: list[Write] = []
        self.endpoints_follow = True
        self.holds_back = False  # what is only told, as the shell does; most tests look at what would be told
        self.told_at: datetime | None = None
        self.requests = 0.0  # a second, of all clients together
        self.evidence: EvidenceState | None = None
        self._looked: tuple[int, datetime, datetime] | None = None  # rollout, first and last look at the traffic
        self.public_endpoints: tuple[Endpoint, ...] = ()
        self.watch: Callable[[Lab], None] = lambda _lab: None
        self._numbers = itertools.count(1)

    # --- users and registries -----------------------------------------------------------------------------------------

    def want(self, version: str, *, source: str = "") -> None:
        self.answer = Resolved(identity(version, source=source))

    def pin(self, version: str) -> None:
        self.edit(model=replace(self.spec.model, ref=ByVersion(version)))
        self.want(version)

    def edit(self, **changes: Any) -> None:
        self.spec = replace(self.spec, **changes)
        self.generation += 1

    def env(self, **values: str) -> None:
        self.edit(serving=ServingSpec(env=tuple({"name": key, "value": value} for key, value in values.items())))

    def rollout(self, **changes: Any) -> None:
        self.edit(rollout=replace(self.spec.rollout, **changes))

    def order(self, verb: str, **different: Any) -> None:
        command = Command(
            id=f"c{next(self._numbers)}",
            verb=verb,
            uid=UID,
            rollout=current_rollout(self.status),
            stable=self.status.stable.revision if self.status.stable else "",
            issued_at=self.now,
            by="erika",
        )
        self.command = replace(command, **different)

    # --- what is seen -------------------------------------------------------------------------------------------------

    def behaves(self, version: str, **how: Any) -> None:
        self.behaviours[version] = Behaviour(**how)

    def _behaviour(self, deployment: Obj) -> Behaviour:
        version = deployment["metadata"]["labels"]["headgate.dev/model-version"]
        return self.behaviours.get(version, Behaviour())

    def _deployments(self) -> list[Obj]:
        return [obj for (kind, _), obj in self.live.items() if kind == "Deployment"]

    def pods(self) -> tuple[Pod, ...]:
        found: list[Pod] = []
        for deployment in self._deployments():
            how = self._behaviour(deployment)
            found += [self._pod(deployment, how, number) for number in range(deployment["spec"]["replicas"])]
        return (*map(self._late, found), *self.stuck)

    def _late(self, pod: Pod) -> Pod:
        candidate = self.status.candidate
        last = candidate is not None and pod.name == f"{candidate.revision}-{self.spec.replicas - 1}"
        return replace(pod, ready=False, readiness=self.last_says) if last and self.last_says else pod

    def _pod(self, deployment: Obj, how: Behaviour, number: int) -> Pod:
        labels = deployment["metadata"]["labels"]
        revision, version = labels["headgate.dev/revision"], labels["headgate.dev/model-version"]
        digest = (how.digest_of_second if number else None) or how.digest or f"sha256:{version:0>64}"
        ready = PodReady(model=MODEL, version=version, revision=revision, digest=digest, golden="passed")
        return Pod(
            name=f"{revision}-{number}",
            revision=revision,
            address=PodAddress("127.1.1.1", 8080, 8081),
            ready=how.ready and how.says is None and number < how.ready_pods,
            restarts=dict(enumerate(how.restarts_by_pod)).get(number, how.restarts),
            crash_looping=how.crash_looping,
            trouble=how.trouble,
            message=str(how.trouble or ""),
            readiness=how.says or ready,
            counters=how.counters,
        )

    def _endpoints_of(self, service: str) -> tuple[Endpoint, ...]:
        found = self.live.get(("Service", service))
        if found is None:
            return ()
        revision = found["spec"]["selector"].get("headgate.dev/revision")  # without one: the pods of all
        chosen = (pod for pod in self.pods() if revision is None or pod.revision == revision)
        return tuple(Endpoint(pod=pod.name, ready=pod.ready) for pod in chosen)

    def children(self) -> Children:
        pods = self.pods()
        if self.endpoints_follow:
            self.public_endpoints = self._endpoints_of(NAME)
        public = self.live.get(("Service", NAME))
        preview = self.live.get(("Service", f"{NAME}-candidate"))
        maps = [obj for (kind, _), obj in self.live.items() if kind == "ConfigMap"]
        return Children(
            pods=pods,
            deployments={
                revision_of(obj): Deployment(
                    revision=revision_of(obj),
                    wanted=obj["spec"]["replicas"],
                    ready=sum(pod.ready for pod in pods if pod.revision == revision_of(obj)),
                    current=True,
                )
                for obj in self._deployments()
            },
            public=Service(revision=public["spec"]["selector"].get("headgate.dev/revision")) if public else None,
            public_endpoints=self.public_endpoints,
            preview=Service(revision=preview["spec"]["selector"].get("headgate.dev/revision")) if preview else None,
            preview_endpoints=self._endpoints_of(f"{NAME}-candidate"),
            digests={revision_of(obj): obj["data"]["digest"] for obj in maps},
            conflict=self.conflict,
            budget_conflict=self.budget_conflict,
            awaiting_collection=self.awaiting_collection,
        )

    def view(self) -> View:
        stored = [read_revision(obj) for (kind, _), obj in self.live.items() if kind == "ControllerRevision"]
        view = View(
            namespace="default",
            name=NAME,
            uid=UID,
            generation=self.generation,
            spec=self.spec,
            resolution=self.answer,
            revisions=tuple(revision for revision in stored if revision is not None),
            children=self.children(),
            default_image=self.image,
            now=self.now,
            watching_since=self.watching.since(KEY, self.now),
            command=self.command,
            told_at=self.told_at,
            refused=self.refused,
            evidence=self.evidence,
        )
        return self._with_replies(self._with_golden(view))

    def _with_replies(self, view: View) -> View:
        questions = due(view, self.status, promotion_is_next=promotion_is_next(view, self.status))
        self.asked += [question for question in questions if question not in self.asked]
        answered = [question for question in questions if question.hook.name in self.webhooks]
        return replace(view, replies={(q.id, q.attempt): self.webhooks[q.hook.name] for q in answered})

    # --- traffic ------------------------------------------------------------------------------------------------------

    def _look_at_the_traffic(self) -> None:
        """What the shell's feed does: an interval whenever one has passed since the last."""
        candidate, stable, rollout = self.status.candidate, self.status.stable, self.status.rollout
        if candidate is None or stable is None or rollout is None or rollout.phase is not Phase.CANARY:
            self.evidence, self._looked = None, None
            return
        policy = evidence_policy(self.spec.analysis)
        if self._looked is None or self._looked[0] != rollout.id or self.now < self._looked[2]:
            self._looked = (rollout.id, self.now, self.now)
            self.evidence = self.status.evidence or begin(policy)
            return
        _, first, last = self._looked
        passed = (self.now - last).total_seconds()
        if passed < policy.interval or self.evidence is None:
            return
        self._looked = (rollout.id, first, self.now)
        interval = Interval(
            at=self.evidence.seconds + passed,
            stable=self._arm(stable.version, stable.revision, passed),
            candidate=self._arm(candidate.version, candidate.revision, passed),
        )
        self.evidence = update(policy, self.evidence, interval)

    def _arm(self, version: str, revision: str, passed: float) -> Arm:
        ready = [endpoint.pod for endpoint in self.public_endpoints if endpoint.ready]
        share = sum(pod.startswith(revision) for pod in ready) / len(ready) if ready else 0.0
        requests, how = self.requests * passed * share, self.behaviours.get(version, Behaviour())
        buckets = [0.0] * (len(LADDER) + 1)
        buckets[bisect_left(LADDER, how.seconds)] = requests
        predictions = tuple((name, requests * part) for name, part in how.predicts if requests)
        return Arm(requests=requests, errors=requests * how.errors, latency=tuple(buckets), predictions=predictions)

    def _with_golden(self, view: View) -> View:
        candidate = self.status.candidate
        if candidate is None or held_by(BEFORE_GOLDEN, view, self.status, candidate) is not None:
            return view
        if proven(view, candidate):
            return view
        if self.example_trouble is not None:
            return replace(view, example_trouble=self.example_trouble)
        golden = self.behaviours.get(candidate.version, Behaviour()).golden
        pods = (replace(p, golden=golden) if p.revision == candidate.revision else p for p in view.children.pods)
        return replace(view, children=replace(view.children, pods=tuple(pods)))

    # --- time ---------------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """One pass. Whether anything was written."""
        self._look_at_the_traffic()
        view = self.view()
        decided = advance(view, self.status)
        if decided != self.status:
            if self.holds_back and only_told(self.status, decided):
                self.told_at = self.now
            self.events += events_between(self.status, decided)
            self.status = from_json(Status, json.loads(json.dumps(to_json(decided))))
            assert self.status == decided, "the status does not survive being written and read"
            self.watch(self)
            return True
        writes = plan(view, self.status, self.live, self.foreign)
        for write in writes:
            self._obey(write)
            self.watch(self)
        self.writes += writes
        return bool(writes)

    def _obey(self, write: Write) -> None:
        place = (write.kind, write.name)
        if not isinstance(write, Apply):
            del self.live[place]
            return
        seen = {"uid": f"u{next(self._numbers)}", "resourceVersion": f"{next(self._numbers)}"}
        obj: Obj = json.loads(json.dumps(write.obj))
        self.live[place] = {**obj, "metadata": {**seen, **obj["metadata"]}}

    def settle(self) -> Lab:
        """Passes until there is nothing more to do at this moment."""
        for _ in range(60):
            if not self.step():
                return self
        raise AssertionError(f"does not settle: {to_json(self.status)}")

    def wait(self, seconds: float) -> Lab:
        """Time goes by; the key is looked at whenever it asked to be."""
        end = self.now + timedelta(seconds=seconds)
        self.settle()
        while self.now < end:
            wake = next_wake(self.view(), self.status, 300.0)
            if self.evidence is not None:
                wake = min(wake, evidence_policy(self.spec.analysis).interval)
            self.now = min(end, self.now + timedelta(seconds=max(0.5, wake)))
            self.settle()
        return self

    def away(self, **time: float) -> Lab:
        """The operator's process is gone for this long, and another one takes over."""
        self.now += timedelta(**time)
        self.watching = Watching()
        self.evidence, self._looked = None, None
        return self.settle()

    # --- questions ----------------------------------------------------------------------------------------------------

    def condition(self, kind: str) -> Condition:
        found = self.status.condition(ConditionType(kind))
        assert found is not None
        return found

    def said(self, kind: str) -> tuple[str, str]:
        condition = self.condition(kind)
        return str(condition.status), str(condition.reason)

    @property
    def stable(self) -> str | None:
        return self.status.stable.version if self.status.stable else None

    @property
    def candidate(self) -> str | None:
        return self.status.candidate.version if self.status.candidate else None

    @property
    def outcomes(self) -> list[str]:
        return [str(entry.outcome) for entry in self.status.history]

    @property
    def quarantine(self) -> list[tuple[str, str, str, str]]:
        return [(e.version, str(e.scope), str(e.by), e.gate) for e in self.status.rejected]

    @property
    def selected(self) -> str | None:
        """The version that the public Service selects."""
        public = self.live.get(("Service", NAME))
        revision = public["spec"]["selector"].get("headgate.dev/revision", WIDE) if public else None
        if revision == WIDE:
            return WIDE
        versions = {revision_of(d): d["metadata"]["labels"]["headgate.dev/model-version"] for d in self._deployments()}
        return versions.get(str(revision))

    def deployed(self) -> dict[str, int]:
        """Versions that have a Deployment, and its size."""
        return {
            d["metadata"]["labels"]["headgate.dev/model-version"]: d["spec"]["replicas"] for d in self._deployments()
        }


def serving(version: str = "1", *, replicas: int = 2, **rollout: Any) -> Lab:
    """A lab at rest, with `version` established."""
    model = ModelSpec(name=MODEL, ref=ByAlias("champion"))
    lab = Lab(Spec(model=model, replicas=replicas, rollout=AT_ONCE), version=version).settle()
    assert lab.stable == version
    lab.rollout(**rollout)
    return lab.settle()


def ordered(lab: Lab, verb: str, **args: Any) -> Lab:
    lab.order(verb, args=args)
    return lab.settle()


def answer(lab: Lab) -> tuple[str, str]:
    """To the last command."""
    assert lab.status.last_command is not None
    return str(lab.status.last_command.outcome), lab.status.last_command.message
