"""The HTTP applications: predictions and facts on one port, operations on both.

Handlers take the raw request: a framework that parses bodies would answer in its own shape, not the protocol's.
"""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from headgate_server import about, answering, operations, reloading
from headgate_server.counts import Counts
from headgate_server.edge import Edge
from headgate_server.hot import HotPath, Paths, failure
from headgate_server.protocols import failures
from headgate_server.protocols.failures import RequestFailed
from headgate_server.reloading import Reloader
from headgate_server.state import State
from headgate_server.validation import InvalidInput
from headgate_server.whole import Whole


def prediction_app(state: State, counts: Counts, paths: Paths, reloader: Reloader, whole: Whole) -> Edge:
    """Everything; for the prediction port."""
    app = _bare()
    app.include_router(operations.routes(whole))
    for path, handler in paths.handlers.items():
        app.add_api_route(path, answering.framed(handler), methods=["POST"])  # for the refusal of other methods
    app.include_router(about.routes(state, whole))
    app.include_router(reloading.routes(reloader, state))
    _shape_failures(app, counts)
    return Edge(HotPath(app, paths, counts), state, counts)


def operations_app(whole: Whole) -> FastAPI:
    """Operations only; for the port that the public Service does not carry."""
    app = _bare()
    app.include_router(operations.routes(whole))
    _shape_failures(app, None)
    return app


def _bare() -> FastAPI:
    return FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)


def _shape_failures(app: FastAPI, counts: Counts | None) -> None:
    """Every failure leaves in the shape of its path."""

    def tell(request: Request, error: Exception) -> Response:
        return failures.answer(request.url.path, failure(error, counts))

    async def failed(request: Request, error: Exception) -> Response:
        return tell(request, error)

    async def framework(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        if status == 405:
            return tell(request, RequestFailed(405, "method", "the method is not allowed here", headers=headers))
        return tell(request, RequestFailed(404, "not_found", "there is nothing at this path"))

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        RequestFailed: failed,
        InvalidInput: failed,
        HTTPException: framework,
        Exception: failed,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
