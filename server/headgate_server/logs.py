"""Structured logs: one JSON object a line on stdout, one line per load step or error, none per request.

Never a feature value, a request body or a credential: callers give named fields, and those are all that is written.
"""

import json
import logging
import sys
import time
from collections import deque
from itertools import islice
from typing import Any, Final

LOGGER: Final = logging.getLogger("headgate.server")


class JsonLines(logging.Formatter):
    """A record as one JSON line: time, level, message and the fields given by `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line: dict[str, Any] = {
            "timestamp": moment,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(_ALWAYS)
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class Ring(logging.Handler):
    """The last lines, for /logs: what stdout had, bounded in number and length."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self._lines: deque[str] = deque(maxlen=size)

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        # A stack of a strange library may be long; memory is bounded, stdout has it whole.
        self._lines.append(line if len(line) <= MAX_LINE else json.dumps({"message": "too long for /logs"}))

    def newest(self, limit: int) -> list[Any]:
        return [json.loads(line) for line in islice(reversed(self._lines.copy()), limit)]


MAX_LINE: Final = 16_384
RING: Final = Ring(1000)


def configure() -> None:
    """Send every logger of the process to stdout as JSON, and to the ring; libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler, RING]
    root.setLevel(logging.WARNING)
    LOGGER.setLevel(logging.INFO)
    logging.captureWarnings(True)


_ALWAYS: Final[dict[str, Any]] = {}


def always(**fields: Any) -> None:
    """On every line from now on."""
    _ALWAYS.update(fields)


def event(message: str, **fields: Any) -> None:
    LOGGER.info(message, extra={"fields": fields})


def failure(message: str, *, trace: bool = False, **fields: Any) -> None:
    """An error; `trace` adds the current exception's stack, which has code lines in it but no data."""
    LOGGER.error(message, extra={"fields": fields}, exc_info=trace)


def warning(message: str, **fields: Any) -> None:
    LOGGER.warning(message, extra={"fields": fields})


def place(error: BaseException) -> str:
    """File and line where the error arose: they hold no data, which its message may."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
