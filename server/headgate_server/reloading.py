"""Standalone: follow an alias or a stage, or load again when told to, without losing a request.

The new model is loaded beside the old one, warmed and proved like any other, and then put in its place in one step of
the event loop; requests that have begun keep the model that they began with. Whatever fails leaves the old one serving.
"""

import asyncio
import random
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from headgate_server import admin, logs
from headgate_server.bringing_up import load_located, unexpected
from headgate_server.loading import Loaded
from headgate_server.protocols.failures import JSON, RequestFailed
from headgate_server.reasons import LoadError
from headgate_server.registry.source import Located, Source
from headgate_server.state import State

ONE_OF_SEVERAL: Final = (
    "this server has several workers, and a reload would reach one of them: start the server anew, or with --workers=1"
)


@dataclass(frozen=True)
class Outcome:
    """What a reload came to; `before` is None where nothing was served."""

    before: Loaded | None
    now: Loaded

    @property
    def changed(self) -> bool:
        return self.before is not self.now


class Reloader:
    """Puts what the settings name now in the place of what is served."""

    def __init__(self, state: State, source: Source, executor: Executor) -> None:
        self._state = state
        self._source = source
        self._executor = executor
        self._turn = asyncio.Lock()

    async def reload(self) -> Outcome:
        """LoadError says why the old model stays."""
        async with self._turn:
            before = self._state.loaded
            try:
                located = await self._resolved(before)
                if before is not None and located == before.located:
                    return Outcome(before, before)
                now = await load_located(located, self._state, self._executor)
            except LoadError as error:
                logs.failure("not reloaded", reason=error.reason, detail=error.message, version=self._version(before))
                if self._state.loaded is None:
                    self._state.failed(error)
                raise
            self._state.serve(now)
            if located.origin == "registry":
                self._state.registry_reached = True
            self._source.keep_only(located)
            logs.event("reloaded", version=now.version, digest=located.digest, before=self._version(before))
            return Outcome(before, now)

    async def _resolved(self, before: Loaded | None) -> Located:
        """An error of the disk, or of a Secret that is being replaced, must not end what serves."""
        try:
            return await self._source.again(before.located if before else None)
        except LoadError:
            raise
        except Exception as error:
            raise unexpected(error) from error

    async def keep_on(self, interval: float) -> None:
        """Look every so often; a failure is told in the log and looked at again."""
        while True:
            await asyncio.sleep(interval * random.uniform(0.9, 1.1))  # noqa: S311 - spreads servers, keeps no secret
            try:
                await self.reload()
            except LoadError:
                continue

    @staticmethod
    def _version(model: Loaded | None) -> str | None:
        return model.version if model else None


def routes(reloader: Reloader, state: State) -> APIRouter:
    """`POST /model/reload`, with the admin key."""
    router = APIRouter()

    async def reload(request: Request) -> Response:
        admin.permit(request, state.config.admin_key)
        if state.config.workers > 1:
            raise RequestFailed(409, "reload_failed", ONE_OF_SEVERAL)
        try:
            outcome = await reloader.reload()
        except LoadError as error:
            # The old model still serves; what is wrong is with the new one, or between us and the registry.
            status = 409 if error.permanent else 503
            raise RequestFailed(status, "reload_failed", f"{error.reason}: {error.message}") from None
        body = {
            "reloaded": outcome.changed,
            "model": outcome.now.name,
            "version": outcome.now.version,
            "digest": outcome.now.located.digest,
            "previous_version": outcome.before.version if outcome.before else None,
        }
        return Response(orjson.dumps(body), media_type=JSON)

    for path in ("/model/reload", "/api/model/reload"):
        router.add_api_route(path, reload, methods=["POST"])
    return router
