"""The API server: requests in, answers out, no I/O.

`ApiServer.handle` is the whole of it. The HTTPS front, the controllers, the simulation and the tests all come through this
one function, so every rule holds for all of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from headgate_local import errors
from headgate_local.api import bodies, listing, patches
from headgate_local.api.builtin.registry import rules_of
from headgate_local.api.deletion import DeleteOptions, Deleter
from headgate_local.api.request import Request, Response
from headgate_local.api.routing import Target, parse
from headgate_local.api.rules import Rules
from headgate_local.api.writing import Options, Writer, Written
from headgate_local.crd.definition import kinds_of
from headgate_local.crd.rules import CustomRules, DefinitionRules
from headgate_local.errors import ApiError
from headgate_local.kinds import Kind, Kinds
from headgate_local.store import Change, Obj, Store, clone

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
DEFAULT_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
PATCH_TYPES = (patches.JSON, patches.MERGE, patches.STRATEGIC, patches.APPLY)


class ApiServer:
    def __init__(self, *, now: Callable[[], datetime], uid: Callable[[], str] = lambda: str(uuid.uuid4())) -> None:
        self.store = Store()
        self.kinds = Kinds()
        self.store.on_change(self._follow_definitions)
        self._definition_rules = DefinitionRules(now)
        self._writer = Writer(self.store, self.kinds, self._rules, now=now, uid=uid)
        self._deleter = Deleter(self.store, now=now)
        for name in DEFAULT_NAMESPACES:
            namespace = {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}
            self._writer.create(Target(self.kinds.named("Namespace")), namespace, Options("kube-apiserver"))

    def handle(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except ApiError as error:
            return Response(error.status, error.body())

    def _rules(self, kind: Kind) -> Rules:
        if kind.custom:
            return CustomRules(kind)
        if kind.resource == CRDS:
            return self._definition_rules
        return rules_of(kind.resource)

    def _follow_definitions(self, change: Change) -> None:
        """A definition serves its kinds from the moment it is stored, and takes their objects with it when it goes."""
        if change.resource != CRDS:
            return
        spec = change.object["spec"]
        group, plural = spec["group"], spec["names"]["plural"]
        if change.type == "DELETED":
            self._drop_objects(group, plural)
        self.kinds.remove(group, plural)
        if change.type != "DELETED":
            for kind in kinds_of(change.object):
                self.kinds.add(kind)

    def _drop_objects(self, group: str, plural: str) -> None:
        kind = next((one for one in self.kinds if (one.group, one.plural) == (group, plural)), None)
        for obj in self.store.list(kind) if kind else ():
            assert kind is not None  # noqa: S101 - there are objects only where there is a kind
            self.store.remove(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

    def _answer(self, request: Request) -> Response:
        target = parse(self.kinds, request.path)
        match request.method, bool(target.name):
            case "GET", True if not request.flag("watch"):
                return Response(200, self._shown(target)(self._writer.live(target)))
            case "GET", _ if request.flag("watch"):
                return listing.watch_answer(self.store, target, request, self._shown(target))
            case "GET", False:
                return Response(200, listing.list_answer(self.store, target, request, self._shown(target)))
            case "POST", False:
                obj = bodies.read_object(request.media_type, request.body)
                return self._written(target, self._writer.create(target, obj, Options.of(request)))
            case "PUT", True:
                obj = bodies.read_object(request.media_type, request.body)
                return self._written(target, self._writer.update(target, obj, Options.of(request)))
            case "PATCH", True:
                return self._written(target, self._patch(target, request))
            case "DELETE", True:
                return self._delete(target, request)
            case "DELETE", False:
                return self._delete_all(target, request)
            case _:
                raise errors.method_not_allowed()

    def _shown(self, target: Target) -> Callable[[Obj], Obj]:
        """How a stored object looks in the version that was asked for."""
        kind = target.kind

        def show(obj: Obj) -> Obj:
            shown: Obj = clone(obj)
            shown["apiVersion"] = kind.api_version
            return shown

        return show

    def _written(self, target: Target, written: Written) -> Response:
        headers = {"warning": ", ".join(f'299 - "{_escaped(text)}"' for text in written.warnings)}
        obj = self._shown(target)(written.obj)
        return Response(201 if written.created else 200, obj, headers if written.warnings else {})

    def _patch(self, target: Target, request: Request) -> Written:
        options = Options.of(request)
        match request.media_type:
            case patches.APPLY:
                if not request.query.get("fieldManager"):
                    wrong = errors.required("fieldManager", "is required for apply patch")
                    raise errors.invalid_object("PatchOptions", "meta.k8s.io", "", [wrong])
                config = bodies.read_yaml(request.body)
                if not isinstance(config, dict):
                    raise errors.bad_request("error decoding YAML: the patch is not an object")
                return self._writer.apply(target, config, options)
            case patches.MERGE:
                patched = patches.merge_patch(self._live(target), bodies.read_json(request.body))
            case patches.JSON:
                patched = patches.json_patch(self._live(target), bodies.read_json(request.body))
            case _:
                raise errors.unsupported_media_type(request.media_type, PATCH_TYPES)
        return self._writer.update(target, patched, options)

    def _live(self, target: Target) -> Obj:
        return self._shown(target)(self._writer.live(target))

    def _delete(self, target: Target, request: Request) -> Response:
        kind = target.kind
        obj, gone = self._deleter.delete(target, DeleteOptions.of(request, _delete_body(request)))
        if not gone or kind.resource == "pods":
            return Response(200, self._shown(target)(obj))
        details: dict[str, Any] = {"name": target.name, "group": kind.group, "kind": kind.plural}
        details = {key: value for key, value in details.items() if value} | {"uid": obj["metadata"]["uid"]}
        return Response(
            200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )

    def _delete_all(self, target: Target, request: Request) -> Response:
        options = DeleteOptions.of(request, _delete_body(request))
        found = listing.matching(self.store, target, request)
        answer = listing.list_answer(self.store, target, request, self._shown(target))
        for obj in found:
            meta = obj["metadata"]
            self._deleter.delete(Target(target.kind, meta.get("namespace", ""), meta["name"]), options)
        return Response(200, answer)


def _delete_body(request: Request) -> dict[str, Any]:
    return bodies.read_object(request.media_type, request.body) if request.body.strip() else {}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
