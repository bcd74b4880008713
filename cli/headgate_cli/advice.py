"""What is allowed and rarely meant: advice about a ModelDeployment, from its spec alone.

Nothing here says what is valid; whatever has the wrong type is passed over.
"""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

Obj = Mapping[str, Any]

WHOLE = 100
DEFAULT_STEPS = (10, 50)
TOLERATED = Fraction(1, 100)
UNUSUAL_BELOW, UNUSUAL_ABOVE = 0.001, 0.2
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Finding(NamedTuple):
    path: str
    message: str


def advise(obj: Obj) -> list[Finding]:
    spec = _object(obj.get("spec"))
    return [
        *_steps(spec),
        *_traffic(spec),
        *_ways_back(spec),
        *_probabilities(spec),
        *_predictions(spec),
        *_pods(spec),
    ]


def basics(obj: Obj) -> list[Finding]:
    """The rules that matter most, for where nobody can be asked about all of them."""
    spec = _object(obj.get("spec"))
    model, found = _object(spec.get("model")), []
    if not model.get("name"):
        found.append(Finding("spec.model.name", "is missing"))
    if sum(key in model for key in ("version", "alias", "stage", "latest")) != 1:
        found.append(Finding("spec.model", "give exactly one of version, alias, stage and latest"))
    for number, weight in enumerate(_weights(spec)):
        if not (0 < weight <= WHOLE // 2 or weight == WHOLE):
            found.append(Finding(f"spec.rollout.steps[{number}].weight", "a weight is from 1 to 50, or 100"))
    return found


def _strategy(spec: Obj) -> str:
    return str(_object(spec.get("rollout")).get("strategy") or "Canary")


def _steps(spec: Obj) -> Iterator[Finding]:
    rollout = _object(spec.get("rollout"))
    if _strategy(spec) != "Canary":
        if rollout.get("steps"):
            yield Finding("spec.rollout.steps", f"counts for nothing: the strategy is {_strategy(spec)}")
        return
    if rollout.get("blueGreen"):
        yield Finding("spec.rollout.blueGreen", "counts for nothing: the strategy is Canary")
    replicas, given = _replicas(spec), _weights(spec)
    told: set[str] = set()
    for number, weight in enumerate(given or DEFAULT_STEPS):
        if replicas < 1 or not 0 < weight <= WHOLE // 2:
            continue
        share = nearest(str(rollout.get("capacity") or "Safe"), replicas, weight)
        text, path = percent(share), f"spec.rollout.steps[{number}].weight" if given else "spec.rollout.steps"
        if abs(share - Fraction(weight, WHOLE)) > TOLERATED:
            stops = rollout.get("unachievableWeight") == "Reject"
            ends = "; with unachievableWeight: Reject no rollout begins" if stops else ""
            pods = f"{replicas} replica{'' if replicas == 1 else 's'}"
            yield Finding(path, f"{pods} cannot express {weight} % (nearest: {text} %){ends}")
        if text in told:
            yield Finding(path, f"{weight} % is the same share as the step before it: {text} %")
        told.add(text)


def nearest(capacity: str, replicas: int, weight: int) -> Fraction:
    """The share of the traffic that so many pods express, as the operator chooses it."""
    if capacity == "Economical":
        most = [(total, total - -(-replicas // 2)) for total in (replicas, replicas + 1)]
        choices = [
            (Fraction(_within(pods, 1, limit), total), total)
            for total, limit in most
            if limit >= 1
            for pods in (total * weight // WHOLE, total * weight // WHOLE + 1)
        ]
    else:
        exact = replicas * weight // (WHOLE - weight)
        found = [_within(pods, 1, replicas) for pods in (exact, exact + 1)]
        choices = [(Fraction(pods, replicas + pods), replicas + pods) for pods in found]
    wanted = Fraction(weight, WHOLE)
    return min(choices, key=lambda choice: (abs(choice[0] - wanted), choice[1]))[0]


def _traffic(spec: Obj) -> Iterator[Finding]:
    analysis, rollout, replicas = _object(spec.get("analysis")), _object(spec.get("rollout")), _replicas(spec)
    least = analysis.get("minRequests")
    if not isinstance(least, int) or least <= 0 or _strategy(spec) != "Canary" or replicas < 1:
        return
    first = next(iter(_weights(spec)), DEFAULT_STEPS[0])
    if not 0 < first <= WHOLE // 2:
        return
    share = nearest(str(rollout.get("capacity") or "Safe"), replicas, first)
    everything = round(least / share)
    longest = seconds(rollout.get("maxDuration")) or 24 * 3600.0
    hourly = everything / longest * 3600
    told = f"{hourly:,.0f}" if hourly >= 1 else f"{hourly:.2g}"
    yield Finding(
        "spec.analysis.minRequests",
        f"{least:,} requests to the new version are {everything:,} of all clients at {percent(share)} %: "
        f"with fewer than {told} an hour the first step ends without a verdict",
    )


def _ways_back(spec: Obj) -> Iterator[Finding]:
    rollout = _object(spec.get("rollout"))
    if (warm := seconds(rollout.get("keepWarm"))) is not None and warm == 0:
        yield Finding(
            "spec.rollout.keepWarm",
            "after the switch nothing is kept warm: no guard, and an undo has to bring the old version up first",
        )
    if _strategy(spec) == "Canary" and rollout.get("onInconclusive") == "Promote":
        yield Finding("spec.rollout.onInconclusive", "without traffic a version goes on without any evidence")
    if _strategy(spec) == "Rolling":
        yield Finding("spec.rollout.strategy", "Rolling asks for no evidence; Canary does")


def _probabilities(spec: Obj) -> Iterator[Finding]:
    analysis = _object(spec.get("analysis"))
    for name, wrong in (("falseRollback", "an equal version is taken back"), ("falsePromote", "a worse one goes on")):
        try:
            value = float(str(analysis[name]))
        except (KeyError, ValueError):
            continue
        if value > UNUSUAL_ABOVE:
            yield Finding(f"spec.analysis.{name}", f"{wrong} in up to {100 * value:.3g} % of the rollouts")
        elif 0 < value < UNUSUAL_BELOW:
            yield Finding(f"spec.analysis.{name}", f"{value:g} takes many more requests than 0.01 to decide")


def _predictions(spec: Obj) -> Iterator[Finding]:
    analysis = _object(spec.get("analysis"))
    if analysis.get("predictionShift") not in ("Hold", "Rollback"):
        return
    path = "spec.analysis.predictionShift"
    if analysis.get("source") == "Prometheus":
        yield Finding(path, "counts for nothing: source Prometheus has no predictions to compare")
    elif analysis["predictionShift"] == "Rollback":
        yield Finding(path, "a better version predicts otherwise, too, and is rolled back for it; Hold asks a person")


def _pods(spec: Obj) -> Iterator[Finding]:
    serving = _object(spec.get("serving"))
    image = serving.get("image")
    if isinstance(image, str) and "@" not in image:
        _, _, tag = image.rpartition("/")[2].partition(":")
        if tag in {"", "latest"}:
            yield Finding("spec.serving.image", "is not fixed: name a version or a digest instead of latest")
    if not _object(_object(serving.get("resources")).get("requests")):
        yield Finding("spec.serving.resources", "no requests: the scheduler sets nothing aside for the pods")
    if _replicas(spec) == 1:
        yield Finding("spec.replicas", "one pod cannot be evicted without an interruption: run at least two")
    if _object(spec.get("model")).get("stage"):
        yield Finding("spec.model.stage", "MLflow calls stages deprecated: an alias says the same")


def seconds(value: object) -> float | None:
    if not isinstance(value, str) or not re.fullmatch(rf"({_PART.pattern})+", value):
        return None
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _PART.findall(value))


def percent(share: Fraction) -> str:
    return f"{float(100 * share):.3g}"


def _replicas(spec: Obj) -> int:
    value = spec.get("replicas", 1)
    return value if isinstance(value, int) else 0


def _weights(spec: Obj) -> list[int]:
    steps = _object(spec.get("rollout")).get("steps")
    given = [_object(step).get("weight") for step in steps] if isinstance(steps, list) else []
    return [weight for weight in given if isinstance(weight, int)]


def _object(value: object) -> Obj:
    return value if isinstance(value, Mapping) else {}


def _within(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))
