"""The verbs on stored objects, and the form their answers take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from headgate_local import errors
from headgate_local.api import bodies, listing, negotiation, patches, protobuf, scaling, strategic, tables, versions
from headgate_local.api.builtin import events
from headgate_local.api.deletion import DeleteOptions, Deleter
from headgate_local.api.eviction import Evictor
from headgate_local.api.options import Options
from headgate_local.api.request import Request, Response
from headgate_local.api.routing import Target
from headgate_local.api.writing import Writer, Written
from headgate_local.kinds import Kinds
from headgate_local.store import Obj, Store, clone

PATCH_TYPES = (patches.JSON, patches.MERGE, patches.STRATEGIC, patches.APPLY)
POSTED = ("binding", "eviction")
TABLE_TYPE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Resources:
    def __init__(
        self, store: Store, kinds: Kinds, writer: Writer, deleter: Deleter, *, now: Callable[[], datetime]
    ) -> None:
        self._core_event = kinds.named("Event")
        self._store = store
        self._writer = writer
        self._deleter = deleter
        self._evictor = Evictor(store, kinds, writer, deleter, now)
        self._now = now

    def answer(self, target: Target, request: Request) -> Response:
        if target.subresource in POSTED and request.method != "POST":
            raise errors.method_not_allowed()
        match request.method, bool(target.name):
            case "GET", _ if request.flag("watch"):
                return self._watch(target, request)
            case "GET", True:
                versions.check_reached(self._store, request)
                return self._one(target, request, self.live(target))
            case "GET", False:
                return self._list(target, request)
            case "POST", False:
                return self._create(target, request)
            case "POST", True if target.subresource == "eviction":
                return self._evictor.answer(target, request)
            case "POST", True if target.subresource == "binding":
                return self._bind(target, request)
            case "PUT", True:
                return self._replace(target, request)
            case "PATCH", True:
                return self._written(target, request, self._patched(target, request))
            case "DELETE", True if not target.subresource:
                return self._delete(target, request)
            case "DELETE", False:
                return self._delete_all(target, request)
            case _:
                raise errors.method_not_allowed()

    def live(self, target: Target) -> Obj:
        return self._writer.live(target)

    # --- reading ----------------------------------------------------------------------------------------------------

    def _shown(self, target: Target, obj: Obj) -> Obj:
        """A stored object in the version that was asked for, as the caller's own copy."""
        if target.subresource == "scale":
            return scaling.view(target.kind, obj)
        shown: Obj = clone(obj)
        if target.kind.group == events.GROUP:
            return events.from_core(shown)
        return {**shown, "kind": target.kind.kind, "apiVersion": target.kind.api_version}

    def _one(self, target: Target, request: Request, obj: Obj, status: int = 200) -> Response:
        form = negotiation.form_of(request.headers.get("accept", ""))
        if form.is_table and not target.subresource:
            return self._table(target, request, [obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")})
        if form.is_metadata:
            return Response(status, tables.metadata_only(obj))
        return Response(status, self._shown(target, obj))

    def _table(self, target: Target, request: Request, found: list[Obj], meta: Obj) -> Response:
        shown = [self._shown(target, obj) for obj in found]
        include = request.query.get("includeObject", "Metadata")
        return Response(200, tables.table(target.kind, shown, meta, include, self._now()), {"content-type": TABLE_TYPE})

    def _list(self, target: Target, request: Request) -> Response:
        form = negotiation.form_of(request.headers.get("accept", ""))
        found, meta = listing.page(self._store, target, request)
        if form.is_table:
            return self._table(target, request, found, meta)
        if form.is_metadata:
            items = [tables.metadata_only(obj) for obj in found]
            kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        else:
            items = [self._listed(target, obj) for obj in found]
            kind, version = target.kind.list_name, target.kind.api_version
        return Response(200, {"kind": kind, "apiVersion": version, "metadata": meta, "items": items})

    def _listed(self, target: Target, obj: Obj) -> Obj:
        shown = self._shown(target, obj)
        if not target.kind.custom:
            # The items of a typed list do not repeat what the list says.
            del shown["kind"], shown["apiVersion"]
        return shown

    def _watch(self, target: Target, request: Request) -> Response:
        form = negotiation.form_of(request.headers.get("accept", ""))

        def render(obj: Obj) -> Obj:
            if form.is_table:
                meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
                body: Obj = self._table(target, request, [obj], meta).body
                return body
            return tables.metadata_only(obj) if form.is_metadata else self._shown(target, obj)

        answer = listing.watch_answer(self._store, target, request, render)
        return Response(200, watch=answer, headers={"content-type": TABLE_TYPE} if form.is_table else {})

    # --- writing ----------------------------------------------------------------------------------------------------

    def _written(self, target: Target, request: Request, written: Written) -> Response:
        answer = self._one(target, request, written.obj, 201 if written.created else 200)
        if not written.warnings:
            return answer
        warning = ", ".join(f'299 - "{_escaped(text)}"' for text in written.warnings)
        return Response(answer.status, answer.body, {**answer.headers, "warning": warning})

    def _create(self, target: Target, request: Request) -> Response:
        obj = _sent(target, request)
        written = self._writer.create(*self._as_stored(target, obj), Options.of(request))
        return self._written(target, request, written)

    def _as_stored(self, target: Target, obj: Obj) -> tuple[Target, Obj]:
        """Where and how an object is stored that came under its kind's other name."""
        if target.kind.group != events.GROUP:
            return target, obj
        return replace(target, kind=self._core_event), events.to_core(obj)

    def _replace(self, target: Target, request: Request) -> Response:
        obj = _sent(target, request)
        options = Options.of(request)
        if target.subresource == "scale":
            obj = scaling.changed(target.kind, self._shown_whole(target), obj)
        elif target.subresource == "finalize":
            return self._one(target, request, self._writer.finalize(target, obj))
        return self._written(target, request, self._writer.update(*self._as_stored(target, obj), options))

    def _shown_whole(self, target: Target) -> Obj:
        return self._shown(Target(target.kind, target.namespace, target.name), self.live(target))

    def _patched(self, target: Target, request: Request) -> Written:
        options = Options.of(request)
        if request.media_type == patches.APPLY:
            return self._apply(target, request, options)
        before = self._shown(target, self.live(target))
        patched = self._change(target, request, before)
        if target.subresource == "scale":
            patched = scaling.changed(target.kind, self._shown_whole(target), patched)
        return self._writer.update(*self._as_stored(target, patched), options)

    def _change(self, target: Target, request: Request, live: Obj) -> Obj:
        match request.media_type:
            case patches.MERGE:
                patched = patches.merge_patch(live, patches.read_map(request.body))
            case patches.JSON:
                patched = patches.json_patch(live, patches.read_operations(request.body))
            case patches.STRATEGIC if not target.kind.custom:
                patched = strategic.merged(target.kind.schema, live, bodies.read_json(request.body))
            case _:
                raise errors.unsupported_media_type(request.media_type, PATCH_TYPES)
        if not isinstance(patched, dict):
            raise errors.bad_request("the patch does not give an object")
        return patched

    def _apply(self, target: Target, request: Request, options: Options) -> Written:
        if not request.query.get("fieldManager"):
            wrong = errors.required("fieldManager", "is required for apply patch")
            raise errors.invalid_object("PatchOptions", "meta.k8s.io", "", [wrong])
        config = bodies.read_yaml(request.body)
        if not isinstance(config, dict):
            raise errors.bad_request("error decoding YAML: the patch is not an object")
        if target.subresource == "scale":
            config = _replicas_only(target, config)
        return self._writer.apply(*self._as_stored(target, config), options)

    # --- deleting ---------------------------------------------------------------------------------------------------

    def _delete(self, target: Target, request: Request) -> Response:
        kind = target.kind
        obj, gone = self._deleter.delete(target, DeleteOptions.of(request, _delete_body(request)))
        if not gone or kind.resource == "pods":
            return self._one(target, request, obj)
        details: dict[str, Any] = {"name": target.name, "group": kind.group, "kind": kind.plural}
        details = {key: value for key, value in details.items() if value} | {"uid": obj["metadata"]["uid"]}
        return Response(
            200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )

    def _delete_all(self, target: Target, request: Request) -> Response:
        options = DeleteOptions.of(request, _delete_body(request))
        answer = self._list(target, request)
        for obj in listing.matching(self._store, target, request):
            meta = obj["metadata"]
            self._deleter.delete(Target(target.kind, meta.get("namespace", ""), meta["name"]), options)
        return answer

    def _bind(self, target: Target, request: Request) -> Response:
        node = (bodies.read_object(request.media_type, request.body).get("target") or {}).get("name", "")
        plain = Target(target.kind, target.namespace, target.name)
        bound = patches.merge_patch(self._shown_whole(target), {"spec": {"nodeName": node}})
        self._writer.update(plain, bound, Options.of(request))
        return Response(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def _replicas_only(target: Target, config: Obj) -> Obj:
    """An applied Scale as an apply of the one field it stands for."""
    kind = target.kind
    if config.get("kind") != "Scale":
        raise errors.bad_request(f"expected an object of kind Scale, got {config.get('kind')}")
    meta = {"name": target.name, "namespace": target.namespace}
    return scaling.applied(kind, meta, (config.get("spec") or {}).get("replicas"))


def _sent(target: Target, request: Request) -> Obj:
    if request.media_type == bodies.PROTOBUF and not target.kind.custom and target.subresource in ("", "status"):
        return protobuf.read(target.kind, request.body)
    return bodies.read_object(request.media_type, request.body)


def _delete_body(request: Request) -> dict[str, Any]:
    return bodies.read_object(request.media_type, request.body) if request.body.strip() else {}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
