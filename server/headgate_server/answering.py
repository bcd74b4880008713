"""The handlers that run the model: body in, call made by the protocol, model run, answer said by the protocol."""

import asyncio
import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from headgate_server import about, bodies
from headgate_server.counts import Counts
from headgate_server.edge import BEGAN_KEY, ID_KEY
from headgate_server.hot import Handler
from headgate_server.predictor import Predictor
from headgate_server.protocols.call import Facts
from headgate_server.protocols.failures import RequestFailed
from headgate_server.protocols.table import PREDICTING, Endpoint
from headgate_server.state import State

# A large body takes up to a second to validate: probes and the other requests do not wait for that.
INLINE_BYTES: Final = 64 << 10


def handlers(state: State, counts: Counts, predictor: Predictor) -> dict[str, Handler]:
    """Every path of the table with what answers there."""
    return {path: handler(e, state, counts, predictor) for e in PREDICTING for path in e.paths}


def handler(endpoint: Endpoint, state: State, counts: Counts, predictor: Predictor) -> Handler:
    async def handle(request: Request) -> Response:
        loaded = about.named(state, request)
        predictor.admit()
        content = await bodies.content(request, state.config, endpoint.media, type_required=endpoint.type_required)
        if len(content.raw) <= INLINE_BYTES:
            call = endpoint.read(content, loaded)
        else:
            call = await asyncio.to_thread(endpoint.read, content, loaded)
        if call.batch.rows > state.config.max_rows:
            raise RequestFailed(413, "too_large", f"more than {state.config.max_rows} rows")
        outputs = await predictor.run(loaded.model, call.batch, call.wanted, loaded.pace)
        counts.predictions.predicted(outputs, loaded.model, loaded.class_names)
        elapsed = (time.perf_counter() - request.scope[BEGAN_KEY]) * 1000
        reply = call.answer(outputs, Facts(request.scope[ID_KEY], round(elapsed, 3)))
        return Response(reply.body, headers=dict(reply.headers), media_type=reply.media)

    return handle
