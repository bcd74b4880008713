"""A convenience door to the API server for controllers and tests: dicts in, dicts out, every rule applies.

It builds real requests and goes through `ApiServer.handle`, so nothing can be done here that a remote client could
not do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headgate_local.api import patches
from headgate_local.api.request import Request, Response
from headgate_local.api.server import ApiServer
from headgate_local.errors import ApiError
from headgate_local.kinds import Kind
from headgate_local.store import Obj

__all__ = ["ApiError", "LocalClient"]


class LocalClient:
    def __init__(self, api: ApiServer, *, manager: str = "headgate-local") -> None:
        self.api = api
        self._manager = manager

    def get(self, kind: str | Kind, namespace: str | None, name: str) -> Obj | None:
        try:
            found: Obj = self._send("GET", self._path(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return found

    def list(
        self, kind: str | Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None, fields: str = ""
    ) -> list[Obj]:
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in (labels or {}).items())}
        query["fieldSelector"] = fields
        answer = self._send("GET", self._path(kind, namespace, ""), query={k: v for k, v in query.items() if v})
        entry = self.api.kinds.named(kind) if isinstance(kind, str) else kind
        return [{"apiVersion": entry.api_version, "kind": entry.kind, **item} for item in answer["items"]]

    def create(self, obj: Obj) -> Obj:
        meta = obj.get("metadata", {})
        entry = self._kind_of(obj)
        return self._sent("POST", _path(entry, meta.get("namespace", "default"), ""), obj)

    def update(self, obj: Obj) -> Obj:
        return self._sent("PUT", self._path_of(obj), obj)

    def update_status(self, obj: Obj) -> Obj:
        return self._sent("PUT", f"{self._path_of(obj)}/status", obj)

    def patch_merge(self, kind: str | Kind, namespace: str | None, name: str, patch: Obj, subresource: str = "") -> Obj:
        path = self._path(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        return self._sent("PATCH", path, patch, media_type=patches.MERGE)

    def apply(self, obj: Obj, manager: str, force: bool = False, subresource: str = "") -> Obj:
        path = self._path_of(obj) + (f"/{subresource}" if subresource else "")
        query = {"fieldManager": manager, "force": str(force).lower()}
        return self._sent("PATCH", path, obj, media_type=patches.APPLY, query=query)

    def delete(
        self,
        kind: str | Kind,
        namespace: str | None,
        name: str,
        uid: str | None = None,
        rv: str | None = None,
        propagation: str = "Background",
        grace: int | None = None,
    ) -> None:
        options: dict[str, Any] = {"propagationPolicy": propagation}
        conditions = {key: value for key, value in (("uid", uid), ("resourceVersion", rv)) if value}
        if conditions:
            options["preconditions"] = conditions
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        self._sent("DELETE", self._path(kind, namespace, name), options)

    def finalize_namespace(self, name: str) -> None:
        """Lets a namespace that is being deleted go; only for the controller that has emptied it."""
        self._sent(
            "PUT", f"/api/v1/namespaces/{name}/finalize", {"metadata": {"name": name}, "spec": {"finalizers": []}}
        )

    def _sent(
        self,
        method: str,
        path: str,
        body: Obj,
        *,
        media_type: str = "application/json",
        query: dict[str, str] | None = None,
    ) -> Obj:
        found: Obj = self._send(method, path, body=body, media_type=media_type, query=query or {})
        return found

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Obj | None = None,
        media_type: str = "application/json",
    ) -> Any:
        headers = {"content-type": media_type, "user-agent": self._manager}
        data = json.dumps(body).encode() if body is not None else b""
        return _checked(self.api.handle(Request(method, path, query or {}, headers, data)))

    def _kind_of(self, obj: Obj) -> Kind:
        found = self.api.kinds.of_object(obj.get("apiVersion", ""), obj["kind"])
        return found or self.api.kinds.named(obj["kind"])

    def _path_of(self, obj: Obj) -> str:
        meta = obj["metadata"]
        return _path(self._kind_of(obj), meta.get("namespace", "default"), meta["name"])

    def _path(self, kind: str | Kind, namespace: str | None, name: str) -> str:
        return _path(self.api.kinds.named(kind) if isinstance(kind, str) else kind, namespace, name)


def _path(kind: Kind, namespace: str | None, name: str) -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    place = f"/namespaces/{namespace}" if kind.namespaced and namespace else ""
    return f"{root}{place}/{kind.plural}" + (f"/{name}" if name else "")


def _checked(answer: Response) -> Any:
    if answer.status < 400:
        return answer.body
    body = answer.body if isinstance(answer.body, dict) else {}
    raise ApiError(answer.status, body.get("reason", ""), body.get("message", ""), body.get("details", {}))
