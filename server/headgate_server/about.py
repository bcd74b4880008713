"""What is served, in each protocol's words: metadata, health, /model/info. Nothing here runs the model."""

import datetime as dt
import ipaddress
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from headgate_server import __version__, admin, json_schema, logs, openapi, page
from headgate_server.loading import Loaded
from headgate_server.protocols import v2
from headgate_server.protocols.failures import JSON, RequestFailed, not_found
from headgate_server.protocols.table import V2_MODEL
from headgate_server.settings import Settings
from headgate_server.state import NotReady, State
from headgate_server.whole import Whole

SECRET: Final = re.compile(r"key|password|token|secret|credentials")


def loaded(state: State) -> Loaded:
    """The model, or 503 with the reason."""
    if state.loaded is None:
        waiting = state.waiting
        raise RequestFailed(503, "not_loaded", f"{waiting.reason}: {waiting.message}", headers={"retry-after": "1"})
    return state.loaded


def named(state: State, request: Request) -> Loaded:
    return of_path(state, request.path_params)


def of_path(state: State, params: Mapping[str, str]) -> Loaded:
    """The model that the path names, where it names one and perhaps its version; or 404."""
    model = loaded(state)
    if params.get("model", model.name) != model.name:
        raise not_found(f"the model here is {model.name}")
    if params.get("version", model.version) != model.version:
        raise not_found(f"the version here is {model.version}")
    return model


def routes(state: State, whole: Whole) -> APIRouter:
    router = APIRouter()

    def get(handler: Callable[..., Awaitable[Response]], *paths: str) -> None:
        for path in paths:
            router.add_api_route(path, handler, methods=["GET"])

    def ready() -> None:
        if (waiting := whole.not_ready) is not None:
            raise RequestFailed(503, "not_loaded", f"{waiting.reason}: {waiting.message}")

    async def root() -> Response:
        return _json({"status": "alive", "endpoints": sorted(openapi.document(state.loaded)["paths"])})

    async def v2_server() -> Response:
        return _json({"name": "headgate", "version": __version__, "extensions": list(v2.EXTENSIONS)})

    async def v2_live() -> Response:
        return _json({"live": True})

    async def v2_ready() -> Response:
        ready()
        return _json({"ready": True, "live": True})

    async def models() -> Response:
        return _json({"models": [loaded(state).name]})

    async def v2_model(request: Request) -> Response:
        model = named(state, request)
        return _json(v2.metadata(model.model, model.name, model.version))

    async def model_ready(request: Request) -> Response:
        model = named(state, request)
        ready()
        return _json({"name": model.name, "ready": True})

    async def ping() -> Response:
        ready()
        return Response(b"\n", media_type=JSON)

    async def version() -> Response:
        return PlainTextResponse(__version__)

    async def info() -> Response:
        return _json(_info(loaded(state)))

    async def schema() -> Response:
        return _json(_schema(loaded(state)))

    async def metadata() -> Response:
        return _json(_metadata(state))

    async def health() -> Response:
        waiting = whole.not_ready
        return _json(_health(state, waiting), 200 if waiting is None else 503)

    async def drift() -> Response:
        return _json({"status": "no_reference"})

    async def log(request: Request) -> Response:
        if not _on_loopback(request):
            admin.permit(request, state.config.admin_key)
        given = request.query_params.get("limit", "100")
        if not re.fullmatch(r"[0-9]{1,6}", given, re.ASCII):
            raise RequestFailed(400, "bad_request", "limit: expected a whole number")
        return _json({"logs": logs.RING.newest(int(given))})

    async def document() -> Response:
        return _json(openapi.document(state.loaded))

    async def docs() -> Response:
        return HTMLResponse(page.html(openapi.document(state.loaded)))

    get(root, "/")
    get(v2_server, "/v2", "/v2/")
    get(v2_live, "/v2/health/live")
    get(v2_ready, "/v2/health/ready")
    get(models, "/v2/models", "/v1/models")
    for prefix in V2_MODEL:
        get(v2_model, prefix)
        get(model_ready, prefix + "/ready")
    get(model_ready, "/v1/models/{model}")
    get(ping, "/ping")
    get(version, "/version")
    get(info, "/model/info", "/info", "/model-info", "/api/model/info")
    get(schema, "/model/schema")
    get(metadata, "/metadata")
    get(health, "/health", "/healthz")
    get(drift, "/drift-status")
    get(log, "/logs")
    get(document, "/openapi.json")
    get(docs, "/docs")
    return router


def _on_loopback(request: Request) -> bool:
    """Whether the caller sits in this pod or on this machine itself, and is no proxy that speaks for another."""
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _schema(model: Loaded) -> dict[str, Any]:
    told = v2.metadata(model.model, model.name, model.version)
    return {
        "name": model.name,
        "version": model.version,
        "inputs": told["inputs"],
        "outputs": told["outputs"],
        "params": [{"name": p.name, "type": p.type} for p in model.described.signature.params],
        "record": json_schema.record(model.model.inputs, model.validator.rules),
    }


def _metadata(state: State) -> dict[str, Any]:
    began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=time.monotonic() - state.started)
    return {
        "model": _info(state.loaded) if state.loaded else {"name": state.model_name, "version": state.model_version},
        "deployment": {
            "git_commit": state.config.git_commit or None,
            "api_version": __version__,
            "timestamp": began.isoformat(timespec="seconds"),
        },
        "config": public(state.config),
    }


def public(config: Settings) -> dict[str, Any]:
    """The settings without what opens doors: keys by whether they are set, addresses without a user."""
    made: dict[str, Any] = {}
    for name, value in vars(config).items():
        if SECRET.search(name):
            made[name] = "set" if value else ""
        elif isinstance(value, str) and "@" in value and "://" in value:
            scheme, _, rest = value.partition("://")
            made[name] = f"{scheme}://{rest.rpartition('@')[2]}"
        else:
            made[name] = value if isinstance(value, bool | int | float | str) or value is None else str(value)
    return made


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


def _health(state: State, waiting: NotReady | None) -> dict[str, Any]:
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
