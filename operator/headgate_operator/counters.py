"""The body of GET /counters, read strictly: what is not exactly a server's own report is no data.

Verdicts rest on these numbers, and whatever answers at a pod's address may be a sidecar, another server or hostile. So
nothing is guessed or cut to fit, and the size of what is kept is bounded.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from headgate_operator.contract import PREDICTION_LAST_STEP as LAST_STEP
from headgate_operator.core.evidence.interval import Bin
from headgate_operator.core.observed import Answered, Counters, Traffic

MOST_ROWS = 256
MOST_BOUNDS = 128
MOST_CLASSES = 80
LONGEST_CLASS = 40
LARGEST = 2**53  # what a JSON number holds exactly everywhere
LONGEST_WORD = 128


class _NotOursError(ValueError):
    pass


def read(body: Any) -> Counters | None:
    """None where not even draining can be told; without `traffic` where the counts cannot be trusted."""
    try:
        told = _is(dict, body)
        age = told.get("last_request_age_seconds")
        return Counters(
            in_flight=_count(told.get("in_flight")),
            open_connections=_count(told.get("open_connections")),
            last_request_age_seconds=None if age is None else _seconds(age),
            traffic=_traffic(told),
        )
    except _NotOursError:
        return None


def _traffic(told: dict[str, Any]) -> Traffic | None:
    try:
        bounds = _bounds(told.get("bucket_upper_bounds_seconds"))
        rows = tuple(_row(row, len(bounds) + 1) for row in _list(told.get("requests"), MOST_ROWS))
        if len({(row.group, row.code) for row in rows}) < len(rows):
            raise _NotOursError
        uptime = told.get("uptime_seconds")
        return Traffic(
            start_id=_word(told.get("start_id")),
            revision=_word(told.get("revision")),
            version=_word(told.get("version")),
            bounds=bounds,
            rows=rows,
            uptime_seconds=None if uptime is None else _seconds(uptime),
            predictions=_predictions(told.get("predictions", [])),
        )
    except _NotOursError:
        return None


def _row(told: Any, buckets: int) -> Answered:
    if len(_list(told, 4)) != 4:
        raise _NotOursError
    group, code, count, counts = told
    if not 100 <= _count(code) <= 999 or len(_list(counts, buckets)) != buckets:
        raise _NotOursError
    return Answered(_word(group), code, _count(count), tuple(map(_count, counts)))


def _predictions(told: Any) -> tuple[tuple[Bin, int], ...]:
    pairs = [_list(pair, 2) for pair in _list(told, MOST_CLASSES + 2 * LAST_STEP + 1)]
    if any(len(pair) != 2 for pair in pairs):
        raise _NotOursError
    found = {_bin(name): _count(count) for name, count in pairs}
    if len(found) < len(pairs) or sum(isinstance(name, str) for name in found) > MOST_CLASSES:
        raise _NotOursError
    return tuple(found.items())


def _bin(told: Any) -> Bin:
    if isinstance(told, str):
        return _word(told, LONGEST_CLASS)
    step: int = _is(int, told)
    if abs(step) > LAST_STEP:
        raise _NotOursError
    return step


def _bounds(told: Any) -> tuple[float, ...]:
    bounds = tuple(map(_seconds, _list(told, MOST_BOUNDS)))
    if not bounds or bounds[0] <= 0 or any(low >= high for low, high in pairwise(bounds)):
        raise _NotOursError
    return bounds


def _list(told: Any, most: int) -> list[Any]:
    found: list[Any] = _is(list, told)
    if len(found) > most:
        raise _NotOursError
    return found


def _word(told: Any, longest: int = LONGEST_WORD) -> str:
    found: str = _is(str, told)
    if not 0 < len(found) <= longest:
        raise _NotOursError
    return found


def _count(told: Any) -> int:
    found: int = _is(int, told)
    if not 0 <= found <= LARGEST:
        raise _NotOursError
    return found


def _seconds(told: Any) -> float:
    if isinstance(told, int):
        return float(_count(told))
    found: float = _is(float, told)
    if not math.isfinite(found) or found < 0:
        raise _NotOursError
    return found


def _is(kind: type, told: Any) -> Any:
    if not isinstance(told, kind) or isinstance(told, bool):
        raise _NotOursError
    return told
