"""Pods and pod templates: their defaults and what is refused in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from headgate_local.api.builtin.quantities import amount, canonicalise
from headgate_local.api.metadata import DNS_LABEL, LABEL_HINT
from headgate_local.errors import FieldError, FieldReason, duplicate, forbidden, invalid, not_supported, required
from headgate_local.store import Obj

ENV_NAME = re.compile(r"^[^=\x00-\x1f\x7f]+$")
# In the order in which the real server looks at them: all but the first one are too many.
VOLUME_TYPES = ("emptyDir", "hostPath", "secret", "nfs", "persistentVolumeClaim", "configMap", "downwardAPI",
                "projected", "csi", "ephemeral", "image")  # fmt: skip
PULL_POLICIES = ("Always", "IfNotPresent", "Never")


def default_spec(spec: Obj) -> None:
    for name, value in (
        ("dnsPolicy", "ClusterFirst"),
        ("restartPolicy", "Always"),
        ("schedulerName", "default-scheduler"),
        ("terminationGracePeriodSeconds", 30),
        ("securityContext", {}),
    ):
        if spec.get(name) is None:
            spec[name] = value
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        _default_container(container)
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def _default_container(container: Obj) -> None:
    image = container.get("image", "")
    if image and not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = "Always" if _is_latest(image) else "IfNotPresent"
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    canonicalise(container["resources"])
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name):
            _default_probe(container[name])
    for action in (container.get("lifecycle") or {}).values():
        if isinstance(action, dict) and action.get("httpGet"):
            _default_http_get(action["httpGet"])
    for variable in container.get("env") or ():
        field = (variable.get("valueFrom") or {}).get("fieldRef")
        if field:
            field.setdefault("apiVersion", "v1")


def _is_latest(image: str) -> bool:
    last = image.rpartition("/")[2]
    return "@" not in last and (":" not in last or last.endswith(":latest"))


def _default_probe(probe: Obj) -> None:
    for name, value in (("failureThreshold", 3), ("periodSeconds", 10), ("successThreshold", 1), ("timeoutSeconds", 1)):
        if not probe.get(name):
            probe[name] = value
    if probe.get("httpGet"):
        _default_http_get(probe["httpGet"])
    if probe.get("grpc"):
        probe["grpc"].setdefault("service", "")


def _default_http_get(action: Obj) -> None:
    if not action.get("path"):
        action["path"] = "/"
    if not action.get("scheme"):
        action["scheme"] = "HTTP"


def _default_volume(volume: Obj) -> None:
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "projected", "downwardAPI"):
        if volume.get(name) is not None:
            volume[name].setdefault("defaultMode", 0o644)
    for source in (volume.get("projected") or {}).get("sources") or ():
        if source.get("serviceAccountToken"):
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")


class PodRules:
    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        default_spec(spec)
        # Only in a pod, not in a template: what has a limit and no request asks for its limit.
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
            for name, value in (container["resources"].get("limits") or {}).items():
                container["resources"].setdefault("requests", {}).setdefault(name, value)
        spec.setdefault("enableServiceLinks", True)
        spec.setdefault("serviceAccountName", "default")
        spec.setdefault("serviceAccount", "default")
        spec.setdefault("priority", 0)
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
        if "tolerations" not in spec:
            spec["tolerations"] = [
                {
                    "effect": "NoExecute",
                    "key": f"node.kubernetes.io/{why}",
                    "operator": "Exists",
                    "tolerationSeconds": 300,
                }
                for why in ("not-ready", "unreachable")
            ]

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        if old is None:
            obj["status"] = {"phase": "Pending", "qosClass": _qos(obj["spec"])}
        elif "qosClass" in old.get("status", {}):
            obj.setdefault("status", {}).setdefault("qosClass", old["status"]["qosClass"])

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        errors = list(spec_errors(obj["spec"], "spec"))
        if old is not None and not errors:
            errors += _change_errors(obj["spec"], old["spec"])
        return errors


def _qos(spec: Obj) -> str:
    resources = [container.get("resources") or {} for container in spec.get("containers") or ()]
    if not any(one.get("limits") or one.get("requests") for one in resources):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= set(one.get("limits") or {}) and one.get("limits") == one.get("requests")
        for one in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


# What may change in a pod once it exists; nodeName, once, is the scheduler's binding.
MUTABLE = ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates")


def _change_errors(spec: Obj, old: Obj) -> list[FieldError]:
    def fixed(one: Obj) -> Obj:
        kept = {key: value for key, value in one.items() if key not in MUTABLE}
        if not old.get("nodeName"):
            kept.pop("nodeName", None)
        for part in ("containers", "initContainers"):
            if part in kept:
                kept[part] = [{k: v for k, v in c.items() if k != "image"} for c in kept[part]]
        return kept

    if fixed(spec) == fixed(old):
        return []
    hint = (
        "pod updates may not change fields other than `spec.containers[*].image`,"
        " `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing"
        " tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
    )
    return [forbidden("spec", hint)]


def spec_errors(spec: Obj, path: str) -> Iterator[FieldError]:
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{path}.containers")
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    yield from _name_errors(spec.get("volumes") or [], f"{path}.volumes")
    for index, volume in enumerate(spec.get("volumes") or ()):
        for surplus in [name for name in VOLUME_TYPES if volume.get(name) is not None][1:]:
            yield forbidden(f"{path}.volumes[{index}].{surplus}", "may not specify more than 1 volume type")
    for part in ("initContainers", "containers"):
        found = spec.get(part) or []
        yield from _name_errors(found, f"{path}.{part}")
        for index, container in enumerate(found):
            yield from _container_errors(container, f"{path}.{part}[{index}]", volumes)
    if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
        yield not_supported(f"{path}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never"))
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        value = spec["terminationGracePeriodSeconds"]
        yield invalid(f"{path}.terminationGracePeriodSeconds", value, "must be greater than or equal to 0")


def _name_errors(items: list[Obj], path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        name, here = item.get("name", ""), f"{path}[{index}].name"
        if not name:
            yield required(here)
        elif not DNS_LABEL.match(name) or len(name) > 63:
            yield invalid(here, name, LABEL_HINT if len(name) <= 63 else "must be no more than 63 characters")
        elif name in seen:
            yield duplicate(here, name)
        seen.add(name)


def _container_errors(container: Obj, path: str, volumes: set[Any]) -> Iterator[FieldError]:
    if not container.get("image"):
        yield required(f"{path}.image")
    if container.get("imagePullPolicy", "Always") not in PULL_POLICIES:
        yield not_supported(f"{path}.imagePullPolicy", container["imagePullPolicy"], PULL_POLICIES)
    for index, port in enumerate(container.get("ports") or ()):
        yield from port_errors(port.get("containerPort", 0), f"{path}.ports[{index}].containerPort")
    for index, variable in enumerate(container.get("env") or ()):
        yield from _env_errors(variable, f"{path}.env[{index}]")
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            yield FieldError(FieldReason.NOT_FOUND, f"{path}.volumeMounts[{index}].name", mount.get("name"))
        if not mount.get("mountPath"):
            yield required(f"{path}.volumeMounts[{index}].mountPath")
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, value in requests.items():
        if name in limits and amount(value) > amount(limits[name]):
            hint = f"must be less than or equal to {name} limit of {limits[name]}"
            yield invalid(f"{path}.resources.requests", value, hint)


def _env_errors(variable: Obj, path: str) -> Iterator[FieldError]:
    name = variable.get("name", "")
    if not name:
        yield required(f"{path}.name")
    elif not ENV_NAME.match(name):
        hint = "a valid environment variable name must consist only of printable ASCII characters other than '='"
        yield invalid(f"{path}.name", name, hint)
    if variable.get("value") and variable.get("valueFrom"):
        yield invalid(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")


def port_errors(port: Any, path: str) -> Iterator[FieldError]:
    if not port:
        yield required(path)
    elif not 0 < port < 65536:
        yield invalid(path, port, "must be between 1 and 65535, inclusive")
