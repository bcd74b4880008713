"""Numbers as people read them."""

from __future__ import annotations

from math import exp, floor, log

LN10 = log(10)


def count(value: float) -> str:
    return f"{round(value):,}"


def rounded(value: float) -> str:
    """Two digits: a plan is no promise. 1,234 -> 1,200."""
    if value < 10:
        return count(max(value, 1))
    unit = 10 ** (floor(log(value) / LN10 + 1e-12) - 1)
    return count(round(value / unit) * unit)


def percent(bad: float, total: float) -> str:
    return rate(bad / total) if total > 0 else "none"


def rate(share: float) -> str:
    value = 100 * share
    return f"{value:.3g} %" if 0 < value < 0.1 else f"{value:.1f} %"


def evidence(log_value: float) -> str:
    """An e-value: 40 says that the data are forty times as likely as under the hypothesis."""
    if log_value > 9 * LN10:
        return f"10^{floor(log_value / LN10)}"
    value = exp(log_value)
    return count(value) if value >= 10 else f"{value:.1f}" if value >= 0.05 else "0"


def against_bound(log_value: float, bound: float) -> str:
    return f"(evidence {evidence(log_value)}, bound {evidence(bound)})"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{round(seconds / 3600)} h"
    return f"{round(seconds / 86400)} days"


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
