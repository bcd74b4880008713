"""Label and field selectors, parsed once and asked often."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headgate_local.errors import bad_request
from headgate_local.store import Obj

SET_TERM = re.compile(r"^(?P<key>\S+)\s+(?P<verb>in|notin)\s*\((?P<values>[^)]*)\)$")
KEY = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$")
VALUE = re.compile(r"^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$")
Test = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True)
class LabelSelector:
    tests: tuple[Test, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(test(labels) for test in self.tests)


def parse_labels(text: str) -> LabelSelector:
    return LabelSelector(tuple(_label_test(term.strip()) for term in _terms(text) if term.strip()))


def _terms(text: str) -> list[str]:
    """Splits at commas outside parentheses."""
    return re.split(r",(?![^(]*\))", text)


def _label_test(term: str) -> Test:
    found = SET_TERM.match(term)
    if found:
        values = {_checked_value(value.strip()) for value in found["values"].split(",")}
        return _membership(_checked_key(found["key"]), values, found["verb"] == "in")
    for mark in ("!=", "==", "="):
        if mark in term:
            key, _, value = term.partition(mark)
            return _membership(_checked_key(key.strip()), {_checked_value(value.strip())}, mark != "!=")
    if term.startswith("!"):
        key = _checked_key(term[1:].strip())
        return lambda labels: key not in labels
    key = _checked_key(term)
    return lambda labels: key in labels


def _membership(key: str, values: set[str], wanted: bool) -> Test:
    if wanted:
        return lambda labels: key in labels and labels[key] in values
    return lambda labels: key not in labels or labels[key] not in values


def _checked_key(key: str) -> str:
    if not KEY.match(key):
        raise bad_request(f"unable to parse requirement: invalid label key {_quoted(key)}")
    return key


def _checked_value(value: str) -> str:
    if not VALUE.match(value):
        raise bad_request(f"unable to parse requirement: invalid label value {_quoted(value)}")
    return value


def _quoted(text: str) -> str:
    return f'"{text}"'


def of_spec(selector: Mapping[str, Any] | None) -> LabelSelector:
    """The matcher of a LabelSelector in an object's spec; a missing one selects nothing."""
    if selector is None:
        return LabelSelector((lambda _labels: False,))
    tests = [_membership(key, {value}, True) for key, value in selector.get("matchLabels", {}).items()]
    tests += [
        _expression(one["key"], one["operator"], set(one.get("values", ())))
        for one in selector.get("matchExpressions", ())
    ]
    return LabelSelector(tuple(tests))


def _expression(key: str, operator: str, values: set[str]) -> Test:
    match operator:
        case "In" | "NotIn":
            return _membership(key, values, operator == "In")
        case "Exists":
            return lambda labels: key in labels
        case _:
            return lambda labels: key not in labels


@dataclass(frozen=True)
class FieldSelector:
    terms: tuple[tuple[tuple[str, ...], str, bool], ...] = ()

    def matches(self, obj: Obj) -> bool:
        return all((field_text(obj, path) == value) == wanted for path, value, wanted in self.terms)

    def exact(self, field: str) -> str | None:
        path = tuple(field.split("."))
        return next((value for term, value, wanted in self.terms if term == path and wanted), None)


def parse_fields(text: str, supported: tuple[str, ...]) -> FieldSelector:
    terms = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        mark = next((mark for mark in ("!=", "==", "=") if mark in term), None)
        if mark is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        field, _, value = term.partition(mark)
        if field not in ("metadata.name", "metadata.namespace", *supported):
            raise bad_request(f"field label not supported: {field}")
        terms.append((tuple(field.split(".")), value, mark != "!="))
    return FieldSelector(tuple(terms))


def field_text(obj: Any, path: tuple[str, ...]) -> str:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    if obj is None:
        return ""
    return str(obj).lower() if isinstance(obj, bool) else str(obj)
