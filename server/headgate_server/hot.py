"""Predictions straight from ASGI: a framework's routing, requests and responses cost more than a small model.

Only what the table of predicting paths names is answered here, and only POST; everything else, wrong methods included,
is FastAPI's. Both call the same handlers and shape failures alike.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from headgate_server.answering import Handler
from headgate_server.counts import Counts
from headgate_server.protocols import failures
from headgate_server.protocols.call import Reply
from headgate_server.protocols.failures import RequestFailed
from headgate_server.protocols.table import pattern
from headgate_server.validation import InvalidInput

# Paths are few; names that clients make up shall not fill the memory.
MOST_KNOWN: Final = 64


class Found(NamedTuple):
    handler: Handler
    params: Mapping[str, str]


class Paths:
    """Handlers by path; what a path names goes with it."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.handlers = handlers
        self._patterns = [(pattern(path), handler) for path, handler in handlers.items()]
        self.known: dict[str, Found] = {}

    def find(self, path: str) -> Found | None:
        return self.known.get(path) or self._search(path)

    def _search(self, path: str) -> Found | None:
        for known, handler in self._patterns:
            if match := known.fullmatch(path):
                found = Found(handler, match.groupdict())
                if len(self.known) < MOST_KNOWN:
                    self.known[path] = found
                return found
        return None


class HotPath:
    """The handlers by path, in front of the framework."""

    def __init__(self, app: ASGIApp, paths: Paths, counts: Counts) -> None:
        self._app = app
        self._paths = paths
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = None
        if scope["type"] == "http" and scope["method"] == "POST":
            found = self._paths.find(scope["path"])
        if found is None:
            await self._app(scope, receive, send)
        else:
            await self._answer(found, scope, receive, send)

    async def _answer(self, found: Found, scope: Scope, receive: Receive, send: Send) -> None:
        """The handler's answer, or its failure in the shape of the path; a mistake of ours goes on to the log."""
        try:
            reply = await found.handler(scope, receive, found.params)
        except Exception as error:
            await failures.answer(scope["path"], failure(error, self._counts))(scope, receive, send)
            if not isinstance(error, RequestFailed | InvalidInput):
                raise
        else:
            await send({"type": "http.response.start", "status": 200, "headers": _headers(reply)})
            await send({"type": "http.response.body", "body": reply.body})


def failure(error: Exception, counts: Counts | None) -> RequestFailed:
    """What the client is told of it, once it is counted, where anybody counts."""
    if isinstance(error, RequestFailed):
        failed = error
    elif isinstance(error, InvalidInput):
        failed = failures.invalid(error)
    else:
        failed = RequestFailed(500, "internal", "internal error")
    if counts is not None:
        counts.failed(failed.kind)
    return failed


def _headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-length", b"%d" % len(reply.body)), (b"content-type", reply.media.encode())]
    for name, value in reply.headers.items():
        headers.append((name.encode(), value.encode()))
    return headers
