"""Quantities in their canonical form.

The real server re-writes `0.5` as `500m` and `1024Mi` as `1Gi` when it decodes an object. A controller that compares
what it wants with what is stored must meet the same rewriting here.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from headgate_local.store import Obj

BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
DECIMAL = (("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18))
PATTERN = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$")


def canonical(given: Any) -> str:
    text = str(given)
    found = PATTERN.match(text)
    if not found:
        return text
    return _binary(amount(text)) if (found[2] or "").endswith("i") else _decimal(amount(text))


def amount(given: Any) -> Decimal:
    """The number a quantity stands for; zero where it is none."""
    found = PATTERN.match(str(given))
    if not found:
        return Decimal(0)
    suffix = found[2] or ""
    if suffix.endswith("i"):
        return Decimal(found[1]) * Decimal(1024) ** BINARY.index(suffix)
    exponent = int(suffix[1:]) if suffix[:1] in ("e", "E") and len(suffix) > 1 else dict(DECIMAL)[suffix]
    return Decimal(found[1]) * Decimal(10) ** exponent


def _binary(value: Decimal) -> str:
    if value != value.to_integral_value():
        return _decimal(value)
    whole, step = int(value), 0
    if abs(whole) < 1024:
        return _decimal(value)
    while whole and whole % 1024 == 0 and step < len(BINARY) - 1:
        whole, step = whole // 1024, step + 1
    return f"{whole}{BINARY[step]}"


def _decimal(value: Decimal) -> str:
    if not value:
        return "0"
    for suffix, exponent in reversed(DECIMAL):
        scaled = value / Decimal(10) ** exponent
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return f"{int(value * 10**9) + 1}n"


def canonicalise(resources: Obj | None) -> None:
    for part in ("limits", "requests"):
        amounts = (resources or {}).get(part) or {}
        for name in amounts:
            amounts[name] = canonical(amounts[name])
