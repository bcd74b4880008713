"""The handlers that run the model: body in, call made by the protocol, model run, answer said by the protocol."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from headgate_server import about, bodies
from headgate_server.connections import BEGAN_KEY, CAME_KEY
from headgate_server.counts import Counts
from headgate_server.edge import ID_KEY
from headgate_server.hot import Predict
from headgate_server.loading import Loaded
from headgate_server.predictor import Predictor
from headgate_server.protocols.call import Call, Content, Facts, Reply
from headgate_server.protocols.failures import RequestFailed, too_many_rows
from headgate_server.protocols.table import PREDICTING, Endpoint
from headgate_server.shelf import Place, Shelf
from headgate_server.state import State
from headgate_server.validation import InvalidInput

# A large body takes up to a second to validate: probes and the other requests do not wait for that.
INLINE_BYTES: Final = 64 << 10


def handlers(state: State, counts: Counts, predictor: Predictor) -> dict[str, Predict]:
    """Every path of the table with what answers there."""
    shelf = Shelf(state.config.max_body_bytes)
    # One at a time: a body of short lists is 40 times as large once it is read, and nothing is read faster by two.
    reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reading")
    return {path: handler(e, state, counts, predictor, shelf, reading) for e in PREDICTING for path in e.paths}


def handler(
    endpoint: Endpoint, state: State, counts: Counts, predictor: Predictor, shelf: Shelf, reading: ThreadPoolExecutor
) -> Predict:
    config = state.config

    async def predict(scope: Scope, receive: Receive, params: Mapping[str, str]) -> Reply:
        with Place(shelf) as place:
            return await answered(scope, receive, params, place)

    async def answered(scope: Scope, receive: Receive, params: Mapping[str, str], place: Place) -> Reply:
        loaded = about.of_path(state, params)
        predictor.admit()
        content = await bodies.content(
            scope, receive, config, place, endpoint.media, type_required=endpoint.type_required
        )
        if len(content.raw) <= INLINE_BYTES:
            call = endpoint.read(content, loaded)
        else:
            call = await _in_thread(reading, endpoint, content, loaded)
        del content  # it may be long until the model has time
        if call.batch.rows > config.max_rows:
            raise too_many_rows(config.max_rows)
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


async def _in_thread(reading: ThreadPoolExecutor, endpoint: Endpoint, content: Content, loaded: Loaded) -> Call:
    read = await asyncio.get_running_loop().run_in_executor(reading, _read, endpoint, content, loaded)
    if isinstance(read, Call):
        return read
    try:
        raise read
    finally:
        del read  # it would hold its own trace, and with that the body, until the collector comes


def _read(endpoint: Endpoint, content: Content, loaded: Loaded) -> Call | RequestFailed | InvalidInput:
    """The call, or what is wrong with it: without the trace, which would hold what was read until the client has its
    answer, while the next body is read.

    Millions of lists hold no cycles, but the collector looks at all of them again and again as they are made: for
    seconds, in which nothing else runs, probes included.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return endpoint.read(content, loaded)
    except (RequestFailed, InvalidInput) as error:
        error.__context__ = None
        return error.with_traceback(None)
    finally:
        if collects:
            gc.enable()
