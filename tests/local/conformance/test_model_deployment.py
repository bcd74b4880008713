"""Headgate's own definition (crds/): that a real API server takes it, and that it refuses what the API document says.

Writes are dry runs, but for the one object whose columns are printed; so an operator of the cluster is not set to work.
"""

from __future__ import annotations

from typing import Any

import pytest

from kube_manifests import Namespace
from kube_wire import Answer, Obj, Wire

API = "/apis/headgate.dev/v1alpha1"
ALIAS = {"name": "iris-classifier", "alias": "champion"}


@pytest.fixture(scope="module", autouse=True)
def definition(api: Wire, model_deployments: str) -> Obj:
    return api.read(model_deployments)


def wanted(name: str = "iris", model: Obj | None = None, **spec: Any) -> Obj:
    return {
        "apiVersion": "headgate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": model or ALIAS, **spec},
    }


def path(ns: Namespace, *parts: str) -> str:
    return "/".join([f"{API}/namespaces/{ns.name}/modeldeployments", *parts])


def tried(api: Wire, ns: Namespace, obj: Obj) -> Answer:
    return api.post(path(ns), obj, dryRun="All", fieldValidation="Strict")


def test_the_definition_is_established_without_a_doubt_about_its_schema(definition: Obj) -> None:
    conditions = {c["type"]: c["status"] for c in definition["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions


def test_the_smallest_useful_object_is_taken_and_filled_with_two_defaults(api: Wire, ns: Namespace) -> None:
    answer = tried(api, ns, wanted())
    assert answer.status == 201
    assert answer.body["spec"] == {"model": ALIAS, "replicas": 1, "paused": False}


def test_an_object_with_every_field_is_taken(api: Wire, ns: Namespace) -> None:
    reference = {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}
    spec = {
        "replicas": 3,
        "serving": {
            "image": "registry.invalid/server:1",
            "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"cpu": 2}},
            "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": reference}],
        },
        "rollout": {
            "strategy": "BlueGreen",
            "blueGreen": {"minDuration": "30s"},
            "progressDeadline": "10m",
            "keepWarm": "1h30m",
            "historyLimit": 5,
        },
        "traffic": {"service": {"port": 8080, "annotations": {"a": "b"}, "labels": {"c": "d"}}},
        "paused": True,
    }
    registry = {"uri": "http://mlflow.mlops:5000", "secretName": "mlflow-credentials"}
    model = {"name": "iris", "version": "3", "registry": registry, "digest": "sha256:" + "0a" * 32}
    answer = tried(api, ns, wanted(model=model, **spec))
    assert answer.status == 201, answer.body
    assert answer.body["spec"] == {"model": model, **spec}


@pytest.mark.parametrize(
    ("model", "field", "message"),
    [
        ({"name": "iris"}, "spec.model", "give exactly one of version, alias, stage and latest"),
        (
            {"name": "iris", "alias": "a", "version": "1"},
            "spec.model",
            "give exactly one of version, alias, stage and latest",
        ),
        ({"name": "iris", "alias": "latest"}, "spec.model.alias", "reserved by MLflow"),
        ({"name": "iris", "alias": "v3"}, "spec.model.alias", "reserved by MLflow"),
        ({"name": "iris", "alias": "a b"}, "spec.model.alias", "should match"),
        ({"name": "iris", "version": "three"}, "spec.model.version", "should match"),
        ({"name": "iris", "version": 3}, "spec.model.version", "must be of type string"),
        ({"alias": "champion"}, "spec.model.name", "Required value"),
        ({"name": "", "alias": "champion"}, "spec.model.name", "at least 1 chars long"),
        ({**ALIAS, "digest": "sha256:abc"}, "spec.model.digest", "should match"),
    ],
)
def test_a_wrong_model_is_refused(api: Wire, ns: Namespace, model: Obj, field: str, message: str) -> None:
    answer = tried(api, ns, wanted(model=model))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert message in next(cause["message"] for cause in answer.causes if cause["field"] == field)


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"replicas": 1001}, "spec.replicas", "less than or equal to 1000"),
        ({"replicas": -1}, "spec.replicas", "greater than or equal to 0"),
        ({"rollout": {"strategy": "AllAtOnce"}}, "spec.rollout.strategy", "Unsupported value"),
        ({"rollout": {"keepWarm": "10"}}, "spec.rollout.keepWarm", "should match"),
        ({"rollout": {"keepWarm": "800h"}}, "spec.rollout.keepWarm", "give a duration from 0s to 720h"),
        ({"rollout": {"progressDeadline": "0s"}}, "spec.rollout.progressDeadline", "give a duration from 1s"),
        ({"serving": {"env": [{"name": "HEADGATE_PORT", "value": "1"}]}}, "spec.serving.env[0]", "choose another name"),
        ({"serving": {"env": [{"name": "A"}, {"name": "A"}]}}, "spec.serving.env[1]", "Duplicate value"),
        ({"traffic": {"service": {"port": 0}}}, "spec.traffic.service.port", "greater than or equal to 1"),
        ({"traffic": {"service": {"labels": {"headgate.dev/x": "y"}}}}, "spec.traffic.service.labels", "choose others"),
    ],
)
def test_a_wrong_setting_is_refused(api: Wire, ns: Namespace, spec: Obj, field: str, message: str) -> None:
    answer = tried(api, ns, wanted(**spec))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert message in next(cause["message"] for cause in answer.causes if cause["field"] == field)


@pytest.mark.parametrize("name", ["i" * 53, "1iris", "ir.is"])
def test_a_name_that_cannot_become_a_services_is_refused(api: Wire, ns: Namespace, name: str) -> None:
    answer = tried(api, ns, wanted(name))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert "metadata.name becomes the name of a Service" in answer.message


def test_a_name_of_52_letters_is_taken(api: Wire, ns: Namespace) -> None:
    assert tried(api, ns, wanted("i" * 52)).status == 201


def test_a_misspelt_field_is_told_by_name(api: Wire, ns: Namespace) -> None:
    answer = tried(api, ns, wanted(replica=3))
    assert answer.status == 400
    assert 'unknown field "spec.replica"' in answer.message


def test_the_columns_show_model_version_readiness_and_reason(api: Wire, ns: Namespace) -> None:
    api.create(path(ns), wanted("shown", paused=True))
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    status = {"wanted": "4", "serving": "3 -> 4", "ready": "2/2", "conditions": [ready]}
    assert api.patch(path(ns, "shown", "status"), {"status": status}).status == 200
    table = api.get(path(ns, "shown"), accept="application/json;as=Table;v=v1;g=meta.k8s.io").body
    columns = [column["name"] for column in table["columnDefinitions"]]
    assert columns == ["Name", "Model", "Wanted", "Serving", "Ready", "Status", "Age", "Revision", "Digest"]
    assert table["rows"][0]["cells"][:6] == ["shown", "iris-classifier", "4", "3 -> 4", "2/2", "Serving"]
    assert api.delete(path(ns, "shown")).status == 200
