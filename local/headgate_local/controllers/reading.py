"""The controllers' door: writes take the API server's road, reads come straight from the store.

A watch cache, in effect. Stored objects are never changed in place and controllers never change what they read, so no
copies are made; that halves the time of a simulation.
"""

from __future__ import annotations

from collections.abc import Mapping

from headgate_local.client import LocalClient
from headgate_local.controllers.objects import Obj, labels_of
from headgate_local.kinds import Kind


class ControllerClient(LocalClient):
    def get(self, kind: str | Kind, namespace: str | None, name: str) -> Obj | None:
        return self.api.store.get(self._kind(kind), namespace or "", name)

    def list(
        self, kind: str | Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None, fields: str = ""
    ) -> list[Obj]:
        if fields:
            return super().list(kind, namespace, labels, fields)
        wanted = (labels or {}).items()
        found = self.api.store.all(self._kind(kind), namespace or "")
        return [obj for obj in found if wanted <= labels_of(obj).items()]

    def _kind(self, kind: str | Kind) -> Kind:
        return self.api.kinds.named(kind) if isinstance(kind, str) else kind
