"""The handlers that run the model: body in, call made by the protocol, model run, answer said by the protocol."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from headgate_server import about, bodies
from headgate_server.connections import BEGAN_KEY, CAME_KEY
from headgate_server.counts import Counts
from headgate_server.edge import ID_KEY
from headgate_server.hot import Predict
from headgate_server.predictor import Predictor
from headgate_server.protocols.call import Facts, Reply
from headgate_server.protocols.failures import RequestFailed
from headgate_server.protocols.table import PREDICTING, Endpoint
from headgate_server.state import State

# A large body takes up to a second to validate: probes and the other requests do not wait for that.
INLINE_BYTES: Final = 64 << 10


def handlers(state: State, counts: Counts, predictor: Predictor) -> dict[str, Predict]:
    """Every path of the table with what answers there."""
    return {path: handler(e, state, counts, predictor) for e in PREDICTING for path in e.paths}


def handler(endpoint: Endpoint, state: State, counts: Counts, predictor: Predictor) -> Predict:
    config = state.config

    async def predict(scope: Scope, receive: Receive, params: Mapping[str, str]) -> Reply:
        loaded = about.of_path(state, params)
        predictor.admit()
        content = await bodies.content(scope, receive, config, endpoint.media, type_required=endpoint.type_required)
        if len(content.raw) <= INLINE_BYTES:
            call = endpoint.read(content, loaded)
        else:
            call = await asyncio.to_thread(endpoint.read, content, loaded)
        if call.batch.rows > config.max_rows:
            raise RequestFailed(413, "too_large", f"more than {config.max_rows} rows")
        came = scope.get(CAME_KEY)
        last = came is not None and not came.behind
        outputs = await predictor.run(loaded.model, call.batch, call.wanted, loaded.pace, last=last)
        counts.predictions.predicted(outputs, loaded.model, loaded.class_names)
        elapsed = (time.perf_counter() - scope[BEGAN_KEY]) * 1000
        return call.answer(outputs, Facts(scope[ID_KEY], round(elapsed, 3)))

    return predict


def framed(predict: Predict) -> Callable[[Request], Awaitable[Response]]:
    """The same for a framework."""

    async def handle(request: Request) -> Response:
        reply = await predict(request.scope, request.receive, request.path_params)
        return Response(reply.body, headers=dict(reply.headers), media_type=reply.media)

    return handle
