"""`python -m headgate_operator`: parse, set up logs, run; says which extra is missing instead of showing a trace."""

import asyncio
import os
import signal
import sys
from types import FrameType

MISSING = "headgate-operator needs the package {name}: pip install 'headgate[operator]'"


def main() -> None:
    # As the first process of a container it would not even be told of a SIGTERM that it has no handler for. While the
    # imports take their second there is nothing to end in order.
    signal.signal(signal.SIGTERM, _go)
    try:
        from headgate_operator import app, logs, options
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("headgate_operator"):
            raise
        sys.exit(MISSING.format(name=error.name))
    told = options.parse(sys.argv[1:])
    logs.set_up(told.log_format)
    with asyncio.Runner() as runner:
        code = runner.run(app.run(told))
        if code:
            # Not by way of a clean end: after a lost lease nothing of ours may linger, hung or not.
            sys.stderr.flush()
            os._exit(code)


def _go(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


if __name__ == "__main__":
    main()
