"""The loop around the core, for one ModelDeployment at a time: look, decide, write what was decided, or act on it.

A pass either writes the status and stops, or carries out what the written status says; never both. So a crash at any
point leaves a status that the next process goes on from. Nothing durable is kept here: `_refused` only spares the API
server's last words from being forgotten between two passes, `_watching` knows what this process did not see,
`_counted` when it last wrote nothing but counts, and `_unsure` what may have been written without an answer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from headgate_operator import contract, observe
from headgate_operator.api.codec import from_json, to_json
from headgate_operator.api.durations import whole_milliseconds
from headgate_operator.api.errors import SpecError
from headgate_operator.api.parse import parse_spec
from headgate_operator.api.reasons import Reason
from headgate_operator.api.spec import Source, Spec
from headgate_operator.api.status import Status
from headgate_operator.core.advance import advance
from headgate_operator.core.analysis import arms_of, evidence_policy
from headgate_operator.core.command import parse_command
from headgate_operator.core.conditions import blind, invalid_spec
from headgate_operator.core.event import Event
from headgate_operator.core.evidence.custom import Finding
from headgate_operator.core.ledger import decided_between
from headgate_operator.core.lost import with_lost_revisions
from headgate_operator.core.observed import Refusal
from headgate_operator.core.plan import Apply, Purpose, Write, plan
from headgate_operator.core.settling import only_told
from headgate_operator.core.transitions import events_between
from headgate_operator.core.view import View
from headgate_operator.core.waiting import promotion_is_next
from headgate_operator.core.wake import next_wake
from headgate_operator.ports import (
    Clock,
    ConflictError,
    Events,
    Evidence,
    Goldens,
    Interests,
    Key,
    Kube,
    KubeError,
    ModelRequest,
    Monitoring,
    Obj,
    Probe,
    RefusedError,
    Registry,
    Result,
    UnavailableError,
    Webhooks,
)
from headgate_operator.watching import Watching

log = logging.getLogger(__name__)

AFTER_WRITES = 0.5
"""Seconds until the next look after writes; what they cause usually wakes the key before."""
LOOK_AGAIN = 5.0
"""Seconds at least until the next try where the API server refuses to let us look."""
NOT_KEPT = "the API server did not keep the status as written (is its CRD older than this operator? apply crds/)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    server_image: str
    resync: float = 300.0


class Reconciler:
    def __init__(
        self,
        *,
        kube: Kube,
        registry: Registry,
        probe: Probe,
        goldens: Goldens,
        webhooks: Webhooks,
        evidence: Evidence,
        monitoring: Monitoring,
        events: Events,
        interests: Interests,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._kube = kube
        self._registry = registry
        self._probe = probe
        self._goldens = goldens
        self._webhooks = webhooks
        self._evidence = evidence
        self._monitoring = monitoring
        self._events = events
        self._interests = interests
        self._clock = clock
        self._settings = settings
        self._refused: dict[Key, Refusal] = {}
        self._told: dict[Key, Event] = {}
        self._watching = Watching()
        self._counted: dict[Key, datetime] = {}
        self._unsure: dict[Key, tuple[Status, Status]] = {}

    async def reconcile(self, key: Key) -> Result:
        try:
            return await self._pass(key)
        except ConflictError as error:  # somebody else wrote between our read and our write: look again
            return Result(backoff=True, reason=f"conflict: {error}")
        except UnavailableError as error:
            return Result(backoff=True, requeue_after=error.retry_after, reason=f"unavailable: {error}")
        except KubeError as error:
            log.warning("the API server refuses", extra={"key": str(key), "error": str(error)})
            return Result(backoff=True, reason=f"refused: {error}")
        except Exception:  # one object that breaks a rule of ours must not stop the others
            log.exception("a pass failed", extra={"key": str(key)})
            return Result(backoff=True, reason="defect")

    async def _pass(self, key: Key) -> Result:
        obj = await self._kube.get(contract.KIND, key.namespace, key.name)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            self._refused.pop(key, None)
            self._told.pop(key, None)
            self._counted.pop(key, None)
            self._unsure.pop(key, None)
            self._watching.forget(key)
            self._goldens.forget(key)
            self._evidence.forget(key)
            self._monitoring.forget(key)
            self._interests.forget(key)  # the children go by their owner references
            return Result()
        status = from_json(Status, obj.get("status") or {})
        old, written = self._unsure.pop(key, (status, status))
        if status == written != old:  # it was written, and only the answer was lost
            await self._announce(key, obj, old, written)
        try:
            spec = parse_spec(obj)
        except SpecError as error:
            return await self._tell_invalid(key, obj, status, str(error))
        try:
            view, world = await self._look(key, obj, spec, status)
        except RefusedError as error:
            return await self._tell_blind(key, obj, status, str(error))
        decided = advance(view, status)
        if to_json(decided) != (obj.get("status") or {}):
            result = await self._save(key, obj, status, decided)
            if only_told(status, decided) and not result.backoff:
                self._counted[key] = view.now
            return result
        return await self._act(key, view, decided, world)

    async def _look(self, key: Key, obj: Obj, spec: Spec, status: Status) -> tuple[View, observe.World]:
        metadata = obj["metadata"]
        world = await observe.look(self._kube, key, metadata["uid"], status)
        request = _request(key, spec)
        resolution = await self._registry.resolve(request)
        self._interests.follow(key, request, resolution)
        now = whole_milliseconds(self._clock.now())
        compared = self._evidence.compared(key, spec, status, now)
        by_prometheus = compared if spec.analysis.source is Source.PROMETHEUS else frozenset()
        children = observe.children_of(world, key)
        children = await observe.ask_pods(self._probe, children, status, compared=compared - by_prometheus)
        if by_prometheus:
            url = spec.analysis.prometheus_url
            pods = await self._monitoring.counted(key, url, children.pods, by_prometheus)
            children = replace(children, pods=pods)
        gathered = self._evidence.gather(key, spec, status, children.pods, now)
        view = View(
            namespace=key.namespace,
            name=key.name,
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            spec=spec,
            resolution=resolution,
            revisions=observe.revisions_of(world),
            children=children,
            default_image=self._settings.server_image,
            now=now,
            watching_since=self._watching.since(key, now),
            command=parse_command(metadata.get("annotations", {}).get(contract.ANNOTATION_COMMAND)),
            told_at=self._counted.get(key),
            refused=self._refused.get(key) or world.refused,
            evidence=gathered.evidence,
            guard=gathered.guard,
            metrics=self._custom_metrics(key, spec, status),
            source_trouble=self._monitoring.trouble(key) if spec.analysis.source is Source.PROMETHEUS else "",
        )
        view = with_lost_revisions(view, status)
        view = await observe.ask_for_golden(key, view, status, request, self._registry, self._goldens)
        return self._webhooks.answered(key, view, status, promotion_is_next=promotion_is_next(view, status)), world

    def _custom_metrics(self, key: Key, spec: Spec, status: Status) -> tuple[Finding, ...]:
        arms = arms_of(status)
        if not arms:
            self._monitoring.forget(key)
            return ()
        values = {**arms, "namespace": key.namespace, "name": key.name}
        interval = evidence_policy(spec.analysis).interval
        return self._monitoring.look(key, spec.analysis.prometheus_url, spec.analysis.metrics, values, interval)

    async def _save(self, key: Key, obj: Obj, old: Status, decided: Status) -> Result:
        """The resourceVersion of this pass's read is in `obj`: whoever wrote meanwhile wins, and we look again."""
        wanted = to_json(decided)
        try:
            written = await self._kube.replace_status({**obj, "status": wanted})
        except RefusedError as error:
            await self._tell(key, obj, Event(str(Reason.REFUSED_BY_API_SERVER), f"its status: {error}", warning=True))
            raise
        except UnavailableError:
            self._unsure[key] = (old, decided)
            raise
        lost = _differing(wanted, written.get("status") or {})
        if lost:  # nothing may be acted on, and the next pass would decide the same again: at once, for ever
            why = f"{NOT_KEPT}: {', '.join(lost)}"
            await self._tell(key, obj, Event("StatusNotKept", why, warning=True))
            return Result(backoff=True, changed=True, reason=why)
        self._told.pop(key, None)
        await self._announce(key, obj, old, decided)
        return Result(requeue_after=0.0, changed=True, reason="decided")

    async def _announce(self, key: Key, obj: Obj, old: Status, decided: Status) -> None:
        """Once, when it is written: Events and lines of the log."""
        events = events_between(old, decided)
        for event in events:
            log.info(event.message, extra={"key": str(key), "reason": event.reason})
        for rollout, decision in decided_between(old, decided):
            log.info("decision", extra={"key": str(key), "rollout": rollout, **to_json(decision)})
        if events:
            await self._events.emit(obj, events)

    async def _tell(self, key: Key, obj: Obj, event: Event) -> None:
        """Trouble that status cannot hold: an Event, once for as long as it is the same."""
        if self._told.get(key) != event:
            self._told[key] = event
            await self._events.emit(obj, [event])

    async def _tell_blind(self, key: Key, obj: Obj, status: Status, why: str) -> Result:
        generation, now = obj["metadata"].get("generation", 0), whole_milliseconds(self._clock.now())
        told = replace(status, conditions=blind(status, why, generation, now))
        if to_json(told) != (obj.get("status") or {}):
            await self._save(key, obj, status, told)
        return Result(backoff=True, requeue_after=LOOK_AGAIN, reason=f"refused: {why}")

    async def _tell_invalid(self, key: Key, obj: Obj, status: Status, why: str) -> Result:
        generation = obj["metadata"].get("generation", 0)
        conditions = invalid_spec(status, why, generation, whole_milliseconds(self._clock.now()))
        told = replace(status, observed_generation=generation, conditions=conditions)
        if to_json(told) == (obj.get("status") or {}):
            return Result(requeue_after=self._settings.resync)
        return await self._save(key, obj, status, told)

    async def _act(self, key: Key, view: View, status: Status, world: observe.World) -> Result:
        writes = plan(view, status, world.live, frozenset(world.foreign | world.unseen))
        refused: dict[Purpose, Result] = {}
        for write in writes:
            purpose = write.purpose if isinstance(write, Apply) else Purpose.SERVING
            if purpose in refused:  # a Deployment without its revision, for one
                continue
            try:
                await self._write(key, write)
            except RefusedError as error:
                hinders = purpose in {Purpose.SERVING, Purpose.CANDIDATE}
                self._refused[key] = Refusal(
                    write.kind, write.name, str(error)[:512], quota=error.quota, hinders=hinders
                )
                result = Result(backoff=True, requeue_after=1.0, reason=f"refused: {error}", changed=True)
                if purpose is Purpose.SERVING:
                    return result
                refused[purpose] = result
        if refused:
            return next(iter(refused.values()))
        wake = next_wake(view, status, self._settings.resync)
        if (tick := self._evidence.next(key)) is not None:
            wake = max(0.0, min(wake, (tick - view.now).total_seconds()))
        if self._refused.pop(key, None) is not None:
            return Result(requeue_after=0.0, changed=bool(writes))
        return Result(requeue_after=min(wake, AFTER_WRITES) if writes else wake, changed=bool(writes))

    async def _write(self, key: Key, write: Write) -> None:
        if isinstance(write, Apply):
            await self._kube.apply(write.obj, force=write.force)
        else:
            await self._kube.delete(
                write.kind, key.namespace, write.name, uid=write.uid, resource_version=write.resource_version
            )


def _request(key: Key, spec: Spec) -> ModelRequest:
    registry = spec.model.registry
    return ModelRequest(
        namespace=key.namespace,
        name=spec.model.name,
        ref=spec.model.ref,
        uri=registry.uri,
        secret_name=registry.secret_name,
    )


def _differing(one: Obj, other: Obj) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
