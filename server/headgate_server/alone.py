"""The place of a process in its server. This one is the whole server; `worker` is one of several."""

import contextlib
from collections.abc import Callable, MutableSequence
from concurrent.futures import Executor

from headgate_server.accepting import Fair
from headgate_server.counts import Counts
from headgate_server.predictor import Predictor
from headgate_server.registry.source import Source
from headgate_server.settings import Settings
from headgate_server.state import State
from headgate_server.whole import Whole


class Alone:
    """Nobody to tell, nobody to wait for."""

    # Called with the number of open connections at each change.
    connected: Callable[[int], None] | None = None
    # Whether one more connection is this process's to take, where others could.
    fair: Fair | None = None
    batches: MutableSequence[int] | None = None

    def state(self, config: Settings) -> State:
        return State(config)

    def counts(self) -> Counts:
        return Counts()

    def whole(self, state: State, counts: Counts, predictor: Predictor, open_connections: Callable[[], int]) -> Whole:
        return Whole(state, counts, predictor, open_connections)

    def turn(self, _state: State, _source: Source, _executor: Executor) -> contextlib.AbstractAsyncContextManager[None]:
        """Within it the model is located and loaded."""
        return contextlib.nullcontext()

    def may_accept(self, _state: State) -> bool:
        """Whether requests for predictions are answered from here by now, with 503 at least."""
        return True

    async def beat(self, predictor: Predictor) -> None:
        """Tell again and again what is not told at each change."""
