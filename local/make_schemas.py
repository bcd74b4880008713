"""Cuts the schemas of the built-in kinds we serve out of a real API server's own OpenAPI documents.

`python local/make_schemas.py <folder> <module cache>/k8s.io/{api,apimachinery}@<version>` rewrites schemas.json,
descriptions.json and messages.json in headgate_local/api/builtin. The folder holds what a server answers to
`kubectl get --raw /openapi/v3/apis/apps/v1` as apis__apps__v1_openapi.json, and so on: the documents in Kubernetes'
repository (api/openapi-spec/v3) are named and look the same, but leave out the values of enumerations.

Server-side apply must know which lists are maps and by which keys, and copying that by hand would drift from the real
thing. Descriptions are only for people who ask `kubectl explain`, so they lie apart and are read when somebody does.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCUMENTS = (
    "api__v1",
    "apis__apps__v1",
    "apis__apiextensions.k8s.io__v1",
    "apis__authentication.k8s.io__v1",
    "apis__authorization.k8s.io__v1",
    "apis__autoscaling__v1",
    "apis__coordination.k8s.io__v1",
    "apis__discovery.k8s.io__v1",
    "apis__events.k8s.io__v1",
    "apis__policy__v1",
    "apis__rbac.authorization.k8s.io__v1",
    "apis__scheduling.k8s.io__v1",
)
ROOTS = (
    "io.k8s.api.apps.v1.ControllerRevision",
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.apps.v1.ReplicaSet",
    "io.k8s.api.authentication.v1.SelfSubjectReview",
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    "io.k8s.api.authorization.v1.SubjectAccessReview",
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Event",
    "io.k8s.api.core.v1.Namespace",
    "io.k8s.api.core.v1.Node",
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.core.v1.Secret",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.core.v1.ServiceAccount",
    "io.k8s.api.discovery.v1.EndpointSlice",
    "io.k8s.api.events.v1.Event",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
    "io.k8s.api.rbac.v1.ClusterRole",
    "io.k8s.api.rbac.v1.ClusterRoleBinding",
    "io.k8s.api.rbac.v1.Role",
    "io.k8s.api.rbac.v1.RoleBinding",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
)
PREFIX = "#/components/schemas/"
DROPPED = {"description", "externalDocs", "x-kubernetes-group-version-kind", "title"}


def compact(schema: Any) -> Any:
    if isinstance(schema, list):
        return [compact(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "allOf" in schema and len(schema["allOf"]) == 1:
        schema = {**{k: v for k, v in schema.items() if k != "allOf"}, **schema["allOf"][0]}
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in DROPPED or (key == "default" and value in ({}, "", 0, None)):
            continue
        if key == "properties":
            kept[key] = {name: compact(child) for name, child in sorted(value.items())}
        else:
            kept[key] = compact(value)
    return kept


def reachable(schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = compact(schemas[name])
        text = json.dumps(found[name])
        waiting += [part.split('"')[0] for part in text.split(f'"$ref": "{PREFIX}')[1:]]
    return dict(sorted(found.items()))


def descriptions(schemas: dict[str, Any], names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What is said of each schema (under the empty name) and of each of its fields."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        parts = {"": schemas[name], **schemas[name].get("properties", {})}
        texts = {field: part["description"] for field, part in sorted(parts.items()) if part.get("description")}
        if texts:
            found[name] = texts
    return found


MESSAGE = re.compile(r"^message (\w+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^\s*(optional|repeated|map<string, ?)\s*([\w.]+)>? (\w+) = (\d+);", re.MULTILINE)


def messages(folders: list[Path]) -> dict[str, Any]:
    """Number, name, type and label of every field of every message, from the modules' .proto files."""
    found: dict[str, Any] = {}
    for folder in folders:
        for proto in sorted(folder.rglob("generated.proto")):
            text = proto.read_text(encoding="utf-8")
            package = text.split("\npackage ")[1].split(";")[0]
            for name, body in MESSAGE.findall(text):
                fields = {
                    number: [field, _absolute(package, kind), label[:3]]
                    for label, kind, field, number in FIELD.findall(body)
                }
                found[f"{package}.{name}"] = fields
    return found


def _absolute(package: str, kind: str) -> str:
    if kind.startswith("."):
        return kind[1:]
    return kind if kind[0].islower() and "." not in kind else f"{package}.{kind}"


def reachable_messages(found: dict[str, Any], roots: list[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found and name not in kept:
            kept[name] = found[name]
            waiting += [kind for _, kind, _ in found[name].values()]
    return dict(sorted(kept.items()))


def write_lines(name: str, entries: dict[str, Any]) -> None:
    lines = [f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}" for key, value in entries.items()]
    target = Path(__file__).parent / "headgate_local" / "api" / "builtin" / name
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main(folder: Path, protos: list[Path]) -> None:
    schemas: dict[str, Any] = {}
    for document in DOCUMENTS:
        text = (folder / f"{document}_openapi.json").read_text(encoding="utf-8")
        schemas.update(json.loads(text)["components"]["schemas"])
    kept = reachable(schemas)
    write_lines("schemas.json", kept)
    write_lines("descriptions.json", descriptions(schemas, kept))
    # kubectl writes only objects of these groups in protobuf.
    roots = [name.replace("io.k8s.", "k8s.io.", 1) for name in ROOTS if name.startswith("io.k8s.api.")]
    write_lines("messages.json", reachable_messages(messages(protos), roots))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
