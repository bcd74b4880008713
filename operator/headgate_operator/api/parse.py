"""From the JSON of a ModelDeployment to `Spec` and back.

The CRD's schema and CEL rules say the same and say it first; this is for the day when an old or edited CRD lets
something through: then the object is told what is wrong (InvalidSpec) and nothing that serves is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from headgate_operator.api.model import STAGES, ByAlias, ByLatest, ByStage, ByVersion, ModelRef
from headgate_operator.api.parse_rollout import analysis_to_dict, parse_analysis, parse_rollout, rollout_to_dict
from headgate_operator.api.reader import Reader
from headgate_operator.api.spec import (
    DisruptionSpec,
    ModelSpec,
    RegistrySpec,
    ServiceSpec,
    ServiceType,
    ServingSpec,
    Spec,
)
from headgate_operator.api.webhooks import parse_webhooks, webhook_to_dict

_VERSION = re.compile(r"^[0-9]{1,19}$")
_ALIAS = re.compile(r"^[A-Za-z0-9_-]{1,256}$")
_RESERVED_ALIAS = re.compile(r"^(latest|[vV][0-9]+)$")
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_NAME = re.compile(r"^[a-z][-a-z0-9]{0,51}$")


def parse_spec(obj: Mapping[str, Any]) -> Spec:
    """`obj` is the whole object: its name is checked too, since it becomes a Service's."""
    name = Reader(obj.get("metadata"), "metadata").required_text("name")
    if not _NAME.match(name):
        raise Reader({}, "metadata").error("name", "must begin with a letter and have at most 52 characters")
    spec = Reader(obj.get("spec"), "spec")
    replicas = spec.integer("replicas", low=0, high=1000)
    return Spec(
        model=_model(spec.object("model")),
        replicas=1 if replicas is None else replicas,
        serving=_serving(spec.object("serving")),
        rollout=parse_rollout(spec.object("rollout")),
        analysis=parse_analysis(spec.object("analysis")),
        service=_service(spec.object("traffic").object("service")),
        disruption=DisruptionSpec(
            max_unavailable=spec.object("disruption").integer_or_percentage("maxUnavailable", high=1000)
        ),
        webhooks=parse_webhooks(spec.object("analysis")),
        paused=spec.flag("paused", default=False),
    )


def _model(model: Reader) -> ModelSpec:
    name = model.required_text("name")
    if len(name) > 256 or "/" in name or ":" in name:
        raise model.error("name", "must be a registered model's name: 1 to 256 characters without / and :")
    digest = model.text("digest")
    if digest is not None and not _DIGEST.match(digest):
        raise model.error("digest", "must be sha256: and 64 lower-case hexadecimal digits")
    registry = model.object("registry")
    return ModelSpec(
        name=name,
        ref=_ref(model),
        registry=RegistrySpec(uri=registry.text("uri"), secret_name=registry.text("secretName")),
        digest=digest,
    )


def _ref(model: Reader) -> ModelRef:
    given = [name for name in _REFS if model.has(name)]
    if len(given) != 1:
        raise model.error("version", "give exactly one of version, alias, stage and latest")
    return _REFS[given[0]](model)


def _by_version(model: Reader) -> ModelRef:
    version = model.required_text("version")
    if not _VERSION.match(version):
        raise model.error("version", 'must be the version\'s number as a string, like "3"')
    return ByVersion(version)


def _by_alias(model: Reader) -> ModelRef:
    alias = model.required_text("alias")
    if not _ALIAS.match(alias):
        raise model.error("alias", "must be 1 to 256 of the characters A-Z a-z 0-9 _ -")
    if _RESERVED_ALIAS.match(alias):
        raise model.error("alias", "is reserved by MLflow; set an alias of your own, like champion")
    return ByAlias(alias)


def _by_stage(model: Reader) -> ModelRef:
    stage = model.required_text("stage")
    if stage not in STAGES:
        raise model.error("stage", f"must be one of {', '.join(STAGES)}")
    return ByStage(stage)


def _by_latest(model: Reader) -> ModelRef:
    latest = model.object("latest")
    tags = latest.texts("tags")
    if len(tags) > 8 or any(not key or len(key) > 128 or len(value) > 128 for key, value in tags.items()):
        raise latest.error("tags", "must be at most 8, each with a key and a value of at most 128 characters")
    return ByLatest(tuple(sorted(tags.items())))


_REFS: dict[str, Callable[[Reader], ModelRef]] = {
    "version": _by_version,
    "alias": _by_alias,
    "stage": _by_stage,
    "latest": _by_latest,
}


def _serving(serving: Reader) -> ServingSpec:
    env = serving.objects("env")
    for variable in env:
        if variable.required_text("name").startswith("HEADGATE_"):
            raise variable.error("name", "HEADGATE_ variables are set by the operator; choose another name")
    return ServingSpec(
        image=serving.text("image"),
        resources=serving.json("resources"),
        env=tuple(variable.raw for variable in env),
    )


def _service(service: Reader) -> ServiceSpec:
    kind = service.text("type")
    if kind is not None and kind not in set(ServiceType):
        raise service.error("type", f"must be one of {', '.join(ServiceType)}")
    return ServiceSpec(
        type=None if kind is None else ServiceType(kind),
        port=service.integer("port", low=1, high=65535),
        annotations=service.texts("annotations"),
        labels=service.texts("labels"),
    )


def spec_to_dict(spec: Spec) -> dict[str, Any]:
    """The JSON that parses to `spec`: only what the user said."""
    written = _spec_to_dict(spec)
    if spec.model.ref == ByLatest():  # empty, and yet said
        written["model"]["latest"] = {}
    return written


def _ref_to_dict(ref: ModelRef) -> dict[str, Any]:
    match ref:
        case ByVersion(version):
            return {"version": version}
        case ByAlias(alias):
            return {"alias": alias}
        case ByStage(stage):
            return {"stage": stage}
        case ByLatest(tags):
            return {"latest": {"tags": dict(tags)}}


def _spec_to_dict(spec: Spec) -> dict[str, Any]:
    return _without_empty(
        {
            "model": {
                "name": spec.model.name,
                **_ref_to_dict(spec.model.ref),
                "registry": {"uri": spec.model.registry.uri, "secretName": spec.model.registry.secret_name},
                "digest": spec.model.digest,
            },
            "replicas": spec.replicas,
            "serving": {
                "image": spec.serving.image,
                "resources": spec.serving.resources,
                "env": list(spec.serving.env),
            },
            "rollout": rollout_to_dict(spec.rollout),
            "analysis": {
                **analysis_to_dict(spec.analysis),
                "webhooks": [webhook_to_dict(hook) for hook in spec.webhooks],
            },
            "traffic": {
                "service": {
                    "type": None if spec.service.type is None else str(spec.service.type),
                    "port": spec.service.port,
                    "annotations": spec.service.annotations,
                    "labels": spec.service.labels,
                }
            },
            "disruption": {"maxUnavailable": spec.disruption.max_unavailable},
            "paused": spec.paused,
        }
    )


def _without_empty(value: Mapping[str, Any]) -> dict[str, Any]:
    inner = {name: _without_empty(item) if isinstance(item, Mapping) else item for name, item in value.items()}
    return {name: item for name, item in inner.items() if item is not None and item not in ({}, [])}
