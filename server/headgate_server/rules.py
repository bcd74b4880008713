"""Rules beside the signature: `extra_files/schema_rules.json` of the model directory, compiled once at load.

    {"age": {"min": 0, "max": 150}, "city": {"enum": ["a", "b"]}, "code": {"pattern": "^[A-Z]{3}$"}}

By column, or by tensor (then for each element). They hold in Strict and in Compatible. A file that cannot be
understood refuses the model: a rule that is silently not applied is worse than none.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from headgate_server.reasons import LoadError, Reason

FILE: Final = "extra_files/schema_rules.json"
MAX_BYTES: Final = 1 << 20
KEYS: Final = frozenset({"min", "max", "pattern", "enum"})
# A pattern is the trainer's, the text a caller's: bounded, so that a match is.
MAX_PATTERN: Final = 1000
MAX_TEXT: Final = 256
MAX_REPEATS: Final = 3


@dataclass(frozen=True)
class Rule:
    """What the values of one input must be, beyond their type."""

    low: float | None = None
    high: float | None = None
    pattern: re.Pattern[str] | None = None
    allowed: frozenset[Any] | None = None

    def broken_at(self, array: npt.NDArray[Any]) -> tuple[int, str] | None:
        """The first element that breaks it, and what was expected; a missing value breaks nothing."""
        flat = array.reshape(-1)
        if self.low is not None and (at := _first(flat < self.low)) is not None:
            return at, f"at least {self.low:g}"
        if self.high is not None and (at := _first(flat > self.high)) is not None:
            return at, f"at most {self.high:g}"
        if self.allowed is None and self.pattern is None:
            return None
        if array.dtype.kind in "iuf" and self.allowed is not None:
            allowed = np.array(sorted(self.allowed))
            if array.dtype.kind == "f":  # in the array's own width: 0.1 as a 32-bit float is not Python's 0.1
                allowed = allowed.astype(array.dtype)
            at = _first(~(np.isin(flat, allowed) | (flat != flat)))
            return None if at is None else (at, self._expected_enum())
        return self._broken_text(flat.tolist())

    def _broken_text(self, given: Sequence[Any]) -> tuple[int, str] | None:
        for n, value in enumerate(given):
            if value is None or value != value:
                continue
            if self.allowed is not None and value not in self.allowed:
                return n, self._expected_enum()
            if self.pattern is not None and (len(value) > MAX_TEXT or not self.pattern.search(value)):
                return n, f"a text that matches {self.pattern.pattern}"
        return None

    def _expected_enum(self) -> str:
        return f"one of the {len(self.allowed or ())} values that schema_rules.json allows"


Rules = Mapping[str, Rule]
NONE: Final[Rules] = {}


def read(root: Path, kinds: Mapping[str, str]) -> Rules:
    """The rules of a model directory; `kinds` says of each input whether it is a "number", a "text" or other."""
    path = root / FILE
    if not path.is_file():
        return NONE
    if not path.resolve().is_relative_to(root.resolve()) or path.stat().st_size > MAX_BYTES:
        raise _invalid("the file is too large, or lies outside the model directory")
    try:
        raw = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise _invalid("the file is not JSON") from None
    if not isinstance(raw, dict):
        raise _invalid("expected an object by input name")
    unknown = sorted(set(raw) - set(kinds))
    if unknown:
        raise _invalid(f"{unknown[0]!r} is no input of the signature")
    return {name: _rule(name, given, kinds[name]) for name, given in raw.items()}


def _rule(name: str, given: Any, kind: str) -> Rule:
    if not isinstance(given, dict) or not given or not set(given) <= KEYS:
        raise _invalid(f"{name}: expected an object with some of {', '.join(sorted(KEYS))}")
    if kind != "number" and set(given) & {"min", "max"}:
        raise _invalid(f"{name}: min and max are for numbers")
    if kind != "text" and "pattern" in given:
        raise _invalid(f"{name}: a pattern is for texts")
    low, high = _bound(name, given, "min"), _bound(name, given, "max")
    if low is not None and high is not None and low > high:
        raise _invalid(f"{name}: min is above max")
    return Rule(low, high, _pattern(name, given.get("pattern")), _allowed(name, given, kind))


def _bound(name: str, given: Mapping[str, Any], key: str) -> float | None:
    value = given.get(key)
    if key in given and type(value) not in {int, float}:
        raise _invalid(f"{name}: {key} is not a number")
    return value


def _allowed(name: str, given: Mapping[str, Any], kind: str) -> frozenset[Any] | None:
    if "enum" not in given:
        return None
    values = given["enum"]
    types = {"number": (int, float), "text": (str,)}.get(kind, (bool,))
    if not isinstance(values, list) or not values or not all(type(v) in types for v in values):
        raise _invalid(f"{name}: enum is not a list of values of the input's type")
    return frozenset(values)


def _pattern(name: str, given: Any) -> re.Pattern[str] | None:
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > MAX_PATTERN:
        raise _invalid(f"{name}: pattern is not a text of at most {MAX_PATTERN} characters")
    # (a+)+ and its like take for ever on a text made for it: a quantifier on a group is refused as a whole.
    if re.search(r"\)[*+{]", given) or "(?" in given:
        raise _invalid(f"{name}: pattern repeats a group, which can take for ever; repeat single characters only")
    # Each further one may multiply the time by the length of the text.
    if len(re.findall(r"(?<!\\)(?:[*+]|{\d*,)", given)) > MAX_REPEATS:
        raise _invalid(
            f"{name}: pattern has more than {MAX_REPEATS} open repeats (*, +, {{n,}}), which can take for ever"
        )
    try:
        return re.compile(given)
    except (re.error, RecursionError, OverflowError):
        raise _invalid(f"{name}: pattern is not a regular expression") from None


def _first(broken: npt.NDArray[np.bool_]) -> int | None:
    return int(broken.argmax()) if broken.any() else None


def _invalid(message: str) -> LoadError:
    return LoadError(Reason.ARTIFACT_INVALID, f"{FILE}: {message}")
