"""The handlers that run the model: body in, call made by the protocol, model run, answer said by the protocol."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from headgate_server import about, bodies, containers
from headgate_server.counts import Counts
from headgate_server.edge import BEGAN_KEY, ID_KEY
from headgate_server.loaders.runtime import Output
from headgate_server.loading import Loaded
from headgate_server.predictor import Predictor, Waiter
from headgate_server.protocols.call import Call, Content, Facts, Reply
from headgate_server.protocols.failures import RequestFailed, too_many_rows
from headgate_server.protocols.table import PREDICTING, Endpoint
from headgate_server.shelf import Place, Shelf
from headgate_server.state import State
from headgate_server.validation import InvalidInput

# A large body takes up to a second to validate: probes and the other requests do not wait for that.
INLINE_BYTES: Final = 64 << 10


class Handler:
    """What answers at the paths of one endpoint: called for any request, or asked step by step for a simple one."""

    def __init__(
        self,
        endpoint: Endpoint,
        state: State,
        counts: Counts,
        predictor: Predictor,
        shelf: Shelf,
        reading: ThreadPoolExecutor,
    ) -> None:
        self.group = endpoint.group
        self.shelf = shelf
        self._endpoint, self._state, self._counts, self._predictor = endpoint, state, counts, predictor
        self._config = state.config
        self._reading = reading

    async def __call__(self, scope: Scope, receive: Receive, params: Mapping[str, str]) -> Reply:
        with Place(self.shelf) as place:
            return await self._answered(scope, receive, params, place)

    async def _answered(self, scope: Scope, receive: Receive, params: Mapping[str, str], place: Place) -> Reply:
        loaded = self.loaded(params)
        self._predictor.admit()
        endpoint = self._endpoint
        content = await bodies.content(
            scope, receive, self._config, place, endpoint.media, type_required=endpoint.type_required
        )
        if len(content.raw) <= INLINE_BYTES:
            call = endpoint.read(content, loaded)
        else:
            call = await _in_thread(self._reading, endpoint, content, loaded)
        del content  # it may be long until the model has time
        self._bounded(call)
        outputs = await self._predictor.run(loaded.model, call.batch, call.wanted, loaded.pace)
        return self.answer(call, loaded, outputs, scope[ID_KEY], scope[BEGAN_KEY])

    # -- step by step -----------------------------------------------------------------------------------------

    def loaded(self, params: Mapping[str, str]) -> Loaded:
        """The model that is asked, or RequestFailed with 503 or 404."""
        return about.of_path(self._state, params)

    def call(self, headers: Mapping[bytes, bytes], raw: bytes, loaded: Loaded, place: Place) -> Call:
        """What a short body asks for that is all there, not packed, and no longer than the limit."""
        self._predictor.admit()
        place.take(len(raw))
        endpoint = self._endpoint
        content = bodies.whole(headers, raw, self._config, endpoint.media, type_required=endpoint.type_required)
        call = endpoint.read(content, loaded)
        self._bounded(call)
        return call

    def ask(self, call: Call, loaded: Loaded, done: Waiter) -> None:
        """`done` is told the result, or that it took too long; perhaps before this returns."""
        self._predictor.begin(loaded.model, call.batch, call.wanted, loaded.pace, done)

    def answer(self, call: Call, loaded: Loaded, outputs: Sequence[Output], request_id: str, began: float) -> Reply:
        self._counts.predictions.predicted(outputs, loaded.model, loaded.class_names)
        return call.answer(outputs, Facts(request_id, began))

    def late(self) -> RequestFailed:
        return self._predictor.late()

    def _bounded(self, call: Call) -> None:
        if call.batch.rows > self._config.max_rows:
            raise too_many_rows(self._config.max_rows)


def handlers(state: State, counts: Counts, predictor: Predictor) -> dict[str, Handler]:
    """Every path of the table with what answers there."""
    shelf = Shelf(state.config.max_body_bytes)
    # One at a time: a body of short lists is 40 times as large once it is read, and nothing is read faster by two.
    reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reading")
    return {path: Handler(e, state, counts, predictor, shelf, reading) for e in PREDICTING for path in e.paths}


def framed(predict: Handler) -> Callable[[Request], Awaitable[Response]]:
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
        containers.check(content, loaded.model.inputs)
        return endpoint.read(content, loaded)
    except (RequestFailed, InvalidInput) as error:
        error.__context__ = None
        return error.with_traceback(None)
    finally:
        if collects:
            gc.enable()
