"""Lists and watches of one kind."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from headgate_local.api import selectors, versions
from headgate_local.api.request import Request
from headgate_local.api.routing import Target
from headgate_local.api.watching import Filter, Render, Watch, event_of
from headgate_local.errors import ApiError, bad_request, expired
from headgate_local.store import Change, Obj, Store

CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without"
    " the continue parameter, or use the continue token in this response to retrieve the remainder of the results."
    " Continuing with the provided token results in an inconsistent list - objects that were created, modified, or"
    " deleted between the time the first chunk was returned and now may show up in the list."
)
# Sorts after the name itself and before every longer name.
END = "\0"


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

    @property
    def is_everything(self) -> bool:
        return not self.labels.tests and not self.fields.terms


def matching(store: Store, target: Target, request: Request) -> list[Obj]:
    query = Query.of(target, request)
    return [obj for obj in store.all(target.kind, target.namespace) if query.matches(obj)]


def page(store: Store, target: Target, request: Request) -> tuple[list[Obj], dict[str, Any]]:
    """The asked-for objects and the metadata of their list.

    All pages show the state that the first one showed: the token says which, and after what to go on.
    """
    query = Query.of(target, request)
    versions.check_list(request)
    limit = _limit(request)
    token = Continue.of(request)
    version = token.version if token else versions.exact(request, limit)
    versions.check_reached(store, request)
    found = _state(store, target, version, token)
    found = [obj for obj in found if query.matches(obj) and (token is None or _position(obj) > token.start)]
    shown = str(version if version > 0 else store.version)
    meta: dict[str, Any] = {"resourceVersion": shown}
    if limit and len(found) > limit:
        meta["continue"] = Continue(int(shown), _position(found[limit - 1])).text()
        if query.is_everything:
            # With a selector nobody has counted what is left.
            meta["remainingItemCount"] = len(found) - limit
        found = found[:limit]
    return found, meta


def _state(store: Store, target: Target, version: int, token: Continue | None) -> list[Obj]:
    if version <= 0:
        return store.all(target.kind, target.namespace)
    try:
        return store.at(target.kind, version, target.namespace)
    except ApiError as error:
        if token is None:
            raise expired("The resourceVersion for the provided list is too old.") from error
        raise expired(CONTINUE_EXPIRED, {"continue": Continue(-1, token.start).text()}) from error


@dataclass(frozen=True)
class Continue:
    """Where a list goes on. A version of -1 is "now": what has changed since the pages before is then mixed in."""

    version: int
    start: str

    @staticmethod
    def of(request: Request) -> Continue | None:
        given = request.query.get("continue", "")
        if not given:
            return None
        if request.query.get("resourceVersion", "0") != "0":
            raise bad_request("specifying resource version is not allowed when using continue")
        try:
            found = json.loads(base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True))
            version, start = int(found["rv"]), str(found["start"])
        except (ValueError, KeyError, TypeError) as error:
            raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error
        if not version or found.get("v") != "meta.k8s.io/v1":
            raise bad_request("invalid continue token: continue key is not valid: incorrect encoded start")
        return Continue(version, start.removesuffix(END))

    def text(self) -> str:
        token = {"v": "meta.k8s.io/v1", "rv": self.version, "start": self.start + END}
        return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


def _limit(request: Request) -> int:
    given = request.query.get("limit") or "0"
    try:
        return max(0, int(given))
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{given}": invalid syntax') from error


def _position(obj: Obj) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


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
    versions.check_watch(request)
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
