"""Durations and points in time as they are written in the resource: `10m`, `1h30m`, RFC 3339.

Parsed once at the edge; inside there are only timedelta and aware UTC datetimes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_LONGEST = timedelta(days=36500)
_YEARS = range(2000, 2201)
"""With both bounds no sum of a time and a duration leaves what a datetime can hold."""
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


def parse_duration(text: str) -> timedelta:
    """ValueError on anything that is not a non-negative Go duration of h, m, s and ms."""
    if not _DURATION.match(text):
        raise ValueError(f"not a duration: {text!r}; write it like 90s, 10m or 1h30m")
    milliseconds = sum(float(amount) * _MILLISECONDS[unit] for amount, unit in _PART.findall(text))
    if milliseconds > _LONGEST / timedelta(milliseconds=1):
        raise ValueError(f"too long: {text!r}")
    return timedelta(milliseconds=milliseconds)


def format_duration(value: timedelta) -> str:
    """The shortest text that parses to the same value, to the millisecond: `10m`, `1h30m`, `0s`."""
    rest = round(value / timedelta(milliseconds=1))
    parts = []
    for unit in ("h", "m", "s", "ms"):
        amount, rest = divmod(rest, _MILLISECONDS[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def parse_time(text: str) -> datetime:
    """ValueError where it is not RFC 3339 with a zone, or of another age."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    if value.year not in _YEARS:
        raise ValueError(f"not a time of ours: {text!r}")
    return value.astimezone(UTC)


def format_time(value: datetime) -> str:
    """UTC with milliseconds: rollbacks are measured in them."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole_milliseconds(value: datetime) -> datetime:
    """What survives being written and read again; `now` is cut to it before anything is decided."""
    return value.replace(microsecond=value.microsecond // 1000 * 1000)
