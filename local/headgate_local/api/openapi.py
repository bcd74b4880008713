"""The OpenAPI documents, as far as stock clients need them.

kubectl asks whether a kind's PATCH knows `fieldValidation` before it leaves validation to the server, and `explain`
walks the schemas. Both are served from the schemas that also drive validation here, so they cannot disagree with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from headgate_local.kinds import Kind, Kinds
from headgate_local.schema import REF_PREFIX, builtin_definitions

Json = dict[str, Any]
WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


def index(kinds: Kinds) -> Json:
    found = {}
    for group, versions in kinds.groups().items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            digest = hashlib.sha256(json.dumps(document(kinds, group, version), sort_keys=True).encode()).hexdigest()
            found[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest[:32].upper()}"}
    return {"paths": found}


def document(kinds: Kinds, group: str, version: str) -> Json | None:
    served = [kind for kind in kinds if (kind.group, kind.version) == (group, version)]
    if not served:
        return None
    paths: Json = {}
    for kind in served:
        paths |= _paths(kind)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Headgate local plane", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": {name: _with_all_of(raw) for name, raw in _schemas(served).items()}},
    }


def swagger(kinds: Kinds) -> Json:
    """The version 2 document, for older clients."""
    schemas = _schemas(list(kinds))
    text = json.dumps(schemas).replace(REF_PREFIX, "#/definitions/")
    info = {"title": "Headgate local plane", "version": "unversioned"}
    return {"swagger": "2.0", "info": info, "paths": {}, "definitions": json.loads(text)}


def schema_name(kind: Kind) -> str:
    if kind.custom:
        return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])
    packages = {
        "": "io.k8s.api.core",
        "rbac.authorization.k8s.io": "io.k8s.api.rbac",
        "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    }
    package = packages.get(kind.group, f"io.k8s.api.{kind.group.split('.')[0]}")
    return f"{package}.{kind.version}.{kind.kind}"


def _about(kind: Kind) -> Json:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _schemas(served: list[Kind]) -> Json:
    definitions = builtin_definitions()
    found: Json = {}
    for kind in served:
        name = schema_name(kind)
        texts = _descriptions().get(name, _common_descriptions())
        found[name] = {**_described(texts, kind.schema.raw), "x-kubernetes-group-version-kind": [_about(kind)]}
    waiting = list(found.values())
    while waiting:
        text = json.dumps(waiting.pop())
        for part in text.split(f'"$ref": "{REF_PREFIX}')[1:]:
            name = part.split('"')[0]
            if name not in found:
                found[name] = _described(_descriptions().get(name, {}), definitions[name])
                waiting.append(definitions[name])
    return dict(sorted(found.items()))


@cache
def _descriptions() -> dict[str, dict[str, str]]:
    source = resources.files("headgate_local.api.builtin").joinpath("descriptions.json")
    texts: dict[str, dict[str, str]] = json.loads(source.read_text(encoding="utf-8"))
    return texts


def _common_descriptions() -> dict[str, str]:
    """Of the fields that every object has; what else a custom kind has, its definition describes itself."""
    texts = _descriptions()["io.k8s.api.core.v1.ConfigMap"]
    return {field: texts[field] for field in ("apiVersion", "kind", "metadata")}


def _described(texts: Mapping[str, str], raw: Mapping[str, Any]) -> Json:
    """A schema with what is said of it (under the empty name) and of its fields."""
    described: Json = {**({"description": texts[""]} if "" in texts else {}), **raw}
    if "properties" in raw:
        described["properties"] = {
            field: {"description": texts[field], **child} if field in texts else child
            for field, child in raw["properties"].items()
        }
    return described


def _with_all_of(raw: Any) -> Any:
    """The form of version 3, in which nothing may stand beside a reference."""
    if isinstance(raw, list):
        return [_with_all_of(one) for one in raw]
    if not isinstance(raw, dict):
        return raw
    kept = {key: _with_all_of(value) for key, value in raw.items()}
    if isinstance(kept.get("$ref"), str) and len(kept) > 1:
        kept["allOf"] = [{"$ref": kept.pop("$ref")}]
    return kept


def _paths(kind: Kind) -> Json:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    place = "/namespaces/{namespace}" if kind.namespaced else ""
    answer = {"200": {"description": "OK", "content": _content(kind)}}
    write = [_parameter(name) for name in WRITE_PARAMETERS]
    return {
        f"{root}{place}/{kind.plural}": {
            "get": _operation(kind, "list", [], answer),
            "post": {**_operation(kind, "post", write, answer), "requestBody": {"content": _content(kind)}},
        },
        f"{root}{place}/{kind.plural}/{{name}}": {
            "get": _operation(kind, "get", [], answer),
            "put": {**_operation(kind, "put", write, answer), "requestBody": {"content": _content(kind)}},
            "patch": _operation(kind, "patch", [*write, _parameter("force", "boolean")], answer),
            "delete": _operation(kind, "delete", [_parameter("dryRun")], answer),
        },
    }


def _content(kind: Kind) -> Json:
    return {"application/json": {"schema": {"$ref": f"{REF_PREFIX}{schema_name(kind)}"}}}


def _operation(kind: Kind, action: str, parameters: list[Json], answers: Json) -> Json:
    return {
        "operationId": f"{action}{kind.kind}",
        "parameters": parameters,
        "responses": answers,
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _about(kind),
    }


def _parameter(name: str, kind: str = "string") -> Json:
    return {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}
