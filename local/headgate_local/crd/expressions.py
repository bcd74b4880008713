"""x-kubernetes-validations: CEL rules, compiled once per schema node and run where the node has a value.

The `cel` module evaluates the language; what Kubernetes adds around it is here: which value is `self`, when a
transition rule runs, how field names are escaped, and how a broken rule is reported instead of crashing the request.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import cel
from cel.stdlib import STDLIB_FUNCTIONS

from headgate_local.api.apply.paths import item_element
from headgate_local.errors import FieldError, FieldReason, Omitted
from headgate_local.schema import Schema

OLD_SELF = re.compile(r"\boldSelf\b")
RESERVED = {
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
    "loop", "package", "namespace", "return", "var", "void", "while",
}  # fmt: skip
ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
UNITS: dict[str, Decimal | int] = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18, "m": Decimal("0.001"),
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip
QUANTITY = re.compile(r"^([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|[kMGTPEm]?)$")


def quantity(text: str) -> float:
    found = QUANTITY.match(text)
    if not found:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    return float(Decimal(found[1]) * UNITS[found[2]])


def _is_quantity(text: str) -> bool:
    try:
        return bool(QUANTITY.match(text)) and quantity(text) is not None
    except InvalidOperation:
        return False


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme and (parts.netloc or parts.path)) or text.startswith("/")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _format(text: str, values: list[Any]) -> str:
    parts = iter(values)
    return re.sub(r"%(\.\d+f|[sdfxbo%])", lambda m: "%" if m[1] == "%" else _formatted(m[1], next(parts)), text)


def _formatted(verb: str, value: Any) -> str:
    if verb == "s":
        return str(value).lower() if isinstance(value, bool) else str(value)
    return format(value, verb)


# What Kubernetes adds to CEL beyond the strings, lists and sets of the `cel` module.
KUBERNETES_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "find": lambda text, pattern: (re.search(pattern, text) or [""])[0],
    "findAll": lambda text, pattern, limit=0: [m[0] for m in re.finditer(pattern, text)][: limit or None],
    "format": _format,
    "isSorted": lambda items: all(left <= right for left, right in itertools.pairwise(items)),
    "isURL": _is_url,
    "isIP": _is_ip,
    "isQuantity": _is_quantity,
    "quantity": quantity,
    "isGreaterThan": lambda left, right: left > right,
    "isLessThan": lambda left, right: left < right,
    "compareTo": lambda left, right: (left > right) - (left < right),
    "asInteger": int,
    "sign": lambda value: (value > 0) - (value < 0),
}


@lru_cache(maxsize=4096)
def compiled(expression: str) -> Any:
    return cel.compile(expression)


LITERAL = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
CHAIN = re.compile(r"(?<![\w.])(?:self|oldSelf)((?:\.[A-Za-z_]\w*)+)(\s*\()?")


def undefined_fields(schema: Schema, text: str) -> Iterator[tuple[int, str]]:
    """Fields of self which the schema lacks, with their column; the `cel` module has no types to find them by."""
    plain = LITERAL.sub(lambda found: " " * len(found[0]), text)
    for chain in CHAIN.finditer(plain):
        names = chain[1].split(".")[1:]
        node: Schema | None = schema
        column = chain.start(1)
        for name in names[:-1] if chain[2] else names:
            fields = {escaped(one): child for one, child in node.properties.items()} if node else {}
            if node is None or node.type != "object" or not fields:
                break
            if name not in fields and name not in ("apiVersion", "kind", "metadata"):
                yield column, name
                break
            column += len(name) + 1
            node = fields.get(name)


@dataclass(frozen=True)
class Rule:
    text: str
    message: str = ""
    message_expression: str = ""
    reason: str = ""
    field_path: str = ""
    optional_old: bool = False

    @staticmethod
    def of(raw: dict[str, Any]) -> Rule:
        return Rule(
            raw["rule"], raw.get("message", ""), raw.get("messageExpression", ""), raw.get("reason", ""),
            raw.get("fieldPath", ""), bool(raw.get("optionalOldSelf")),
        )  # fmt: skip

    @property
    def is_transition(self) -> bool:
        return bool(OLD_SELF.search(self.text))


class Absent:
    """There is no old value to compare with."""


ABSENT = Absent()


def validate(schema: Schema, value: Any, old: Any = ABSENT) -> list[FieldError]:
    """Runs every rule of the schema; `old` is the stored object, or ABSENT on create."""
    return list(_walk(schema, value, old, "", root=True))


def _walk(schema: Schema | None, value: Any, old: Any, path: str, *, root: bool = False) -> Iterator[FieldError]:
    if schema is None or value is None:
        return
    for raw in schema.raw.get("x-kubernetes-validations", ()):
        yield from _run(Rule.of(raw), schema, value, old, path, root=root)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for name, item in value.items():
            if root and name in ("apiVersion", "kind", "metadata"):
                continue
            here = f"{path}.{name}" if path else name
            if schema.additional is not None and name not in schema.properties:
                here = f"{path}[{name}]"
            yield from _walk(schema.child(name), item, before.get(name, ABSENT), here)
    elif isinstance(value, list):
        former = _correlated(schema, old)
        for index, item in enumerate(value):
            before_item = former.get(item_element(schema, item), ABSENT) if former else ABSENT
            yield from _walk(schema.items, item, before_item, f"{path}[{index}]")


def _correlated(schema: Schema, old: Any) -> dict[str, Any]:
    """Only items of a map-like list can be told to be the same item as before."""
    if not isinstance(old, list) or schema.list_type != "map":
        return {}
    return {item_element(schema, item): item for item in old}


def _run(rule: Rule, schema: Schema, value: Any, old: Any, path: str, *, root: bool) -> Iterator[FieldError]:
    if rule.is_transition and old is ABSENT and not rule.optional_old:
        return
    variables = {"self": _visible(schema, value, root=root)}
    if old is not ABSENT:
        before = _visible(schema, old, root=root)
        variables["oldSelf"] = cel.OptionalValue.of(before) if rule.optional_old else before
    elif rule.optional_old:
        variables["oldSelf"] = cel.OptionalValue.none()
    shown: Any = Omitted.VALUE if schema.type in ("object", "array") else value
    try:
        holds = compiled(rule.text).execute(_context(variables))
    except Exception as error:  # noqa: BLE001 - the module raises a different type for every kind of evaluation error
        yield FieldError(FieldReason.INVALID, path, schema.type, f"{_wording(error)} evaluating rule: {_label(rule)}")
        return
    if holds is True:
        return
    # The real server ratchets: a value that did not change is not blamed for a rule added later.
    if not rule.is_transition and old is not ABSENT and old == value:
        return
    here = f"{path}{rule.field_path}".lstrip(".") if rule.field_path else path
    yield FieldError(_reason(rule), here or "<nil>", shown, _message(rule, variables))


def _label(rule: Rule) -> str:
    return rule.message or rule.text.strip()


def _wording(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no such key: {error.args[0]}"
    if isinstance(error, IndexError):
        return f"index out of bounds: {str(error).rpartition(' ')[2]}"
    if isinstance(error, ZeroDivisionError):
        return "division by zero"
    return str(error).partition("\n")[0]


def _reason(rule: Rule) -> FieldReason:
    return {
        "FieldValueForbidden": FieldReason.FORBIDDEN,
        "FieldValueRequired": FieldReason.REQUIRED,
        "FieldValueDuplicate": FieldReason.DUPLICATE,
    }.get(rule.reason, FieldReason.INVALID)


def _message(rule: Rule, variables: dict[str, Any]) -> str:
    if rule.message_expression:
        try:
            text = compiled(rule.message_expression).execute(_context(variables))
        except Exception:  # noqa: BLE001 - a broken message falls back to the plain one, as in the real server
            text = ""
        if isinstance(text, str) and text.strip() and "\n" not in text:
            return text
    return rule.message.strip() or f"failed rule: {rule.text.strip()}"


def _context(variables: dict[str, Any]) -> Any:
    context = cel.Context(variables)
    for name, function in {**STDLIB_FUNCTIONS, **KUBERNETES_FUNCTIONS}.items():
        context.add_function(name, function)
    return context


def _visible(schema: Schema | None, value: Any, *, root: bool = False) -> Any:
    """The value as rules see it: declared names escaped, undeclared fields hidden, of metadata only the names."""
    if isinstance(value, dict):
        if root:
            meta = {key: value["metadata"][key] for key in ("name", "generateName") if key in value.get("metadata", {})}
            value = {**value, "metadata": meta}
        if schema is None or not schema.properties:
            child = schema.additional if schema else None
            return {name: _visible(child, item) for name, item in value.items()}
        return {
            escaped(name): _visible(schema.child(name), item)
            for name, item in value.items()
            if name in schema.properties or schema.keeps_unknown
        }
    if isinstance(value, list):
        return [_visible(schema.items if schema else None, item) for item in value]
    return value


def escaped(name: str) -> str:
    if name in RESERVED:
        return f"__{name}__"
    for mark, escape in ESCAPES:
        name = name.replace(mark, escape)
    return name
