"""Which change wakes which controller."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from headgate_local.client import LocalClient
from headgate_local.controllers.deployment import DeploymentController
from headgate_local.controllers.disruption import DisruptionController, selects
from headgate_local.controllers.endpointslice import SERVICE_NAME, EndpointSliceController
from headgate_local.controllers.loop import Wiring
from headgate_local.controllers.objects import (
    Key,
    Obj,
    controller_of,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    selector_matches,
    spec_of,
)
from headgate_local.controllers.replicaset import ReplicaSetController
from headgate_local.controllers.service import ServiceController
from headgate_local.store import Change


def wirings(
    client: LocalClient,
    *,
    deployments: DeploymentController,
    replica_sets: ReplicaSetController,
    services: ServiceController,
    slices: EndpointSliceController,
    budgets: DisruptionController,
) -> list[Wiring]:
    owner_or_selecting = _owner_or_selecting(client)
    return [
        Wiring(
            "endpointslices",
            slices.sync,
            {"Service": own_key, "Pod": _selecting_services(client), "EndpointSlice": service_of_slice},
        ),
        Wiring("services", services.sync, {"Service": own_key}),
        Wiring("replicasets", replica_sets.sync, {"ReplicaSet": own_key, "Pod": owner_or_selecting("ReplicaSet")}),
        Wiring(
            "deployments",
            deployments.sync,
            {"Deployment": own_key, "ReplicaSet": owner_or_selecting("Deployment"), "Pod": _recreate_waits(client)},
        ),
        Wiring(
            "disruption",
            budgets.sync,
            {"PodDisruptionBudget": own_key, "Pod": _selecting_budgets(client)},
        ),
    ]


def versions(change: Change) -> list[Obj]:
    return [obj for obj in (change.old, change.new) if obj]


def own_key(change: Change) -> Iterable[Key]:
    return {key_of(obj) for obj in versions(change)}


def wanted_pod(change: Change) -> Iterable[Key]:
    """For the node's side: what is wanted of a pod has changed, not what the node itself has just told of it."""
    old, new = change.old, change.new
    if change.type == "MODIFIED" and old and new and _wanted(old) == _wanted(new):
        return []
    return own_key(change)


def _wanted(pod: Obj) -> tuple[Obj, object, object]:
    metadata = pod["metadata"]
    return spec_of(pod), metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")


def _owner_or_selecting(client: LocalClient) -> Callable[[str], Callable[[Change], Iterable[Key]]]:
    def for_kind(kind: str) -> Callable[[Change], Iterable[Key]]:
        def keys(change: Change) -> Iterable[Key]:
            found: set[Key] = set()
            for obj in versions(change):
                owner = controller_of(obj)
                if owner is not None:
                    if owner["kind"] == kind:
                        found.add((namespace_of(obj), owner["name"]))
                    continue
                for candidate in client.list(kind, namespace_of(obj)):
                    if selector_matches(spec_of(candidate).get("selector"), labels_of(obj)):
                        found.add(key_of(candidate))
            return found

        return keys

    return for_kind


def _recreate_waits(client: LocalClient) -> Callable[[Change], Iterable[Key]]:
    """A Recreate rollout waits for pods, not ReplicaSets: the end of a pod wakes its Deployment."""

    def keys(change: Change) -> Iterable[Key]:
        if change.type != "DELETED":
            return
        for obj in versions(change):
            owner = controller_of(obj)
            if owner and owner["kind"] == "ReplicaSet":
                rs = client.get("ReplicaSet", namespace_of(obj), owner["name"])
                deployment = controller_of(rs) if rs else None
                if deployment and deployment["kind"] == "Deployment":
                    yield namespace_of(obj), deployment["name"]

    return keys


def _selecting_services(client: LocalClient) -> Callable[[Change], Iterable[Key]]:
    def keys(change: Change) -> Iterable[Key]:
        pods = versions(change)
        if not pods:
            return
        for service in client.list("Service", namespace_of(pods[0])):
            selector = spec_of(service).get("selector") or {}
            if selector and any(selector.items() <= labels_of(pod).items() for pod in pods):
                yield namespace_of(service), name_of(service)

    return keys


def _selecting_budgets(client: LocalClient) -> Callable[[Change], Iterable[Key]]:
    def keys(change: Change) -> Iterable[Key]:
        pods = versions(change)
        for budget in client.list("PodDisruptionBudget", namespace_of(pods[0])):
            if any(selects(budget, pod) for pod in pods):
                yield key_of(budget)

    return keys


def service_of_slice(change: Change) -> Iterable[Key]:
    return {
        (namespace_of(slice_), labels_of(slice_)[SERVICE_NAME])
        for slice_ in versions(change)
        if SERVICE_NAME in labels_of(slice_)
    }
