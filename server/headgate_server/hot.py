"""Predictions straight from ASGI: a framework's routing, requests and responses cost more than a small model.

Only what the table of predicting paths names is answered here, and only POST; everything else, wrong methods included,
is FastAPI's. Both call the same handlers and shape failures alike.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headgate_server.counts import Counts
from headgate_server.protocols import failures
from headgate_server.protocols.call import Reply
from headgate_server.protocols.failures import RequestFailed
from headgate_server.protocols.table import pattern
from headgate_server.validation import InvalidInput

Predict = Callable[[Scope, Receive, Mapping[str, str]], Awaitable[Reply]]
"""A handler: what is asked, and what the path names."""
# Paths are few; names that clients make up shall not fill the memory.
MOST_KNOWN: Final = 64


@dataclass(frozen=True)
class Found:
    predict: Predict
    params: Mapping[str, str]


class HotPath:
    """The handlers by path, in front of the framework."""

    def __init__(self, app: ASGIApp, handlers: Mapping[str, Predict], counts: Counts) -> None:
        self._app = app
        self._patterns = [(pattern(path), handler) for path, handler in handlers.items()]
        self._counts = counts
        self._known: dict[str, Found] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = None
        if scope["type"] == "http" and scope["method"] == "POST":
            found = self._known.get(scope["path"]) or self._search(scope["path"])
        if found is None:
            await self._app(scope, receive, send)
        else:
            await self._answer(found, scope, receive, send)

    async def _answer(self, found: Found, scope: Scope, receive: Receive, send: Send) -> None:
        """The handler's answer, or its failure in the shape of the path; a mistake of ours goes on to the log."""
        try:
            reply = await found.predict(scope, receive, found.params)
        except Exception as error:
            await self._failure(scope, error)(scope, receive, send)
            if not isinstance(error, RequestFailed | InvalidInput):
                raise
        else:
            await send({"type": "http.response.start", "status": 200, "headers": _headers(reply)})
            await send({"type": "http.response.body", "body": reply.body})

    def _search(self, path: str) -> Found | None:
        for known, handler in self._patterns:
            if match := known.fullmatch(path):
                found = Found(handler, match.groupdict())
                if len(self._known) < MOST_KNOWN:
                    self._known[path] = found
                return found
        return None

    def _failure(self, scope: Scope, error: Exception) -> Response:
        if isinstance(error, RequestFailed):
            failed = error
        elif isinstance(error, InvalidInput):
            failed = failures.invalid(error)
        else:
            failed = RequestFailed(500, "internal", "internal error")
        self._counts.failed(failed.kind)
        return failures.answer(scope["path"], failed)


def _headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-length", b"%d" % len(reply.body)), (b"content-type", reply.media.encode())]
    for name, value in reply.headers.items():
        headers.append((name.encode(), value.encode()))
    return headers
