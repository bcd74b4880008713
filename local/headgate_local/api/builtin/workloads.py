"""Deployments, ReplicaSets and ControllerRevisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headgate_local.api import selectors
from headgate_local.api.builtin.pods import default_spec, spec_errors
from headgate_local.api.metadata import label_errors
from headgate_local.errors import FieldError, FieldReason, forbidden, invalid, not_supported, required
from headgate_local.store import Obj


def _default_template(spec: Obj) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    default_spec(template.setdefault("spec", {}))


class DeploymentRules:
    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        for name, value in (("replicas", 1), ("revisionHistoryLimit", 10), ("progressDeadlineSeconds", 600)):
            if spec.get(name) is None:
                spec[name] = value
        strategy = spec.setdefault("strategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxSurge", "25%")
            rolling.setdefault("maxUnavailable", "25%")
        _default_template(spec)

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        del old
        obj.setdefault("status", {})

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        spec = obj["spec"]
        errors = list(_scaled_errors(spec)) + list(_strategy_errors(spec))
        if old is not None and spec.get("selector") != old["spec"].get("selector"):
            errors.append(_immutable("spec.selector", spec.get("selector")))
        return errors


def _immutable(path: str, value: Any) -> FieldError:
    return FieldError(FieldReason.INVALID, path, value, "field is immutable")


class ReplicaSetRules:
    def default(self, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("replicas") is None:
            spec["replicas"] = 1
        _default_template(spec)

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        if old is None:
            obj["status"] = {"replicas": 0}

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        spec = obj["spec"]
        errors = list(_scaled_errors(spec))
        if old is not None and spec.get("selector") != old["spec"].get("selector"):
            errors.append(_immutable("spec.selector", spec.get("selector")))
        return errors


def _scaled_errors(spec: Obj) -> Iterator[FieldError]:
    if spec.get("replicas", 0) < 0:
        yield invalid("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    selector, template = spec.get("selector"), spec["template"]
    labels = template.get("metadata", {}).get("labels") or {}
    if selector is None:
        yield required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid("spec.selector", selector, "empty selector is invalid for deployment")
    yield from label_errors("spec.template.labels", labels)
    if selector and not selectors.of_spec(selector).matches(labels):
        yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from spec_errors(template["spec"], "spec.template.spec")
    policy = template["spec"].get("restartPolicy")
    if policy in ("OnFailure", "Never"):
        yield not_supported("spec.template.spec.restartPolicy", policy, ("Always",))


def _strategy_errors(spec: Obj) -> Iterator[FieldError]:
    strategy = spec["strategy"]
    if strategy["type"] not in ("Recreate", "RollingUpdate"):
        yield not_supported("spec.strategy.type", strategy["type"], ("Recreate", "RollingUpdate"))
    if strategy["type"] == "Recreate" and strategy.get("rollingUpdate") is not None:
        yield forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    rolling = strategy.get("rollingUpdate") or {}
    if _is_zero(rolling.get("maxSurge", 1)) and _is_zero(rolling.get("maxUnavailable", 1)):
        hint = "may not be 0 when `maxSurge` is 0"
        yield invalid("spec.strategy.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], hint)
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        yield invalid(
            "spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"], "must be greater than minReadySeconds"
        )


def _is_zero(value: Any) -> bool:
    return value in (0, "0", "0%")


class ControllerRevisionRules:
    def default(self, obj: Obj) -> None:
        """Nothing is filled."""

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        """Nothing is set."""

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        errors = []
        if obj.get("data") is None:
            errors.append(required("data", "data is mandatory"))
        if obj.get("revision", 0) < 0:
            errors.append(invalid("revision", obj["revision"], "must be greater than or equal to 0"))
        if old is not None and obj.get("data") != old.get("data"):
            errors.append(_immutable("data", obj.get("data")))
        return errors
