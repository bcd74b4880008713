"""A log line is one object with its facts, or one line of text."""

import json
import logging
import sys

from headgate_operator.logs import JsonLines, Repeated, Text


def record(**extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "headgate_operator.x", "levelname": "INFO", "msg": "promoted %s", "args": ("4",)}
    )
    made.created = 1_795_220_528.181
    vars(made).update(extra)
    return made


def test_a_line_of_json_holds_the_facts_as_fields() -> None:
    assert json.loads(JsonLines().format(record(deployment="ml/iris", seconds=3))) == {
        "time": "2026-11-21T00:22:08.181Z",
        "level": "info",
        "logger": "headgate_operator.x",
        "message": "promoted 4",
        "deployment": "ml/iris",
        "seconds": 3,
    }


def test_text_is_one_line_with_the_same_facts() -> None:
    assert (
        Text().format(record(deployment="ml/iris")) == "2026-11-21T00:22:08.181Z info    promoted 4 deployment=ml/iris"
    )


def test_a_trace_stays_within_its_line_of_json() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        line = JsonLines().format(record(exc_info=sys.exc_info()))
    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["trace"]


def test_an_attempt_of_kopf_that_will_be_repeated_is_a_warning_and_the_last_one_an_error() -> None:
    def told(message: str) -> str:
        made = logging.makeLogRecord({"name": "kopf._cogs.clients.watching", "levelno": logging.ERROR, "msg": message})
        made.levelname = "ERROR"
        assert Repeated().filter(made)
        return made.levelname

    assert told("Request attempt #1/17 failed; will retry: GET /apis -> 429") == "WARNING"
    assert told("Request attempt #17/17 failed; escalating: GET /apis -> 429") == "ERROR"
