"""Recorded rollouts as JSON: parsed whole, and refused with the place and the reason, before anything is replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn

from headgate_operator.api.spec import PredictionShift
from headgate_operator.core.evidence.interval import Arm, Bin, Interval, Predicted
from headgate_operator.core.evidence.place import CaseError, Place, an_object, shown
from headgate_operator.core.evidence.policy import (
    CLIENT_ERRORS,
    ERROR_RATE,
    LADDER,
    LATENCY,
    PREDICTION_SHIFT,
    EvidencePolicy,
)
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
        "prediction_shift",
        "max_disagreement",
        "min_duration_s",
        "min_canary_requests",
        "false_rollback",
        "false_promote",
    }
)
COLD = ("cold_requests", "cold_errors", "cold_client_errors")


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
    raise CaseError(f"must be one case or a list of cases, not {shown(found)}")


def _no_constant(word: str) -> NoReturn:
    raise CaseError(f"not JSON: {word} is no number")


def _case(path: str, common: Mapping[str, Any], found: Any, index: int | None) -> Case | ShadowCase:
    """`index` in a list: the output names its cases there."""
    items = an_object(path or "the case", found)
    policy = {**_policy_of(common, ""), **_policy_of(items, path)}
    whole = Place(path, {**common, **items, "policy": policy})
    name = whole.items.get("id", index)
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if name is not None and not isinstance(name, str):
        whole.refuse("id", f"must be a string, not {shown(name)}")
    name = None if index is None else name
    kind = whole.items.get("kind", "errors")
    if kind not in KINDS:
        whole.refuse("kind", f"must be one of {', '.join(KINDS)}, not {shown(kind)}")
    return _shadow(name, whole) if kind == "shadow" else _of_arms(name, whole, latency=kind == "latency")


def _policy_of(items: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    value = items.get("policy")
    return {} if value is None else an_object(f"{path}.policy" if path else "policy", value)


def _terms(whole: Place) -> Place:
    return Place(whole.at("policy"), whole.items["policy"])


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
    gates = _gates(whole, ticks, latency=latency)
    policy = EvidencePolicy(
        interval=whole.number("interval_s", default.interval, least=0.001),
        max_increase=terms.number("max_error_rate_increase", default.max_increase, most=1),
        min_effect=terms.number("min_effect_abs", default.min_effect, most=1),
        min_ratio=terms.number("min_effect_ratio", default.min_ratio),
        max_rate=None if terms.items.get("max_error_rate") is None else terms.share("max_error_rate", 0.05),
        max_latency_ratio=terms.number("max_latency_ratio", 1.25, least=1, most=1000) if LATENCY in gates else None,
        min_duration=terms.number("min_duration_s", default.min_duration),
        min_requests=terms.number("min_canary_requests", default.min_requests),
        false_rollback=terms.share("false_rollback", default.false_rollback),
        false_promote=terms.share("false_promote", default.false_promote),
        error_rate=ERROR_RATE in gates,
        client_errors=CLIENT_ERRORS in gates,
        prediction_shift=_on_shift(terms) if PREDICTION_SHIFT in gates else PredictionShift.DISABLED,
        bounds=bounds,
    )
    return Case(
        id=name,
        policy=policy,
        intervals=intervals,
        candidate=whole.words("candidate") or "the candidate",
        stable=whole.words("stable") or "stable",
        ignored=_ignored(terms),
    )


def _on_shift(terms: Place) -> PredictionShift:
    word = terms.items.get("prediction_shift", str(PredictionShift.HOLD))
    on = (PredictionShift.HOLD, PredictionShift.ROLLBACK)
    if word not in on:
        terms.refuse("prediction_shift", f"must be one of {', '.join(on)}, not {shown(word)}")
    return PredictionShift(word)


def _ignored(terms: Place) -> tuple[str, ...]:
    return tuple(sorted(set(terms.items) - TERMS))


def _gates(whole: Place, ticks: list[Place], *, latency: bool) -> tuple[str, ...]:
    """Those that are named; else a gate is on where the case has what it judges by."""
    named = whole.items.get("gates")
    if named is None:
        on = {
            ERROR_RATE: not latency or _counted(ticks, "errors"),
            CLIENT_ERRORS: _counted(ticks, "client_errors"),
            LATENCY: latency,
            PREDICTION_SHIFT: _counted(ticks, "predictions"),
        }
        return tuple(gate for gate, is_on in on.items() if is_on)
    possible = (ERROR_RATE, CLIENT_ERRORS, *([LATENCY] if latency else []), PREDICTION_SHIFT)
    if not isinstance(named, list) or not named or not all(gate in possible for gate in named):
        whole.refuse("gates", f"must be a list of some of {', '.join(possible)}, not {shown(named)}")
    return tuple(named)


def _counted(ticks: list[Place], name: str) -> bool:
    return any(name in arm.items for tick in ticks for arm in (tick.inside("stable"), tick.inside("canary")) if arm)


def _in_order(whole: Place, times: list[float]) -> None:
    for index, (before, after) in enumerate(pairwise(times), 1):
        if after <= before:
            whole.refuse(f"ticks[{index}].t", f"must be after the tick before it ({before:g}), not {after:g}")


def told(policy: EvidencePolicy) -> dict[str, Any]:
    """A policy as a case has it: what a recorder writes beside its ticks, so that they can be replayed."""
    latency = policy.max_latency_ratio is not None
    terms = {
        "max_error_rate_increase": policy.max_increase,
        "min_effect_abs": policy.min_effect,
        "min_effect_ratio": policy.min_ratio,
        "max_error_rate": policy.max_rate,
        "max_latency_ratio": policy.max_latency_ratio,
        "min_duration_s": policy.min_duration,
        "min_canary_requests": policy.min_requests,
        "false_rollback": policy.false_rollback,
        "false_promote": policy.false_promote,
        "prediction_shift": str(policy.prediction_shift) if PREDICTION_SHIFT in policy.gates else None,
    }
    return {
        "kind": "latency" if latency else "errors",
        "interval_s": policy.interval,
        "gates": list(policy.gates),
        "policy": {name: value for name, value in terms.items() if value is not None},
        **({BOUNDS: list(policy.bounds)} if latency else {}),
    }


def _bounds(whole: Place) -> tuple[float, ...]:
    value = whole.items.get(BOUNDS)
    if value is None:
        return LADDER
    if not isinstance(value, list) or not value:
        whole.refuse(BOUNDS, f"must be a list of seconds, not {shown(value)}")
    numbers = Place(whole.at(BOUNDS), {str(i): one for i, one in enumerate(value)})
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
        predictions=_predictions(arm),
    )


def _predictions(arm: Place) -> Predicted:
    value = arm.items.get("predictions")
    if value is None:
        return ()
    if not isinstance(value, list):
        arm.refuse("predictions", f'must be a list of pairs like ["setosa", 12], not {shown(value)}')
    found: dict[Bin, float] = {}
    for index, pair in enumerate(value):
        place = f"predictions[{index}]"
        if not isinstance(pair, list) or len(pair) != 2 or not (isinstance(pair[0], str) or type(pair[0]) is int):
            arm.refuse(place, f"must be a class or a step of the ladder and a count, not {shown(pair)}")
        if pair[0] in found:
            arm.refuse(place, f"{shown(pair[0])} stands there twice")
        found[pair[0]] = Place(arm.at(place), {"1": pair[1]}).number("1")
    return tuple(found.items())


def _buckets(arm: Place, bounds: tuple[float, ...]) -> tuple[float, ...]:
    value = arm.items.get("latency")
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) != len(bounds) + 1:
        needed = f"{len(bounds) + 1} counts, one a bucket and one above the last bound"
        arm.refuse("latency", f"must have {needed}, not {len(value) if isinstance(value, list) else shown(value)}")
    numbers = Place(arm.at("latency"), {str(index): one for index, one in enumerate(value)})
    return tuple(numbers.number(index) for index in numbers.items)
