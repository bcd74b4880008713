"""The CRD and the code know the same fields, with the same limits: neither promises what the other does not keep."""

from __future__ import annotations

import dataclasses
import types
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
import yaml

from headgate_operator import contract
from headgate_operator.api.codec import camel
from headgate_operator.api.parse import parse_spec, spec_to_dict
from headgate_operator.api.reasons import ConditionType
from headgate_operator.api.status import Status
from headgate_operator.core import ledger
from headgate_operator.core.quarantine import CAPACITY

ROOT = Path(__file__).parents[3]
CRD = yaml.safe_load((ROOT / "crds" / "modeldeployments.headgate.dev.yaml").read_text(encoding="utf-8"))
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]["properties"]
SAMPLES = sorted((ROOT / "k8s" / "samples").glob("*.yaml"))

Schema = dict[str, Any]


def leaves(schema: Schema, path: str = "") -> dict[str, Schema]:
    """Every field of a schema that has no fields of its own."""
    if schema.get("type") == "array":
        return leaves(schema["items"], path + "[]")
    if "properties" not in schema:
        return {path: schema}
    inner = [leaves(sub, f"{path}.{name}".lstrip(".")) for name, sub in schema["properties"].items()]
    return {key: value for found in inner for key, value in found.items()}


def every_node(schema: Schema, path: str) -> list[tuple[str, Schema]]:
    found = [(path, schema)]
    for name, sub in schema.get("properties", {}).items():
        found += every_node(sub, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            found += every_node(schema[name], f"{path}[{name}]")
    return found


NODES = every_node(SCHEMA["spec"], "spec") + every_node(SCHEMA["status"], "status")

_FULL: dict[str, Any] = {
    "model": {
        "name": "m",
        "alias": "champion",
        "registry": {"uri": "http://r:5000", "secretName": "s"},
        "digest": "sha256:" + "0" * 64,
    },
    "replicas": 3,
    "serving": {
        "image": "i",
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
        "env": [{"name": "A", "value": "b"}],
    },
    "rollout": {
        "strategy": "Canary",
        "steps": [{"weight": 10, "minDuration": "1m", "approval": "Auto"}, {"weight": 50, "approval": "Manual"}],
        "blueGreen": {"minDuration": "30s", "approval": "Manual"},
        "maxDuration": "2h",
        "onInconclusive": "Rollback",
        "onFailure": "Hold",
        "capacity": "Economical",
        "unachievableWeight": "Reject",
        "progressDeadline": "5m",
        "keepWarm": "1h",
        "historyLimit": 4,
    },
    "analysis": {
        "source": "Prometheus",
        "prometheus": {"url": "http://prometheus:9090"},
        "metrics": [
            {
                "name": "revenue",
                "query": "sum(a{revision='${candidate}'}) $ 1",
                "min": "-0.5",
                "max": "12",
                "for": "5m",
                "onFailure": "Rollback",
                "dryRun": True,
            }
        ],
        "errorRate": {"maxIncrease": "0.02", "minEffect": "0.001", "minRatio": "1.5", "max": "0.1"},
        "latency": {"maxRatio": "1.5"},
        "predictionShift": "Rollback",
        "interval": "20s",
        "minDuration": "3m",
        "minRequests": 100,
        "falseRollback": "0.02",
        "falsePromote": "0.01",
        "webhooks": [
            {
                "name": "bot",
                "url": "https://bots/x?y=z",
                "when": "BeforePromotion",
                "timeout": "5s",
                "secretName": "k",
            }
        ],
    },
    "traffic": {"service": {"type": "NodePort", "port": 81, "annotations": {"a": "b"}, "labels": {"c": "d"}}},
    "disruption": {"maxUnavailable": "25%"},
    "paused": True,
}


OTHER_REFERENCES = {"model.version", "model.stage", "model.latest.tags"}
"""The alternatives to the alias of the examples."""


def test_every_field_of_spec_is_read_and_none_besides() -> None:
    assert spec_to_dict(parse_spec({"metadata": {"name": "m"}, "spec": _FULL})) == _FULL
    passed_through = ("serving.resources", "serving.env")
    in_schema = {path for path in leaves(SCHEMA["spec"]) if not path.startswith(passed_through)}
    in_code = {path for path in _paths(_FULL) if not path.startswith(passed_through)} | OTHER_REFERENCES
    assert in_schema == in_code


def _paths(value: dict[str, Any], path: str = "") -> set[str]:
    found: set[str] = set()
    for name, item in value.items():
        inner = f"{path}.{name}".lstrip(".")
        a_map = name in {"annotations", "labels", "tags"}
        if isinstance(item, list) and item and all(isinstance(entry, dict) for entry in item) and name != "env":
            found = found.union(*(_paths(entry, f"{inner}[]") for entry in item))
        else:
            found |= _paths(item, inner) if isinstance(item, dict) and not a_map else {inner}
    return found


def test_every_field_of_status_is_the_same_in_schema_and_code() -> None:
    assert _schema_kinds() == _code_kinds(Status)


def _schema_kinds() -> dict[str, str]:
    return {path: _kind(schema) for path, schema in leaves(SCHEMA["status"]).items()}


def _kind(schema: Schema) -> str:
    return "date-time" if schema.get("format") == "date-time" else str(schema["type"])


def _code_kinds(kind: Any, path: str = "") -> dict[str, str]:
    hints, found = get_type_hints(kind), dict[str, str]()
    for field in dataclasses.fields(kind):
        hint, inner = hints[field.name], f"{path}.{camel(field.name)}".lstrip(".")
        if get_origin(hint) in (Union, types.UnionType):
            (hint,) = (option for option in get_args(hint) if option is not type(None))
        if get_origin(hint) is tuple:
            hint, inner = get_args(hint)[0], inner + "[]"
        if dataclasses.is_dataclass(hint):
            found |= _code_kinds(hint, inner)
        else:
            found[inner] = {datetime: "date-time", bool: "boolean", int: "integer"}.get(hint, "string")
    return found


def test_enums_of_status_are_those_of_the_code() -> None:
    in_schema = {path: schema["enum"] for path, schema in leaves(SCHEMA["status"]).items() if "enum" in schema}
    in_code = _code_enums(Status)
    assert in_schema == {path: in_code[path] for path in in_schema}


def _code_enums(kind: Any, path: str = "") -> dict[str, list[str]]:
    hints, found = get_type_hints(kind), dict[str, list[str]]()
    for field in dataclasses.fields(kind):
        hint, inner = hints[field.name], f"{path}.{camel(field.name)}".lstrip(".")
        if get_origin(hint) in (Union, types.UnionType):
            (hint,) = (option for option in get_args(hint) if option is not type(None))
        if get_origin(hint) is tuple:
            hint, inner = get_args(hint)[0], inner + "[]"
        if dataclasses.is_dataclass(hint):
            found |= _code_enums(hint, inner)
        elif isinstance(hint, type) and issubclass(hint, StrEnum):
            found[inner] = [str(member) for member in hint]
    return found


@pytest.mark.parametrize(("path", "schema"), NODES, ids=[path for path, _ in NODES])
def test_every_field_is_described_and_bounded(path: str, schema: Schema) -> None:
    if not path.endswith("[additionalProperties]"):
        assert schema.get("description"), "kubectl explain shows nothing"
    kind = schema.get("type")
    if kind == "string" and "enum" not in schema and schema.get("format") != "date-time":
        assert "maxLength" in schema
    if kind == "array":
        assert "maxItems" in schema
        assert "x-kubernetes-list-type" in schema
    if kind == "object" and "additionalProperties" in schema:
        assert "maxProperties" in schema
    if kind == "integer" and path.startswith("spec"):
        assert {"minimum", "maximum"} <= set(schema)
    for rule in schema.get("x-kubernetes-validations", []):
        assert rule["message"]


def test_names_are_the_contracts() -> None:
    spec = CRD["spec"]
    assert (spec["group"], spec["names"]["plural"], spec["names"]["kind"], VERSION["name"]) == (
        contract.GROUP,
        contract.PLURAL,
        contract.KIND,
        contract.VERSION,
    )
    assert spec["names"]["shortNames"] == ["mdep"]
    assert set(VERSION["subresources"]) == {"status", "scale"}


def test_lists_are_as_long_as_the_code_lets_them_grow() -> None:
    status = SCHEMA["status"]["properties"]
    assert status["rejected"]["maxItems"] == CAPACITY
    for place in (status["rollout"], status["history"]["items"]):
        assert place["properties"]["decisions"]["maxItems"] == ledger.CAPACITY
    limit = SCHEMA["spec"]["properties"]["rollout"]["properties"]["historyLimit"]
    assert status["history"]["maxItems"] == limit["maximum"]
    assert status["conditions"]["maxItems"] >= len(ConditionType)


def test_printer_columns_point_at_fields_that_exist() -> None:
    known = {f".status.{path}" for path in leaves(SCHEMA["status"])} | {f".spec.{p}" for p in leaves(SCHEMA["spec"])}
    columns = {column["name"]: column["jsonPath"] for column in VERSION["additionalPrinterColumns"]}
    assert list(columns) == ["Model", "Wanted", "Serving", "Ready", "Status", "Age", "Revision", "Digest"]
    plain = [path for path in columns.values() if "[" not in path and "metadata" not in path]
    assert set(plain) <= known


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_samples_can_be_read(sample: Path) -> None:
    parse_spec(yaml.safe_load(sample.read_text(encoding="utf-8")))


def test_the_full_sample_shows_every_field() -> None:
    sample = yaml.safe_load((ROOT / "k8s" / "samples" / "everything.yaml").read_text(encoding="utf-8"))
    left_out = OTHER_REFERENCES | {"model.digest"}  # in the sample of a pinned version
    shown = {path for path in _paths(sample["spec"]) if not path.startswith("serving.")}
    assert {p for p in leaves(SCHEMA["spec"]) if not p.startswith("serving.")} - left_out == shown
