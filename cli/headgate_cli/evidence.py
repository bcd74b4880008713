"""Evidence as people read it: e-values, and how far they are from their bounds.

Status has them as natural logarithms in decimal text. A bar is drawn on that scale, on which evidence adds up.
"""

from collections.abc import Iterable, Mapping
from math import exp, floor, log
from typing import Any, NamedTuple

Obj = Mapping[str, Any]

LN10 = log(10)
NOUNS = {"errorRate": "errors", "clientErrors": "refused inputs", "latency": "latency"}
WIDTH = 24


class Measure(NamedTuple):
    """One kind of evidence of one gate."""

    value: float
    bound: float

    @property
    def share(self) -> float:
        """Of the way to the bound, between 0 and 1."""
        return min(1.0, max(0.0, self.value / self.bound)) if self.bound > 0 else 0.0

    @property
    def text(self) -> str:
        return f"{e_value(self.value)} of {e_value(self.bound)}"


class Gate(NamedTuple):
    name: str
    harm: Measure
    safety: Measure


def gates(figures: Obj | None) -> list[Gate]:
    found = []
    for told in (figures or {}).get("gates") or []:
        harm, bound = number(told.get("harm")), number(told.get("harmBound"))
        if told.get("ceiling") is not None:
            harm = max(harm, number(told["ceiling"]))
        safety = Measure(number(told.get("safety")), number(told.get("safetyBound")))
        name = str(told.get("gate"))
        found.append(Gate(NOUNS.get(name, name), Measure(harm, bound), safety))
    return found


def number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0


def e_value(log_value: float) -> str:
    """40 says that the data are forty times as likely as under the hypothesis."""
    if log_value > 9 * LN10:
        return f"10^{floor(min(log_value, 1e6) / LN10)}"
    value = exp(log_value)
    return f"{round(value):,}" if value >= 10 else f"{value:.1f}" if value >= 0.05 else "0"


def sample(figures: Obj | None, candidate: str, stable: str) -> str:
    told = figures or {}
    return (
        f"{int(told.get('requests', 0)):,} requests to {candidate}, {int(told.get('stableRequests', 0)):,} to {stable}"
    )


def bar(measure: Measure, *, plain: bool = False) -> str:
    full, empty = ("#", ".") if plain else ("█", "░")
    filled = floor(measure.share * WIDTH)  # a full bar is a bound that was reached, never one that is near
    return full * filled + empty * (WIDTH - filled)


def bars(found: Iterable[Gate], *, plain: bool = False) -> list[str]:
    lines = []
    for gate in found:
        lines.append(f"{gate.name:<15} worse     {bar(gate.harm, plain=plain)} {gate.harm.text}")
        lines.append(f"{'':<15} no worse  {bar(gate.safety, plain=plain)} {gate.safety.text}")
    return lines
