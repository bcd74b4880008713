"""Recorded rollouts as JSON: parsed whole, and refused with the place and the reason, before anything is replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn

from headgate_operator.core.evidence.interval import Arm, Interval
from headgate_operator.core.evidence.policy import LADDER, EvidencePolicy
from headgate_operator.core.evidence.shadow import ShadowPolicy

KINDS = ("errors", "latency", "shadow")
BOUNDS = "latency_bucket_upper_bounds_s"
TERMS = frozenset(
    {
        "max_error_rate_increase",
        "min_effect_abs",
        "min_effect_ratio",
        "max_error_rate",
        "max_latency_ratio",
        "max_disagreement",
        "min_duration_s",
        "min_canary_requests",
        "false_rollback",
        "false_promote",
    }
)
COLD = ("cold_requests", "cold_errors", "cold_client_errors")


class CaseError(ValueError):
    """Not a case that can be replayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    id: str | None
    policy: EvidencePolicy
    intervals: tuple[Interval, ...]
    candidate: str
    stable: str
    ignored: tuple[str, ...] = ()  # names in the policy that mean nothing here


@dataclass(frozen=True, slots=True)
class ShadowTick:
    t: float
    compared: float
    disagree: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowCase:
    id: str | None
    policy: ShadowPolicy
    ticks: tuple[ShadowTick, ...]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A JSON object and where it stands, for messages."""

    path: str
    items: Mapping[str, Any]

    def refuse(self, name: str, why: str) -> NoReturn:
        raise CaseError(f"{self.path}{'.' if self.path else ''}{name}: {why}")

    def number(self, name: str, default: float | None = None, *, least: float = 0.0, most: float = 1e15) -> float:
        value = self.items.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(name, "is missing" if name not in self.items else f"must be a number, not {_shown(value)}")
        if not least <= value <= most:
            self.refuse(
                name,
                f"must be {'at least' if value < least else 'at most'} "
                f"{least if value < least else most:g}, not {value}",
            )
        return float(value)

    def share(self, name: str, default: float) -> float:
        """A probability: strictly between 0 and 1."""
        value = self.number(name, default)
        if not 0 < value < 1:
            self.refuse(name, f"must lie between 0 and 1, not {value}")
        return value

    def words(self, name: str, default: str | None) -> str | None:
        value = self.items.get(name, default)
        if value is not None and not isinstance(value, str):
            self.refuse(name, f"must be a string, not {_shown(value)}")
        return value

    def inside(self, name: str) -> Place | None:
        value = self.items.get(name)
        if value is None:
            return None
        return Place(f"{self.path}{'.' if self.path else ''}{name}", _object(f"{self.path}.{name}", value))

    def each(self, name: str) -> list[Place]:
        value = self.items.get(name)
        if not isinstance(value, list):
            self.refuse(name, "is missing" if name not in self.items else f"must be a list, not {_shown(value)}")
        return [
            Place(path, _object(path, item))
            for path, item in (
                (f"{self.path}{'.' if self.path else ''}{name}[{index}]", item) for index, item in enumerate(value)
            )
        ]


def parse(text: str) -> list[Case | ShadowCase]:
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except CaseError:
        raise
    except ValueError as error:
        raise CaseError(f"not JSON: {error}") from None
    except RecursionError:
        raise CaseError("not JSON that can be read: too deep") from None
    if isinstance(found, dict) and "ticks" not in found and isinstance(found.get("cases"), list):
        common = {name: value for name, value in found.items() if name != "cases"}
        return [_case(f"cases[{i}]", common, item, i) for i, item in enumerate(found["cases"])]
    if isinstance(found, list):
        return [_case(f"[{i}]", {}, item, i) for i, item in enumerate(found)]
    if isinstance(found, dict):
        return [_case("", {}, found, None)]
    raise CaseError(f"must be one case or a list of cases, not {_shown(found)}")


def _no_constant(word: str) -> NoReturn:
    raise CaseError(f"not JSON: {word} is no number")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _object(path: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CaseError(f"{path}: must be an object, not {_shown(value)}")
    return value


def _case(path: str, common: Mapping[str, Any], found: Any, index: int | None) -> Case | ShadowCase:
    """`index` in a list: the output names its cases there."""
    items = _object(path or "the case", found)
    policy = {**_policy_of(common, ""), **_policy_of(items, path)}
    whole = Place(path, {**common, **items, "policy": policy})
    name = whole.items.get("id", index)
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if name is not None and not isinstance(name, str):
        whole.refuse("id", f"must be a string, not {_shown(name)}")
    name = None if index is None else name
    kind = whole.items.get("kind", "errors")
    if kind not in KINDS:
        whole.refuse("kind", f"must be one of {', '.join(KINDS)}, not {_shown(kind)}")
    return _shadow(name, whole) if kind == "shadow" else _of_arms(name, whole, latency=kind == "latency")


def _policy_of(items: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    value = items.get("policy")
    return {} if value is None else _object(f"{path}.policy" if path else "policy", value)


def _terms(whole: Place) -> Place:
    return whole.inside("policy") or Place(f"{whole.path}.policy", {})


def _shadow(name: str | None, whole: Place) -> ShadowCase:
    terms, default = _terms(whole), ShadowPolicy()
    policy = ShadowPolicy(
        max_disagreement=terms.share("max_disagreement", default.max_disagreement),
        rolls_back="max_disagreement" in terms.items,
        min_duration=terms.number("min_duration_s", default.min_duration),
        min_pairs=terms.number("min_canary_requests", default.min_pairs),
        false_rollback=terms.share("false_rollback", default.false_rollback),
        false_promote=terms.share("false_promote", default.false_promote),
    )
    ticks = []
    for tick in whole.each("ticks"):
        absent = tick.items.get("compared") is None
        ticks.append(
            ShadowTick(
                tick.number("t"),
                0.0 if absent else tick.number("compared"),
                0.0 if absent else tick.number("disagree"),
            )
        )
    _in_order(whole, [tick.t for tick in ticks])
    return ShadowCase(id=name, policy=policy, ticks=tuple(ticks), ignored=_ignored(terms))


def _of_arms(name: str | None, whole: Place, *, latency: bool) -> Case:
    terms, default = _terms(whole), EvidencePolicy()
    ticks = whole.each("ticks")
    bounds = _bounds(whole) if latency else default.bounds
    intervals = tuple(
        Interval(
            at=tick.number("t"),
            stable=_arm(tick, "stable", bounds, latency=latency),
            candidate=_arm(tick, "canary", bounds, latency=latency),
        )
        for tick in ticks
    )
    _in_order(whole, [interval.at for interval in intervals])
    policy = EvidencePolicy(
        interval=whole.number("interval_s", default.interval, least=0.001),
        max_increase=terms.number("max_error_rate_increase", default.max_increase, most=1),
        min_effect=terms.number("min_effect_abs", default.min_effect, most=1),
        min_ratio=terms.number("min_effect_ratio", default.min_ratio),
        max_rate=None if terms.items.get("max_error_rate") is None else terms.share("max_error_rate", 0.05),
        max_latency_ratio=terms.number("max_latency_ratio", 1.25, least=1, most=1000) if latency else None,
        min_duration=terms.number("min_duration_s", default.min_duration),
        min_requests=terms.number("min_canary_requests", default.min_requests),
        false_rollback=terms.share("false_rollback", default.false_rollback),
        false_promote=terms.share("false_promote", default.false_promote),
        error_rate=not latency or _counted(ticks, "errors"),
        client_errors=_counted(ticks, "client_errors"),
        bounds=bounds,
    )
    return Case(
        id=name,
        policy=policy,
        intervals=intervals,
        candidate=whole.words("candidate", None) or "the candidate",
        stable=whole.words("stable", None) or "stable",
        ignored=_ignored(terms),
    )


def _ignored(terms: Place) -> tuple[str, ...]:
    return tuple(sorted(set(terms.items) - TERMS))


def _counted(ticks: list[Place], name: str) -> bool:
    """A gate is on where the case has what it judges by."""
    return any(name in arm.items for tick in ticks for arm in (tick.inside("stable"), tick.inside("canary")) if arm)


def _in_order(whole: Place, times: list[float]) -> None:
    for index, (before, after) in enumerate(pairwise(times), 1):
        if after <= before:
            whole.refuse(f"ticks[{index}].t", f"must be after the tick before it ({before:g}), not {after:g}")


def _bounds(whole: Place) -> tuple[float, ...]:
    value = whole.items.get(BOUNDS)
    if value is None:
        return LADDER
    if not isinstance(value, list) or not value:
        whole.refuse(BOUNDS, f"must be a list of seconds, not {_shown(value)}")
    numbers = Place(f"{whole.path}{'.' if whole.path else ''}{BOUNDS}", {str(i): one for i, one in enumerate(value)})
    bounds = tuple(numbers.number(index, least=1e-9) for index in numbers.items)
    if any(after <= before for before, after in pairwise(bounds)):
        whole.refuse(BOUNDS, "must increase")
    return bounds


def _arm(tick: Place, name: str, bounds: tuple[float, ...], *, latency: bool) -> Arm | None:
    """None: nothing was scraped."""
    arm = tick.inside(name)
    if arm is None:
        return None
    cold = {field: arm.number(field, 0.0) for field in COLD}
    return Arm(
        requests=arm.number("requests"),
        errors=arm.number("errors", 0.0 if latency else None),
        client_errors=arm.number("client_errors", 0.0),
        cold_requests=cold["cold_requests"],
        cold_errors=cold["cold_errors"],
        cold_client_errors=cold["cold_client_errors"],
        latency=_buckets(arm, bounds) if latency else (),
    )


def _buckets(arm: Place, bounds: tuple[float, ...]) -> tuple[float, ...]:
    value = arm.items.get("latency")
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) != len(bounds) + 1:
        needed = f"{len(bounds) + 1} counts, one a bucket and one above the last bound"
        arm.refuse("latency", f"must have {needed}, not {len(value) if isinstance(value, list) else _shown(value)}")
    numbers = Place(f"{arm.path}.latency", {str(index): one for index, one in enumerate(value)})
    return tuple(numbers.number(index) for index in numbers.items)
