"""One pass's look at the world: live reads of the children, and what their pods say of themselves. No decisions.

Objects are found by label and, where they have to have a certain name, by that name too: a foreign object that sits on
it carries no label of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace

from headgate_operator import children as read
from headgate_operator import contract
from headgate_operator.api.status import Status
from headgate_operator.children import Ownership
from headgate_operator.core.gates import BEFORE_GOLDEN, held_by, proven
from headgate_operator.core.observed import Children, GoldenPassed, Pod, Refusal, Unresolved
from headgate_operator.core.render import preview_name
from headgate_operator.core.revision import Revision
from headgate_operator.core.rollouts import child_name
from headgate_operator.core.stored import read_revision
from headgate_operator.core.view import View
from headgate_operator.ports import Goldens, Key, Kube, ModelRequest, Obj, Probe, RefusedError, Registry

BUDGET = "PodDisruptionBudget"
"""Looked at in every pass, and not watched: its status changes with every pod, and it is in nobody's way."""
REVISION_KINDS = ("ControllerRevision", "ConfigMap", "Deployment")
AT_ONCE = 16
"""Pods that are asked at the same time."""
TAKEN = "exists and belongs to somebody else"
SLICE_SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(slots=True)
class World:
    """What is there, sorted by whose it is."""

    live: dict[tuple[str, str], Obj] = field(default_factory=dict)
    foreign: set[tuple[str, str]] = field(default_factory=set)
    unseen: set[tuple[str, str]] = field(default_factory=set)  # refused to us: left alone as well
    refused: Refusal | None = None
    old: list[tuple[str, str]] = field(default_factory=list)
    pods: list[Obj] = field(default_factory=list)
    public_slices: list[Obj] = field(default_factory=list)
    preview_slices: list[Obj] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[Obj]:
        return [obj for (its_kind, _), obj in sorted(self.live.items()) if its_kind == kind]


async def look(kube: Kube, key: Key, uid: str, status: Status) -> World:
    world = World()
    labels = {contract.LABEL_DEPLOYMENT: key.name}
    for kind in REVISION_KINDS:
        _sort_in(world, key, uid, await kube.list(kind, key.namespace, labels), named=False)
    for kind, name in _names_of_ours(key, status):
        if (kind, name) not in world.live:
            found = await kube.get(kind, key.namespace, name)
            _sort_in(world, key, uid, [found] if found is not None else [], named=True)
    await _look_at_the_budget(world, kube, key, uid)
    world.pods = await kube.list("Pod", key.namespace, labels)
    world.public_slices = await _slices(kube, key.namespace, key.name)
    if status.candidate is not None:
        world.preview_slices = await _slices(kube, key.namespace, preview_name(key.name))
    return world


async def _look_at_the_budget(world: World, kube: Kube, key: Key, uid: str) -> None:
    """An operator that got new code before new rights must still be able to roll back."""
    try:
        found = await kube.get(BUDGET, key.namespace, key.name)
    except RefusedError as error:
        world.unseen.add((BUDGET, key.name))
        world.refused = Refusal(BUDGET, key.name, str(error)[:512], hinders=False)
        return
    _sort_in(world, key, uid, [found] if found is not None else [], named=True)


def _names_of_ours(key: Key, status: Status) -> Iterable[tuple[str, str]]:
    yield "Service", key.name
    yield "Service", preview_name(key.name)
    for role in (status.stable, status.candidate, status.previous):
        if role is not None:
            for kind in REVISION_KINDS:
                yield kind, child_name(key.name, role.revision)


async def _slices(kube: Kube, namespace: str, service: str) -> list[Obj]:
    return await kube.list("EndpointSlice", namespace, {SLICE_SERVICE_LABEL: service})


def _sort_in(world: World, key: Key, uid: str, found: Iterable[Obj], *, named: bool) -> None:
    """`named`: it was looked up by a name that we need; only then does a stranger matter."""
    for obj in found:
        place = (str(obj["kind"]), str(obj["metadata"]["name"]))
        match read.ownership(obj, key.name, uid):
            case Ownership.OURS | Ownership.ORPHAN:
                world.live[place] = obj
            case Ownership.OLD:
                world.old.append(place)
            case Ownership.FOREIGN if named:
                world.foreign.add(place)


def children_of(world: World, key: Key) -> Children:
    public, preview = (world.live.get(("Service", name)) for name in (key.name, preview_name(key.name)))
    maps = {read.revision_of(obj): obj.get("data") or {} for obj in world.of_kind("ConfigMap")}
    return Children(
        pods=tuple(read.pod(obj) for obj in world.pods if not read.is_over(obj)),
        deployments={read.revision_of(obj): read.deployment(obj) for obj in world.of_kind("Deployment")},
        public=read.service(public) if public is not None else None,
        public_endpoints=read.endpoints(world.public_slices) if public is not None else (),
        preview=read.service(preview) if preview is not None else None,
        preview_endpoints=read.endpoints(world.preview_slices),
        digests={name: data[contract.DIGEST_KEY] for name, data in maps.items() if contract.DIGEST_KEY in data},
        conflict=_first((place for place in world.foreign if place[0] != BUDGET), TAKEN),
        budget_conflict=_first((place for place in world.foreign if place[0] == BUDGET), TAKEN),
        awaiting_collection=_first(world.old, ""),
    )


def _first(places: Iterable[tuple[str, str]], more: str) -> str:
    return next((f"{kind} {name} {more}".strip() for kind, name in sorted(places)), "")


def revisions_of(world: World) -> tuple[Revision, ...]:
    found = (read_revision(obj) for obj in world.of_kind("ControllerRevision"))
    return tuple(revision for revision in found if revision is not None)


# --- what pods say ----------------------------------------------------------------------------------------------------


Ask = Callable[[Pod], Awaitable[Pod]]


async def _of_each(pods: Iterable[Pod], ask: Ask) -> tuple[Pod, ...]:
    """Side by side: a pod that does not answer costs its timeout once, not once for each that comes after it."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(pod: Pod) -> Pod:
        async with limit:
            return await ask(pod)

    return tuple(await asyncio.gather(*map(one, pods)))


async def ask_pods(probe: Probe, children: Children, status: Status, *, compared: frozenset[str]) -> Children:
    """Only those whose answer matters now: a candidate that is being verified, a previous revision that drains, what
    should serve and is not ready (only the pod itself knows why), and revisions whose traffic is being compared."""
    candidate = status.candidate.revision if status.candidate is not None else None
    stable = status.stable.revision if status.stable is not None else None
    draining = status.previous.revision if status.previous is not None and status.previous.draining_since else None

    async def ask(pod: Pod) -> Pod:
        if pod.address is None or pod.terminating:
            return pod
        readiness, counters = pod.readiness, pod.counters
        if pod.revision == candidate or (pod.revision == stable and not pod.ready):
            readiness = await probe.readiness(pod.address)
        if pod.revision == draining or pod.revision in compared:  # ready or not: its errors count
            counters = await probe.counters(pod.address)
        return replace(pod, readiness=readiness, counters=counters)

    return replace(children, pods=await _of_each(children.pods, ask))


async def ask_for_golden(
    key: Key, view: View, status: Status, request: ModelRequest, registry: Registry, goldens: Goldens
) -> View:
    """The version's own input example, predicted by every pod: asked once everything else is as it should be."""
    candidate = status.candidate
    if candidate is None or candidate.verified_at is not None:
        return view
    revision = view.revision(candidate.revision)
    if revision is None or held_by(BEFORE_GOLDEN, view, status, candidate) is not None or proven(view, candidate):
        return view
    example = await registry.example(request, revision.identity)
    if isinstance(example, Unresolved):
        return replace(view, example_trouble=example)

    def asked(pod: Pod) -> Pod:
        if pod.revision != candidate.revision:
            return pod
        if example.body is None:
            return replace(pod, golden=GoldenPassed())
        return replace(pod, golden=goldens.ask(key, pod, example.body, version=candidate.version))

    return replace(view, children=replace(view.children, pods=tuple(map(asked, view.children.pods))))
