"""Bring the model up in the background and keep at it: transient failures are tried again, permanent ones stay.

The process stays alive either way, so that /readyz can tell the operator the reason; a crash loop tells nothing.
"""

import asyncio
import contextlib
import gc
import random
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from headgate_server import logs
from headgate_server.loaders import memory
from headgate_server.loading import Loaded, load
from headgate_server.reasons import LoadError, Reason
from headgate_server.registry.source import Located, Source
from headgate_server.state import State

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 15.0

# Within one the model is located and loaded, and it is over before another try is waited for.
Turn = Callable[[], contextlib.AbstractAsyncContextManager[None]]


async def bring_up(state: State, source: Source, executor: Executor, turn: Turn = contextlib.nullcontext) -> None:
    """Return when the model serves or can never serve."""
    wait = FIRST_WAIT
    while True:
        try:
            async with turn():
                await _attempt(state, source, executor)
            return
        except LoadError as error:
            state.failed(error)
            if error.permanent:
                logs.failure("the model cannot be served", reason=error.reason, detail=error.message, permanent=True)
                return
            pause = wait * random.uniform(0.8, 1.2)  # noqa: S311 - spreads pods, keeps no secret
            logs.warning("trying again", reason=error.reason, detail=error.message, seconds=round(pause, 1))
            await asyncio.sleep(pause)
            wait = min(wait * 2, LONGEST_WAIT)


async def _attempt(state: State, source: Source, executor: Executor) -> None:
    try:
        located = await source.locate()
        if state.config.model.startswith("models:"):
            state.registry_reached = {"registry": True, "fallback": False}.get(located.origin)
        loaded = await load_located(located, state, executor)
    except LoadError as error:
        if error.reason.startswith("Registry"):
            state.registry_reached = False
        raise
    except Exception as error:
        raise unexpected(error) from error
    state.serve(loaded)
    logs.event("ready", model=loaded.name, version=loaded.version, digest=loaded.located.digest, golden=loaded.golden)


async def load_located(located: Located, state: State, executor: Executor) -> Loaded:
    """Load and prove in the loading thread; whatever goes wrong is a LoadError."""
    loop = asyncio.get_running_loop()

    def warming() -> None:
        loop.call_soon_threadsafe(state.step, Reason.WARMING_UP, "the first prediction is under way")

    try:
        loaded = await loop.run_in_executor(executor, load, located, state.config, warming)
        settle(anew=state.loaded is not None)
        return loaded
    except LoadError:
        raise
    except Exception as error:
        raise unexpected(error) from error


def settle(*, anew: bool = False) -> None:
    """What has been made so far stays: no collection of garbage looks at it again. One that came during a call of the
    model took longer than the call may, and the model was sent to a thread for good."""
    if anew:
        gc.unfreeze()  # a model that was put away goes with this collection
    gc.collect()
    gc.freeze()


def unexpected(error: Exception) -> LoadError:
    """Whatever a library raises on a file it does not like: told, and never the end of the process."""
    logs.failure("loading failed", trace=True)
    if memory.lacked(error):
        return memory.lacking("the model")
    return LoadError(Reason.LOAD_FAILED, f"{type(error).__name__} while loading")
