"""Structured logs: one line a transition, with its facts as fields; none while nothing changes."""

import json
import logging
import sys
from datetime import UTC, datetime

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fields(record: logging.LogRecord) -> dict[str, object]:
    """What was given as `extra`."""
    return {key: value for key, value in vars(record).items() if key not in STANDARD and not key.startswith("_")}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = "".join(f" {key}={value}" for key, value in fields(record).items())
        line = f"{_time(record)} {record.levelname.lower():7} {record.getMessage()}{told}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Repeated(logging.Filter):
    """kopf calls an attempt an error that it is about to repeat. It is one when the last attempt has failed."""

    def filter(self, record: logging.LogRecord) -> bool:
        if (
            record.name.startswith("kopf.")
            and record.levelno == logging.ERROR
            and "; will retry" in record.getMessage()
        ):
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return True


def set_up(log_format: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repeated())
    handler.setFormatter(JsonLines() if log_format == "json" else Text())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Libraries tell of every request at INFO.
    for name in ("aiohttp", "kopf", "kubernetes", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
