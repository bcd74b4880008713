"""Service + EndpointSlices -> listeners: the kube-proxy of the plane, for TCP.

A connection stays on its pod for its life. Terminating endpoints get new connections only when nothing else is left
that serves (KEP-1669).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from headgate_local.addresses import Addresses, listening_port
from headgate_local.client import LocalClient
from headgate_local.controllers.endpointslice import SERVICE_NAME
from headgate_local.controllers.events import Events, NoEvents
from headgate_local.controllers.objects import Key, Obj, spec_of
from headgate_local.proxy.listener import Endpoint, Listener

_BIND_RETRY = 5.0


class Proxy:
    def __init__(
        self,
        client: LocalClient,
        addresses: Addresses,
        *,
        events: Events | None = None,
        choose: random.Random | None = None,
    ) -> None:
        self._client, self._addresses = client, addresses
        self._events: Events = events or NoEvents()
        self._choose = choose or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._listeners: dict[Key, dict[Endpoint, Listener]] = {}
        # Closed with connections that still live: kept to be ended with the plane.
        self._retired: list[Listener] = []

    def sync(self, namespace: str, name: str) -> float | None:
        service = self._client.get("Service", namespace, name)
        wanted = self._wanted(service, namespace, name) if service else {}
        listeners = self._listeners.setdefault((namespace, name), {})
        for address in [a for a in listeners if a not in wanted]:
            self._retire(listeners.pop(address))
        failed = False
        for address, endpoints in wanted.items():
            listener = listeners.setdefault(address, Listener(address, self._choose))
            try:
                listener.serve(endpoints)
            except OSError as error:
                failed = True
                message = f"cannot listen on {address[0]}:{address[1]}: {error}"
                self._events.warning(service or {}, "ListenFailed", message)
        if not listeners:
            del self._listeners[namespace, name]
        return _BIND_RETRY if failed else None

    async def stop(self) -> None:
        current = [listener for listeners in self._listeners.values() for listener in listeners.values()]
        for listener in [*self._retired, *current]:
            await listener.stop()

    def _retire(self, listener: Listener) -> None:
        listener.close()
        self._retired = [one for one in [*self._retired, listener] if one.is_busy]

    def _wanted(self, service: Obj, namespace: str, name: str) -> dict[Endpoint, list[Endpoint]]:
        address = spec_of(service).get("clusterIP") or ""
        if not self._addresses.is_service_address(address):
            return {}
        slices = self._client.list("EndpointSlice", namespace, labels={SERVICE_NAME: name})
        return {
            (address, listening_port(int(port["port"]))): usable(slices, port.get("name") or "")
            for port in spec_of(service).get("ports") or []
            if port.get("protocol", "TCP") == "TCP"
        }


def usable(slices: Iterable[Obj], port_name: str) -> list[Endpoint]:
    """Ready endpoints of one port; when there is none, those that still serve while they terminate."""
    ready: list[Endpoint] = []
    last: list[Endpoint] = []
    for slice_ in slices:
        numbers = [int(p["port"]) for p in slice_.get("ports") or [] if (p.get("name") or "") == port_name]
        for endpoint in slice_.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            found: Sequence[Endpoint] = [(endpoint["addresses"][0], number) for number in numbers]
            if conditions.get("ready", True):
                ready.extend(found)
            elif conditions.get("serving") and conditions.get("terminating"):
                last.extend(found)
    return ready or last
