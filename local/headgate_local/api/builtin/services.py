"""Services and endpoint slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headgate_local.api.metadata import DNS_LABEL, LABEL_HINT
from headgate_local.errors import FieldError, FieldReason, duplicate, invalid, not_supported, required
from headgate_local.store import Obj

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def give_address(obj: Obj, address_of: Callable[[str], str]) -> None:
    """Allocates the cluster address of a new Service that wants one."""
    spec = obj["spec"]
    if spec["type"] == "ExternalName" or spec.get("clusterIP"):
        return
    spec["clusterIP"] = address_of(obj["metadata"]["uid"])
    spec["clusterIPs"] = [spec["clusterIP"]]


class ServiceRules:
    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        spec["type"] = spec.get("type") or "ClusterIP"
        spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
        for port in spec.get("ports") or ():
            port["protocol"] = port.get("protocol") or "TCP"
            if port.get("targetPort") in (None, 0, ""):
                port["targetPort"] = port.get("port")
        if spec["type"] != "ExternalName":
            spec.setdefault("internalTrafficPolicy", "Cluster")
            headless = spec.get("clusterIP") == "None"
            if headless:
                spec.setdefault("clusterIPs", ["None"])
            elif spec.get("clusterIP"):
                spec.setdefault("clusterIPs", [spec["clusterIP"]])
            spec.setdefault("ipFamilies", ["IPv4"])
            spec.setdefault("ipFamilyPolicy", "SingleStack")
        if spec["type"] in ("NodePort", "LoadBalancer"):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if spec["type"] == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
        if spec["sessionAffinity"] == "ClientIP":
            spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        if old is None:
            obj["status"] = {"loadBalancer": {}}
            return
        # A client that replaces a Service without its address does not take the address away.
        for name in ("clusterIP", "clusterIPs"):
            if not obj["spec"].get(name) and old["spec"].get(name):
                obj["spec"][name] = old["spec"][name]

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        spec = obj["spec"]
        errors = list(_service_errors(spec))
        held = (old or {}).get("spec", {}).get("clusterIP")
        if held and spec.get("clusterIP") != held and spec["type"] != "ExternalName":
            errors.append(
                FieldError(FieldReason.INVALID, "spec.clusterIPs[0]", spec.get("clusterIPs"), "may not change once set")
            )
        return errors


def _service_errors(spec: Obj) -> Iterator[FieldError]:
    ports = spec.get("ports") or []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    if spec["type"] not in TYPES:
        yield not_supported("spec.type", spec["type"], TYPES)
    if spec["sessionAffinity"] not in ("ClientIP", "None"):
        yield not_supported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    seen_names: set[str] = set()
    seen_ports: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            yield required(f"{path}.name")
        elif name and not DNS_LABEL.match(name):
            yield invalid(f"{path}.name", name, LABEL_HINT)
        elif name and name in seen_names:
            yield duplicate(f"{path}.name", name)
        seen_names.add(name)
        for field in ("port", "targetPort"):
            number = port.get(field) or 0
            if isinstance(number, int) and not 0 < number < 65536:
                yield invalid(f"{path}.{field}", number, "must be between 1 and 65535, inclusive")
        key = (port["protocol"], port.get("port", 0))
        if key in seen_ports:
            yield duplicate(path, {"protocol": key[0], "port": key[1]})
        seen_ports.add(key)


class EndpointSliceRules:
    def default(self, obj: Obj) -> None:
        for port in obj.get("ports") or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        """It has no fields of the system's own."""

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        errors = []
        if obj.get("addressType") not in ("IPv4", "IPv6", "FQDN"):
            given = obj.get("addressType")
            errors.append(
                required("addressType") if not given else not_supported("addressType", given, ("FQDN", "IPv4", "IPv6"))
            )
        if old is not None and obj.get("addressType") != old.get("addressType"):
            errors.append(FieldError(FieldReason.INVALID, "addressType", obj.get("addressType"), "field is immutable"))
        for index, endpoint in enumerate(obj.get("endpoints") or ()):
            if not endpoint.get("addresses"):
                errors.append(required(f"endpoints[{index}].addresses", "must contain at least 1 address"))
        return errors
