"""`headgate-server`: read the settings, take the ports, serve until told to end."""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from headgate_server import __version__, heap, logs, settings
from headgate_server.listening import bound


def main(arguments: Sequence[str] | None = None) -> int:
    # As the first process of a container it would not even be told of a SIGTERM that it has no handler for, and linger
    # for the whole grace period. Until there is something to drain, the answer is to go.
    signal.signal(signal.SIGTERM, _go)
    try:
        config = settings.load(sys.argv[1:] if arguments is None else arguments, os.environ)
    except settings.SettingsError as error:
        sys.stderr.write(f"headgate-server: {error}\n")
        return 2
    logs.configure()
    for name in settings.unknown(os.environ):
        logs.warning("there is no such setting", variable=name)
    heap.give_back()
    code = _serve(config)
    # A model call or a load that hangs in a thread must not keep a drained process alive.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _go(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


def _serve(config: settings.Settings) -> int:
    try:
        http, ops = bound(config.host, config.port), bound(config.host, config.ops_port)
    except OSError as error:
        logs.failure("the address cannot be used", detail=error.strerror, host=config.host, port=config.port)
        return 1
    ports = {"port": http.getsockname()[1], "ops_port": ops.getsockname()[1]}
    if config.workers > 1:
        logs.event(
            "starting", headgate=__version__, model=config.model, host=config.host, **ports, workers=config.workers
        )
        from headgate_server.parent import Parent

        return Parent(config, http, ops).run()
    # Imported late: `--help` and a bad setting answer at once. No garbage is looked for meanwhile: all of it stays.
    gc.disable()
    import uvloop

    from headgate_server.serving import Process

    gc.freeze()
    gc.enable()

    logs.event("starting", headgate=__version__, model=config.model, host=config.host, **ports)

    async def serve() -> None:
        await Process(config).run(http, ops)

    uvloop.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
