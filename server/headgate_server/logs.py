"""Structured logs: one JSON object a line on stdout, one line per load step or error, none per request.

Never a feature value, a request body or a credential: callers give named fields, and those are all that is written.
"""

import json
import logging
import sys
import time
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
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure() -> None:
    """Send every logger of the process to stdout as JSON; libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOGGER.setLevel(logging.INFO)
    logging.captureWarnings(True)


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
