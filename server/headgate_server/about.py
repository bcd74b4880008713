"""What is served, in each protocol's words: metadata, health, /model/info. Nothing here runs the model."""

import datetime as dt
import time
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from headgate_server import __version__
from headgate_server.loading import Loaded
from headgate_server.protocols import v2
from headgate_server.protocols.failures import JSON, RequestFailed, not_found
from headgate_server.state import State


def loaded(state: State) -> Loaded:
    """The model, or 503 with the reason."""
    if state.loaded is None:
        waiting = state.waiting
        raise RequestFailed(503, "not_loaded", f"{waiting.reason}: {waiting.message}", headers={"retry-after": "1"})
    return state.loaded


def named(state: State, request: Request) -> Loaded:
    """The model that the path names, where it names one and perhaps its version; or 404."""
    model = loaded(state)
    if request.path_params.get("model", model.name) != model.name:
        raise not_found(f"the model here is {model.name}")
    if request.path_params.get("version", model.version) != model.version:
        raise not_found(f"the version here is {model.version}")
    return model


def routes(state: State) -> APIRouter:
    router = APIRouter()

    async def v2_server() -> Response:
        return _json({"name": "headgate", "version": __version__, "extensions": list(v2.EXTENSIONS)})

    async def v2_live() -> Response:
        return _json({"live": True})

    async def v2_ready() -> Response:
        if (waiting := state.not_ready) is not None:
            raise RequestFailed(503, "not_loaded", f"{waiting.reason}: {waiting.message}")
        return _json({"ready": True, "live": True})

    async def v2_model(request: Request) -> Response:
        model = named(state, request)
        return _json(v2.metadata(model.model, model.name, model.version))

    async def v2_model_ready(request: Request) -> Response:
        model = named(state, request)
        if (waiting := state.not_ready) is not None:
            raise RequestFailed(503, "not_loaded", f"{waiting.reason}: {waiting.message}")
        return _json({"name": model.name, "ready": True})

    async def ping() -> Response:
        if (waiting := state.not_ready) is not None:
            raise RequestFailed(503, "not_loaded", f"{waiting.reason}: {waiting.message}")
        return Response(b"\n", media_type=JSON)

    async def version() -> Response:
        return PlainTextResponse(__version__)

    async def info() -> Response:
        return _json(_info(loaded(state)))

    async def health() -> Response:
        return _json(_health(state), 200 if state.not_ready is None else 503)

    for path in ("/v2", "/v2/"):
        router.add_api_route(path, v2_server, methods=["GET"])
    router.add_api_route("/v2/health/live", v2_live, methods=["GET"])
    router.add_api_route("/v2/health/ready", v2_ready, methods=["GET"])
    for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        router.add_api_route(prefix, v2_model, methods=["GET"])
        router.add_api_route(prefix + "/ready", v2_model_ready, methods=["GET"])
    router.add_api_route("/ping", ping, methods=["GET"])
    router.add_api_route("/version", version, methods=["GET"])
    router.add_api_route("/model/info", info, methods=["GET"])
    router.add_api_route("/health", health, methods=["GET"])
    return router


def _info(model: Loaded) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": model.version,
        "digest": model.located.digest,
        "source": model.located.source,
        "origin": model.located.origin,
        "run_id": model.described.run_id,
        "flavor": model.described.flavor,
        "runtime": model.model.runtime,
        "loaded_at": dt.datetime.fromtimestamp(model.loaded_at, dt.UTC).isoformat(),
        "load_seconds": model.load_seconds,
        "golden": model.golden,
    }


def _health(state: State) -> dict[str, Any]:
    waiting = state.not_ready
    body: dict[str, Any] = {
        "status": "healthy" if waiting is None else "unhealthy",
        "model_loaded": state.loaded is not None,
        "model_name": state.model_name,
        "model_version": state.model_version,
        "model_source": state.loaded.located.source if state.loaded else None,
        "uptime_seconds": round(time.monotonic() - state.started, 3),
        # Whether the registry answered when the model was loaded; null where it was not needed.
        "registry_access": state.registry_reached,
    }
    if waiting is not None:
        body["reason"] = waiting.reason
    if state.loaded and state.loaded.class_names:
        body["target_classes"] = list(state.loaded.class_names)
    return body


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type=JSON)
