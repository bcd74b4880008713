"""The HTTP applications: predictions and facts on one port, operations on both.

Handlers take the raw request: a framework that parses bodies would answer in its own shape, not the protocol's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from headgate_server import about, operations
from headgate_server.bodies import SIZE_KEY, json_body
from headgate_server.counts import Counts
from headgate_server.edge import BEGAN_KEY, ID_KEY, Edge
from headgate_server.loaders.runtime import Output
from headgate_server.loading import Loaded
from headgate_server.predictor import Predictor
from headgate_server.protocols import failures, invocations, simple, v2
from headgate_server.protocols.failures import RequestFailed
from headgate_server.protocols.jsonable import dumps
from headgate_server.state import State
from headgate_server.validation import Batch, InvalidInput, Validator

INLINE_BYTES = 64 << 10


class Predictions:
    """The handlers that run the model."""

    def __init__(self, state: State, counts: Counts, predictor: Predictor) -> None:
        self._state = state
        self._counts = counts
        self._predictor = predictor

    async def predict(self, request: Request) -> Response:
        loaded, body = await self._begin(request)
        batch = await _validated(request, simple.batch, body, loaded)
        outputs = await self._run(loaded, batch, simple.wanted(loaded.model))
        answer = simple.answer(outputs, loaded.model, loaded.class_names)
        answer |= {
            "model": loaded.name,
            "version": loaded.version,
            "request_id": request.scope[ID_KEY],
            "latency_ms": round((time.perf_counter() - request.scope[BEGAN_KEY]) * 1000, 3),
        }
        return _json(answer)

    async def invocations(self, request: Request) -> Response:
        loaded, body = await self._begin(request, type_required=True)
        batch = await _validated(request, invocations.batch, body, loaded)
        outputs = await self._run(loaded, batch, loaded.model.default_outputs)
        onnx = loaded.described.flavor == "onnx"
        return _json({"predictions": invocations.predictions(outputs, loaded.model.inputs, frame=onnx)})

    async def infer(self, request: Request) -> Response:
        loaded = about.named(self._state, request)
        body = await json_body(request, self._state.config)
        batch = await _validated(request, v2.batch, body, loaded)
        outputs = await self._run(loaded, batch, v2.wanted(body, loaded.model))
        return _json(v2.answer(body, outputs, loaded.name, loaded.version))

    async def _begin(self, request: Request, *, type_required: bool = False) -> tuple[Loaded, Any]:
        loaded = about.loaded(self._state)
        body = await json_body(request, self._state.config, type_required=type_required)
        return loaded, body

    async def _run(self, loaded: Loaded, batch: Batch, wanted: Sequence[str]) -> list[Output]:
        outputs = await self._predictor.run(loaded.model, batch, wanted)
        self._counts.predictions.predicted(outputs, loaded.model, loaded.class_names)
        return outputs


async def _validated(request: Request, batch: Callable[[Any, Validator], Batch], body: Any, loaded: Loaded) -> Batch:
    """A large body takes up to a second to validate: probes and the other requests do not wait for that."""
    if request.scope[SIZE_KEY] <= INLINE_BYTES:
        return batch(body, loaded.validator)
    return await asyncio.to_thread(batch, body, loaded.validator)


def prediction_app(state: State, counts: Counts, predictor: Predictor, open_connections: Callable[[], int]) -> Edge:
    """Everything; for the prediction port."""
    app = _bare()
    app.include_router(operations.routes(state, counts, predictor, open_connections))
    handlers = Predictions(state, counts, predictor)
    app.add_api_route("/predict", handlers.predict, methods=["POST"])
    app.add_api_route("/invocations", handlers.invocations, methods=["POST"])
    for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        app.add_api_route(prefix + "/infer", handlers.infer, methods=["POST"])
    app.include_router(about.routes(state))
    _shape_failures(app, counts)
    return Edge(app, state, counts)


def operations_app(state: State, counts: Counts, predictor: Predictor, open_connections: Callable[[], int]) -> FastAPI:
    """Operations only; for the port that the public Service does not carry."""
    app = _bare()
    app.include_router(operations.routes(state, counts, predictor, open_connections))
    _shape_failures(app, None)
    return app


def _bare() -> FastAPI:
    return FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)


def _shape_failures(app: FastAPI, counts: Counts | None) -> None:
    """Every failure leaves in the shape of its path."""

    def tell(request: Request, failed: RequestFailed) -> Response:
        if counts is not None:
            counts.failed(failed.kind)
        return failures.answer(request.url.path, failed)

    async def failed(request: Request, error: Exception) -> Response:
        return tell(
            request, error if isinstance(error, RequestFailed) else RequestFailed(500, "internal", "internal error")
        )

    async def invalid(request: Request, error: Exception) -> Response:
        details = error.details if isinstance(error, InvalidInput) else ()
        return tell(request, RequestFailed(400, "invalid_input", str(error), details=details))

    async def framework(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        if status == 405:
            return tell(request, RequestFailed(405, "method", "the method is not allowed here", headers=headers))
        return tell(request, RequestFailed(404, "not_found", "there is nothing at this path"))

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        RequestFailed: failed,
        InvalidInput: invalid,
        HTTPException: framework,
        Exception: failed,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _json(body: Any) -> Response:
    return Response(dumps(body), media_type=failures.JSON)
