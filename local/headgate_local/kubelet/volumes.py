"""What a pod's volumes hold, and where each container finds them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import PurePosixPath

from headgate_local.controllers.objects import Obj, spec_of
from headgate_local.kubelet.environment import Lookup, contents

Files = Mapping[str, bytes] | None
"""Files of a volume; None is an empty folder that the pod may write to."""


class MountError(Exception):
    """FailedMount: the pod stays in ContainerCreating until it can be mounted."""


def files_of(pod: Obj, lookup: Lookup) -> dict[str, Files]:
    """Every volume that is materialised (hostPath is not: it is there already)."""
    volumes: dict[str, Files] = {}
    for volume in spec_of(pod).get("volumes") or []:
        name = volume["name"]
        if "secret" in volume:
            volumes[name] = _projected(name, "Secret", volume["secret"]["secretName"], volume["secret"], lookup)
        elif "configMap" in volume:
            volumes[name] = _projected(name, "ConfigMap", volume["configMap"]["name"], volume["configMap"], lookup)
        elif "emptyDir" in volume:
            volumes[name] = None
        elif "hostPath" not in volume:
            kind = next((key for key in volume if key != "name"), "volume")
            raise MountError(f'volume "{name}": {kind} is not supported by the local plane')
    return volumes


def mounts_of(pod: Obj, container: Obj, folders: Mapping[str, str]) -> dict[str, str]:
    """mountPath -> real path, for one container."""
    real = dict(folders)
    for volume in spec_of(pod).get("volumes") or []:
        if "hostPath" in volume:
            real[volume["name"]] = volume["hostPath"]["path"]
    mounts = {}
    for mount in container.get("volumeMounts") or []:
        if mount["name"] not in real:
            raise MountError(f'volumeMount "{mount["name"]}" names no volume of the pod')
        path = PurePosixPath(real[mount["name"]]) / (mount.get("subPath") or "")
        mounts[mount["mountPath"].rstrip("/") or "/"] = str(path)
    return mounts


def _projected(volume: str, kind: str, name: str, source: Obj, lookup: Lookup) -> dict[str, bytes]:
    found = lookup(kind, name)
    if found is None:
        if source.get("optional"):
            return {}
        raise MountError(f'MountVolume.SetUp failed for volume "{volume}" : {kind.lower()} "{name}" not found')
    data = contents(found)
    items = source.get("items")
    if not items:
        return data
    chosen = {}
    for item in items:
        if item["key"] in data:
            chosen[item["path"]] = data[item["key"]]
        elif not source.get("optional"):
            raise MountError(
                f'MountVolume.SetUp failed for volume "{volume}" : references non-existent key: {item["key"]}'
            )
    return chosen


def fingerprint(volumes: Mapping[str, Files]) -> str:
    """Changes when a projected file does; so that a running pod's files follow their source."""
    parts = []
    for name, files in sorted(volumes.items()):
        for path, data in sorted((files or {}).items()):
            parts.append(f"{name}/{path}={base64.b64encode(data).decode()}")
    return "\n".join(parts)
