"""The prediction port's application without sockets: a loaded model directory, asked in process."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from headgate_server.answering import handlers
from headgate_server.app import prediction_app
from headgate_server.counts import Counts
from headgate_server.hot import Paths
from headgate_server.loading import Loaded, load
from headgate_server.predictor import Predictor
from headgate_server.registry.source import Located, Source
from headgate_server.reloading import Reloader
from headgate_server.state import State
from headgate_server.whole import Whole
from server_process import Reply
from server_settings import server_settings


def loaded(path: Path, *, name: str = "iris", version: str = "1", **settings: Any) -> Loaded:
    return load(Located(path, "", name, version, "path", ""), server_settings(model=path, **settings), lambda: None)


class AsgiClient:
    """Requests to one model; use it as a context manager, its threads end with it."""

    def __init__(self, path: Path, *, name: str = "iris", version: str = "1", **settings: Any) -> None:
        self.state = State(server_settings(model=path, **settings))
        self.state.loaded = loaded(path, name=name, version=version, **settings)
        self._predictor = Predictor(1, self.state.config)
        self._loading = ThreadPoolExecutor(max_workers=1)
        self._reloader = Reloader(self.state, Source(self.state.config), self._loading)
        self.counts = Counts()
        whole = Whole(self.state, self.counts, self._predictor, lambda: 0)
        self.paths = Paths(handlers(self.state, self.counts, self._predictor))
        self.app = prediction_app(self.state, self.counts, self.paths, self._reloader, whole)

    def __enter__(self) -> "AsgiClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._predictor.stop()
        self._loading.shutdown()

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Ask; a body that is not bytes goes as JSON."""
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json"} if body is not None and headers is None else dict(headers or {})
        target, _, query = path.partition("?")
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
        }
        await self.app(scope, receive, send)
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], names, b"".join(part.get("body", b"") for part in sent[1:]))
