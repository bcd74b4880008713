"""What holds for every request of the prediction port, outside of all routes.

A request id, the model's version on every answer, the end of old or draining connections, counts and times. Pure
ASGI: nothing here reads a body, and no framework's own error page gets out.
"""

import asyncio
import math
import random
import re
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgate_server import logs
from headgate_server.connections import SCOPE_KEY
from headgate_server.contract import OPERATIONS_PATHS, REQUEST_ID_HEADER, VERSION_HEADER
from headgate_server.counts import Counts
from headgate_server.protocols.failures import RequestFailed, answer
from headgate_server.protocols.table import group_of
from headgate_server.state import State

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/=+-]{1,128}")
ID_KEY: Final = "headgate.request_id"
BEGAN_KEY: Final = "headgate.began"
ID_HEADER: Final = REQUEST_ID_HEADER.encode()
MODEL_VERSION_HEADER: Final = VERSION_HEADER.encode()
CONNECTION_CLOSE: Final = (b"connection", b"close")
CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")


class Edge:
    """The outermost layer of the prediction port."""

    def __init__(self, app: ASGIApp, state: State, counts: Counts) -> None:
        self._app = app
        self._state = state
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        scope[ID_KEY] = request_id(next((value for name, value in scope["headers"] if name == ID_HEADER), None))
        scope[BEGAN_KEY] = began
        # A model that takes this one's place meanwhile did not make this answer.
        version = self._state.model_version
        operations = scope["path"] in OPERATIONS_PATHS
        group = group_of(scope["path"])
        status = 0

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers(scope, version)]
            await send(message)

        if not operations:
            self._state.began(group)
        try:
            await self._app(scope, receive, with_headers)
        except Exception as error:  # noqa: BLE001
            # A mistake of ours. The framework has answered in the path's shape before it raised; the log gets the
            # place and not the message, which may repeat the data.
            logs.failure("a request failed unexpectedly", error=type(error).__name__, where=logs.place(error))
            if not status:
                failed = RequestFailed(500, "internal", "internal error")
                await answer(scope["path"], failed)(scope, receive, with_headers)
        finally:
            if not operations:
                self._state.ended(group)
                self._counts.answered(group, status or 499, time.perf_counter() - began)

    def _headers(self, scope: Scope, version: str) -> list[tuple[bytes, bytes]]:
        headers = [(ID_HEADER, scope[ID_KEY].encode())]
        if version:
            headers.append((MODEL_VERSION_HEADER, version_value(version)))
        # Also while the model is being loaded: whoever keeps a connection would stay with 503 where others can answer.
        if self._state.not_ready is not None or asyncio.get_running_loop().time() >= scope.get(SCOPE_KEY, math.inf):
            headers.append(CONNECTION_CLOSE)
        return headers


def version_value(version: str) -> bytes:
    """As it may stand in a header: a version that holds a line end shall not begin another one."""
    return CONTROL.sub(b"?", version.encode("latin-1", "replace"))


def request_id(given: bytes | None) -> str:
    """The caller's, where that can be repeated as it is, or a new one."""
    if given is not None and REQUEST_ID.fullmatch(given):
        return str(given.decode("ascii"))
    # As unique as a random UUID (the generator is seeded by the system, anew after a fork), for a fifth of its time.
    return random.getrandbits(128).to_bytes(16, "big").hex()
