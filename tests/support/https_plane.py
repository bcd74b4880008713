"""The embedded control plane over HTTPS, with our CRD: for tests of what speaks Kubernetes over the network."""

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headgate_local import crd_files
from headgate_local.client import LocalClient
from headgate_local.http import Served, serving
from headgate_local.plane import Plane

Obj = dict[str, Any]


@dataclass(frozen=True)
class HttpsPlane:
    plane: Plane
    served: Served

    @property
    def client(self) -> LocalClient:
        return self.plane.client

    @property
    def kubeconfig(self) -> Path:
        return self.served.kubeconfig


@asynccontextmanager
async def https_plane(state: Path, *, crd: bool = True, **options: Any) -> AsyncIterator[HttpsPlane]:
    plane = Plane(**options)
    async with plane, serving(plane.api, state=state) as served:
        if crd:
            install_crd(plane.client)
        yield HttpsPlane(plane, served)


def install_crd(client: LocalClient) -> None:
    for definition in crd_files.definitions():
        client.create(copy.deepcopy(definition))


def model_deployment(name: str = "iris", namespace: str = "default", **spec: Any) -> Obj:
    return {
        "apiVersion": "headgate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": {"name": name, "alias": "champion"}, **spec},
    }
