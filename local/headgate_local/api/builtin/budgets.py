"""Disruption budgets: what is refused in them. Their status is the disruption controller's and the evictions'."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from headgate_local.api.metadata import LABEL_VALUE, LABEL_VALUE_HINT, label_errors, qualified_name_hints
from headgate_local.errors import FieldError, forbidden, invalid, not_supported, required
from headgate_local.store import Obj

PERCENT = re.compile(r"^[0-9]+%$")
PERCENT_HINT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for"
    " validation is '[0-9]+%')"
)
NOT_NEGATIVE = "must be greater than or equal to 0"
COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
POLICIES = ("AlwaysAllow", "IfHealthyBudget")


class DisruptionBudgetRules:
    def default(self, obj: Obj) -> None:
        obj.setdefault("spec", {})

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        del old
        status = obj.setdefault("status", {})
        # The counts are shown even when nobody has counted yet.
        for name in COUNTS:
            status.setdefault(name, 0)

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        if old is not None and obj["status"] != old.get("status"):
            return [
                invalid(f"status.{name}", obj["status"][name], NOT_NEGATIVE)
                for name in COUNTS
                if obj["status"][name] < 0
            ]
        return list(_spec_errors(obj["spec"]))


def _spec_errors(spec: Obj) -> Iterator[FieldError]:
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield invalid("spec", _as_go_has_it(spec), "minAvailable and maxUnavailable cannot be both set")
    for name in ("minAvailable", "maxUnavailable"):
        if name in spec:
            yield from int_or_percent_errors(f"spec.{name}", spec[name])
    yield from selector_errors("spec.selector", spec.get("selector") or {})
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in POLICIES:
        yield not_supported("spec.unhealthyPodEvictionPolicy", policy, POLICIES)


def _as_go_has_it(spec: Obj) -> Obj:
    """The message shows the struct of the server's inside, whose fields have other names."""
    names = ("minAvailable", "selector", "maxUnavailable", "unhealthyPodEvictionPolicy")
    return {name[0].upper() + name[1:]: spec.get(name) for name in names}


def int_or_percent_errors(path: str, value: Any) -> Iterator[FieldError]:
    if isinstance(value, int):
        if value < 0:
            yield invalid(path, value, NOT_NEGATIVE)
    elif not PERCENT.match(value):
        yield invalid(path, value, PERCENT_HINT)
    elif int(value[:-1]) > 100:
        yield invalid(path, value, "must not be greater than 100%")


def selector_errors(path: str, selector: Obj) -> Iterator[FieldError]:
    yield from label_errors(f"{path}.matchLabels", selector.get("matchLabels") or {})
    for index, one in enumerate(selector.get("matchExpressions") or ()):
        here, values = f"{path}.matchExpressions[{index}]", one.get("values") or []
        match one.get("operator"):
            case "In" | "NotIn" if not values:
                yield required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
            case "Exists" | "DoesNotExist" if values:
                yield forbidden(f"{here}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
            case "In" | "NotIn" | "Exists" | "DoesNotExist":
                pass
            case other:
                yield invalid(f"{here}.operator", other or "", "not a valid selector operator")
        for hint in qualified_name_hints(one.get("key") or ""):
            yield invalid(f"{here}.key", one.get("key") or "", hint)
        for at, value in enumerate(values):
            if not LABEL_VALUE.match(value):
                yield invalid(f"{here}.values[{at}]", value, LABEL_VALUE_HINT)
