"""A container's environment, command and arguments, resolved as a kubelet does it.

Two things differ from a container, because a pod is a local process: a volume's mountPath is replaced by the real
folder wherever it begins a path, and HEADGATE_HOST is the pod's own address (0.0.0.0 would collide between pods).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence

from headgate_local.controllers.objects import (
    Obj,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    uid_of,
)

Lookup = Callable[[str, str], Obj | None]
"""(kind, name) -> the ConfigMap or Secret in the pod's namespace."""

_VARIABLE = re.compile(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)")
_KEYED_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_HOST = "HEADGATE_HOST"


class ConfigError(Exception):
    """CreateContainerConfigError: something the container refers to is not there."""


def expand(text: str, env: Mapping[str, str]) -> str:
    """$(NAME) from env, $$ as a literal dollar; an unknown name stays as it is."""

    def replaced(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return env.get(match.group(1), match.group(0))

    return _VARIABLE.sub(replaced, text)


def environment(pod: Obj, container: Obj, pod_ip: str, lookup: Lookup) -> dict[str, str]:
    env: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        env.update(_all_of(source, lookup))
    for entry in container.get("env") or []:
        if entry.get("valueFrom"):
            value = _from_source(pod, pod_ip, entry["valueFrom"], lookup)
            if value is not None:
                env[entry["name"]] = value
        else:
            env[entry["name"]] = expand(str(entry.get("value") or ""), env)
    env[_HOST] = pod_ip
    return env


def _all_of(source: Obj, lookup: Lookup) -> dict[str, str]:
    kind, ref = ("ConfigMap", source["configMapRef"]) if "configMapRef" in source else ("Secret", source["secretRef"])
    found = lookup(kind, ref["name"])
    if found is None:
        if ref.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{ref["name"]}" not found')
    prefix = source.get("prefix") or ""
    return {prefix + key: value.decode(errors="replace") for key, value in contents(found).items()}


def _from_source(pod: Obj, pod_ip: str, source: Obj, lookup: Lookup) -> str | None:
    if "fieldRef" in source:
        return field(pod, pod_ip, source["fieldRef"]["fieldPath"])
    if "configMapKeyRef" in source:
        return _key_of("ConfigMap", source["configMapKeyRef"], namespace_of(pod), lookup)
    if "secretKeyRef" in source:
        return _key_of("Secret", source["secretKeyRef"], namespace_of(pod), lookup)
    raise ConfigError(f"{next(iter(source), 'valueFrom')} is not supported by the local plane")


def _key_of(kind: str, ref: Obj, namespace: str, lookup: Lookup) -> str | None:
    found = lookup(kind, ref["name"])
    value = contents(found).get(ref["key"]) if found else None
    if value is not None:
        return value.decode(errors="replace")
    if ref.get("optional"):
        return None
    if found is None:
        raise ConfigError(f'{kind.lower()} "{ref["name"]}" not found')
    raise ConfigError(f"couldn't find key {ref['key']} in {kind} {namespace}/{ref['name']}")


def field(pod: Obj, pod_ip: str, path: str) -> str:
    keyed = _KEYED_FIELD.fullmatch(path)
    if keyed:
        values = labels_of(pod) if keyed.group(1) == "labels" else annotations_of(pod)
        return values.get(keyed.group(2), "")
    plain = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": uid_of(pod),
        "spec.nodeName": str(spec_of(pod).get("nodeName", "")),
        "spec.serviceAccountName": str(spec_of(pod).get("serviceAccountName", "default")),
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": "127.0.0.1",
    }
    if path not in plain:
        raise ConfigError(f"fieldRef {path} is not supported by the local plane")
    return plain[path]


def contents(source: Obj) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret as bytes."""
    data = source.get("data") or {}
    if source["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    plain = {key: str(value).encode() for key, value in data.items()}
    return plain | {key: base64.b64decode(value) for key, value in (source.get("binaryData") or {}).items()}


def with_real_paths(text: str, mounts: Mapping[str, str]) -> str:
    """Replace a mountPath by its real folder where it begins a path (also after `=`, `:`, `,` or `file://`)."""
    for mount_path in sorted(mounts, key=len, reverse=True):
        pattern = rf"(?:^|(?<=[\s=:,;\"'])|(?<=file://)){re.escape(mount_path)}(?=$|[/\s:,;\"'])"
        text = re.sub(pattern, lambda _: mounts[mount_path], text)  # noqa: B023 - used at once
    return text


def all_real(texts: Sequence[str], env: Mapping[str, str], mounts: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(with_real_paths(expand(text, env), mounts) for text in texts)
