"""The plane put together in one process: API server, controllers and, where wanted, a kubelet and Service listeners.

Everything is passed in or made here, so the same assembly runs a laptop's demo on real processes and a simulation in
virtual time. HTTPS and the state folder are the tool's business.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from headgate_local import errors
from headgate_local.addresses import Addresses
from headgate_local.api.server import ApiServer
from headgate_local.client import LocalClient
from headgate_local.controllers.deployment import DeploymentController
from headgate_local.controllers.disruption import DisruptionController
from headgate_local.controllers.endpointslice import EndpointSliceController
from headgate_local.controllers.events import EventRecorder, Events, NoEvents
from headgate_local.controllers.loop import ControllerLoop, Wiring
from headgate_local.controllers.objects import Key, Obj, key_of, spec_of
from headgate_local.controllers.reading import ControllerClient
from headgate_local.controllers.replicaset import ReplicaSetController
from headgate_local.controllers.service import ServiceController
from headgate_local.controllers.wiring import own_key, service_of_slice, wanted_pod, wirings
from headgate_local.garbage import GarbageCollector, NamespaceController
from headgate_local.kubelet.kubelet import Kubelet
from headgate_local.kubelet.log_files import log_options
from headgate_local.kubelet.runtime import LogsUnavailableError, Runtime
from headgate_local.kubelet.scheduler import Scheduler, node_object
from headgate_local.proxy.proxy import Proxy
from headgate_local.store import Change


def wall_clock() -> datetime:
    return datetime.now(UTC)


class Plane:
    """`async with Plane(...)`; without a runtime pods stay Pending, without a proxy Services have only an address."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = wall_clock,
        runtime: Runtime | None = None,
        api: ApiServer | None = None,
        addresses: Addresses | None = None,
        proxy: bool = False,
        record_events: bool = False,
        backoff_base: float = 10.0,
        choose: random.Random | None = None,
    ) -> None:
        self.now = now
        self.api = api or ApiServer(now=now)
        self.client = LocalClient(self.api)
        # What the plane's own parts use; `client` is for others, who may change what they are given.
        self._client = ControllerClient(self.api)
        self.addresses = addresses or Addresses()
        self._record_events = record_events
        self._garbage, self._namespaces = GarbageCollector(self._client), NamespaceController(self._client)
        self.kubelet: Kubelet | None = None
        self.proxy = (
            Proxy(self._client, self.addresses, events=self._events("kube-proxy"), choose=choose) if proxy else None
        )
        if runtime is not None:
            self.kubelet = Kubelet(
                self._client,
                runtime,
                self.addresses,
                now,
                wake=lambda key: self.loop.wake("kubelet", key),
                events=self._events("kubelet"),
                backoff_base=backoff_base,
            )
        self.api.logs = self._logs
        self.api.service_address = self.addresses.services.take
        self.loop = ControllerLoop(self.api.store, self._wirings())

    async def __aenter__(self) -> Self:
        self.loop.start()
        if self.kubelet is not None:
            node = node_object(self.now())
            self.client.update_status({**self.client.create(node), "status": node["status"]})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The loop first: otherwise the kubelet would see its containers end and start them again.
        await self.loop.stop()
        if self.proxy is not None:
            await self.proxy.stop()
        if self.kubelet is not None:
            await self.kubelet.stop()

    def _logs(self, namespace: str, pod: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """GET .../pods/<name>/log: refused where there is nothing to read, as the real one does."""
        if self.kubelet is None:
            raise errors.bad_request("this plane has no kubelet")
        try:
            return self.kubelet.logs(namespace, pod, query.get("container"), log_options(query))
        except (LogsUnavailableError, ValueError) as error:
            raise errors.bad_request(str(error)) from error

    def _wirings(self) -> list[Wiring]:
        # EndpointSlices and the proxy come before the kubelet: a pod leaves the Services before it is told to stop.
        found = wirings(
            self._client,
            deployments=DeploymentController(self._client, self.now, self._events("deployment-controller")),
            replica_sets=ReplicaSetController(self._client, self.now, self._events("replicaset-controller")),
            services=ServiceController(self._client, self.addresses, self._events("service-controller")),
            slices=EndpointSliceController(self._client),
            budgets=DisruptionController(self._client, self.now, self._events("controllermanager")),
        )
        if self.proxy is not None:
            wakes = {"Service": own_key, "EndpointSlice": service_of_slice}
            found.append(Wiring("proxy", self.proxy.sync, wakes))
        if self.kubelet is not None:
            scheduler = Scheduler(self._client, self.now, self._events("default-scheduler"))
            wakes = {"Pod": wanted_pod, "Node": self._unscheduled}
            found.append(Wiring("scheduler", scheduler.sync, wakes))
            wakes = {"Pod": wanted_pod, "ConfigMap": self._users, "Secret": self._users}
            found.append(Wiring("kubelet", self.kubelet.sync, wakes))
        found.append(Wiring("garbage", self._collect, wakes_always=self._ownership_changed))
        return found

    def _collect(self, namespace: str, name: str) -> None:
        del namespace, name
        self._garbage.collect()
        self._namespaces.collect()

    def _ownership_changed(self, change: Change) -> Iterable[Key]:
        # A full pass reads everything, so the many writes that only tell a status must not cause one.
        told_only = change.type == "MODIFIED" and change.old and _ownership(change.old) == _ownership(change.object)
        wanted = self._garbage.wants(change) or self._namespaces.wants(change)
        return [] if told_only or not wanted else [("", "")]

    def _unscheduled(self, change: Change) -> Iterable[Key]:
        """A node that takes pods again, or no longer, is news for those that wait."""
        del change
        return {key_of(pod) for pod in self._client.list("Pod") if not spec_of(pod).get("nodeName")}

    def _users(self, change: Change) -> Iterable[Key]:
        source = change.new or change.old
        if source is None or self.kubelet is None:
            return []
        namespace, name = key_of(source)
        return self.kubelet.users_of(change.kind, namespace, name)

    def _events(self, component: str) -> Events:
        return EventRecorder(self._client, self.now, component) if self._record_events else NoEvents()


def _ownership(obj: Obj) -> tuple[object, ...]:
    return tuple(obj["metadata"].get(field) for field in ("ownerReferences", "finalizers", "deletionTimestamp"))
