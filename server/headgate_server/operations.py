"""Probes and numbers: /livez, /readyz, /metrics, /counters; the same on both ports.

They touch no model and no lock: liveness must stay quick while the model is busy.
"""

from typing import Any

import orjson
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from headgate_server.contract import COUNTERS_PATH, LIVE_PATH, METRICS_PATH, READY_PATH
from headgate_server.metrics import Metrics
from headgate_server.whole import Whole


def routes(whole: Whole) -> APIRouter:
    router = APIRouter()
    metrics = Metrics(whole)
    methods = ["GET", "HEAD"]

    async def livez() -> Response:
        if whole.hung:
            return PlainTextResponse("a prediction hangs\n", 503)
        return PlainTextResponse("ok\n")

    async def readyz() -> Response:
        waiting = whole.not_ready
        if waiting is not None:
            body = {"ready": False, "reason": waiting.reason, "permanent": waiting.reason.permanent}
            return _json({**body, "message": waiting.message}, 503)
        loaded = whole.state.loaded
        if loaded is None:
            raise RuntimeError("ready without a model")
        return _json(
            {
                "ready": True,
                "model": loaded.name,
                "version": loaded.version,
                "revision": whole.state.config.revision,
                "digest": loaded.located.digest,
                "golden": loaded.golden,
            }
        )

    async def metrics_text() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def counters() -> Response:
        return _json(_counters(whole))

    router.add_api_route(LIVE_PATH, livez, methods=methods)
    for path in (READY_PATH, "/ready"):
        router.add_api_route(path, readyz, methods=methods)
    for path in (METRICS_PATH, "/metrics-prometheus"):
        router.add_api_route(path, metrics_text, methods=methods)
    router.add_api_route(COUNTERS_PATH, counters, methods=methods)
    return router


def _counters(whole: Whole) -> dict[str, Any]:
    state = whole.state
    return {
        "start_id": state.start_id,
        "uptime_seconds": round(whole.uptime, 3),
        "model": state.model_name,
        "version": state.model_version,
        "revision": state.config.revision,
        "ready": whole.not_ready is None,
        "draining": whole.draining,
        "in_flight": whole.in_flight,
        "open_connections": whole.open_connections,
        "last_request_age_seconds": whole.last_request_age,
        **whole.counts().as_json(),
    }


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
