"""Connections of the prediction port: each ends after an age, so that clients follow a switch of traffic.

A Service's selector reaches only new connections: a pooled one stays on its first pod for ever. After its age an
answer carries `Connection: close`, which every HTTP/1.1 client obeys without losing a request.
"""

import asyncio
import math
import random
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

JITTER = 0.2  # so that connections made together do not end together
SCOPE_KEY = "headgate.connection_ends"


def protocol(max_age: float) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, with the end of its connection in every request's scope; 0 = never."""

    class AgingProtocol(HttpToolsProtocol):
        _ends = math.inf

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if max_age:
                spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, keeps no secret
                self._ends = self.loop.time() + max_age * spread

        def on_headers_complete(self) -> None:
            scope: dict[str, Any] = self.scope  # type: ignore[assignment]
            scope[SCOPE_KEY] = self._ends
            super().on_headers_complete()

    return AgingProtocol
