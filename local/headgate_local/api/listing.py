"""Lists and watches of one kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headgate_local.api import selectors
from headgate_local.api.request import Request
from headgate_local.api.routing import Target
from headgate_local.api.watching import Filter, Render, Watch, event_of
from headgate_local.errors import ApiError, bad_request, invalid, invalid_object
from headgate_local.store import Change, Obj, Store


@dataclass(frozen=True)
class Query:
    """What a list or watch is narrowed to."""

    namespace: str
    labels: selectors.LabelSelector
    fields: selectors.FieldSelector

    @staticmethod
    def of(target: Target, request: Request) -> Query:
        labels = selectors.parse_labels(request.query.get("labelSelector", ""))
        fields = selectors.parse_fields(request.query.get("fieldSelector", ""), target.kind.selectable)
        if target.name:
            fields = selectors.FieldSelector((*fields.terms, (("metadata", "name"), target.name, True)))
        return Query(target.namespace, labels, fields)

    def matches(self, obj: Obj) -> bool:
        meta = obj["metadata"]
        if self.namespace and meta.get("namespace", "") != self.namespace:
            return False
        return self.labels.matches(meta.get("labels") or {}) and self.fields.matches(obj)


def matching(store: Store, target: Target, request: Request) -> list[Obj]:
    query = Query.of(target, request)
    return [obj for obj in store.all(target.kind, target.namespace) if query.matches(obj)]


def page(store: Store, target: Target, request: Request) -> tuple[list[Obj], dict[str, Any]]:
    """The asked-for objects and the metadata of their list."""
    _check_version_match(request)
    found = matching(store, target, request)
    meta: dict[str, Any] = {"resourceVersion": str(store.version)}
    found, follow = _page(found, request)
    if follow:
        meta["continue"] = follow[0]
        meta["remainingItemCount"] = follow[1]
    return found, meta


def _page(found: list[Obj], request: Request) -> tuple[list[Obj], tuple[str, int] | None]:
    """Pages by position. The token carries the last key, so objects that come and go never repeat or skip others."""
    token = request.query.get("continue", "")
    if token:
        found = [obj for obj in found if _position(obj) > token]
    limit = int(request.query.get("limit") or 0)
    if not limit or len(found) <= limit:
        return found, None
    return found[:limit], (_position(found[limit - 1]), len(found) - limit)


def _position(obj: Obj) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _check_version_match(request: Request) -> None:
    if request.query.get("resourceVersionMatch") and not request.query.get("resourceVersion"):
        wrong = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        error = invalid("resourceVersionMatch", request.query["resourceVersionMatch"], wrong)
        raise invalid_object("ListOptions", "meta.k8s.io", "", [error])


def watch_answer(store: Store, target: Target, request: Request, render: Render) -> Watch:
    kind = target.kind
    query = Query.of(target, request)
    if request.flag("sendInitialEvents"):
        message = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
        error = ApiError(
            422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: {message}'
        )
        error.details = {"group": "meta.k8s.io", "kind": "ListOptions"}
        raise error
    version = _start(request)
    watch = Watch(timeout=_timeout(request), bookmark=_bookmark(store, target, request))
    if version is None:
        for obj in store.all(kind, target.namespace):
            if query.matches(obj):
                watch.push({"type": "ADDED", "object": render(obj)})
    else:
        try:
            missed = store.since(version, kind.resource)
        except ApiError as error:
            # An expired position is told inside the stream, as the real server does once a watch has begun.
            watch.push({"type": "ERROR", "object": error.body()})
            watch.close()
            return watch
        for change in missed:
            _deliver(watch, change, query.matches, render)

    def listen(change: Change) -> None:
        if change.resource == kind.resource:
            _deliver(watch, change, query.matches, render)

    watch.when_closed(store.on_change(listen))
    return watch


def _deliver(watch: Watch, change: Change, matches: Filter, render: Render) -> None:
    event = event_of(change, matches, render)
    if event is not None:
        watch.push(event)


def _start(request: Request) -> int | None:
    given = request.query.get("resourceVersion", "")
    if given in ("", "0"):
        return None
    if not given.isdigit():
        raise bad_request(
            f'resourceVersion: Invalid value: "{given}": strconv.ParseUint: parsing "{given}": invalid syntax'
        )
    return int(given)


def _timeout(request: Request) -> float | None:
    given = request.query.get("timeoutSeconds", "")
    return float(given) if given.isdigit() and int(given) > 0 else None


def _bookmark(store: Store, target: Target, request: Request) -> Any:
    if not request.flag("allowWatchBookmarks"):
        return None

    def event() -> dict[str, Any]:
        meta = {"resourceVersion": str(store.version), "creationTimestamp": None}
        mark = {"kind": target.kind.kind, "apiVersion": target.kind.api_version, "metadata": meta}
        return {"type": "BOOKMARK", "object": mark}

    return event
