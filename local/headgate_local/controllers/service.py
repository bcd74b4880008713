"""Service -> its own loopback address, and an annotation that says where its ports are found."""

from __future__ import annotations

from headgate_local.addresses import ADDRESS_ANNOTATION, Addresses, listening_port
from headgate_local.client import LocalClient
from headgate_local.controllers.events import Events, NoEvents
from headgate_local.controllers.objects import Obj, annotations_of, name_of, namespace_of, spec_of, uid_of


class ServiceController:
    def __init__(self, client: LocalClient, addresses: Addresses, events: Events | None = None) -> None:
        self._client, self._addresses = client, addresses
        self._events: Events = events or NoEvents()
        self._uids: dict[tuple[str, str], str] = {}

    def sync(self, namespace: str, name: str) -> float | None:
        service = self._client.get("Service", namespace, name)
        known = self._uids.get((namespace, name))
        if known and (service is None or uid_of(service) != known):
            self._addresses.services.give_back(known)
            del self._uids[namespace, name]
        if service is None or spec_of(service).get("type") == "ExternalName":
            return None
        given = spec_of(service).get("clusterIP")
        if given == "None":
            return None
        self._uids[namespace, name] = uid_of(service)
        address = given or self._addresses.services.take(uid_of(service))
        if given and not self._addresses.is_service_address(given):
            message = f"clusterIP {given} is not one of this plane's addresses; leave spec.clusterIP out"
            self._events.warning(service, "ClusterIPOutOfRange", message)
            return None
        self._write(service, address)
        return None

    def _write(self, service: Obj, address: str) -> None:
        changes: Obj = {}
        if spec_of(service).get("clusterIP") != address:
            changes["spec"] = {"clusterIP": address, "clusterIPs": [address]}
        where = ",".join(
            f"{address}:{listening_port(int(port['port']))}" for port in spec_of(service).get("ports") or []
        )
        if annotations_of(service).get(ADDRESS_ANNOTATION) != where:
            changes["metadata"] = {"annotations": {ADDRESS_ANNOTATION: where}}
        if changes:
            self._client.patch_merge("Service", namespace_of(service), name_of(service), changes)
