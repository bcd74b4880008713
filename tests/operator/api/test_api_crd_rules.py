"""What the API server itself says to a spec that cannot work: refused at once, with the thing to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from headgate_local.api.server import ApiServer
from headgate_local.client import ApiError, LocalClient

ROOT = Path(__file__).parents[3]
DEFINITION = yaml.safe_load((ROOT / "crds" / "modeldeployments.headgate.dev.yaml").read_text(encoding="utf-8"))
SAMPLES = sorted((ROOT / "k8s" / "samples").glob("*.yaml"))


@pytest.fixture(scope="module")
def client() -> LocalClient:
    client = LocalClient(ApiServer(now=lambda: datetime(2026, 1, 1, tzinfo=UTC)))
    client.create(DEFINITION)
    return client


def described(name: str = "iris", **spec: Any) -> dict[str, Any]:
    spec = {"model": {"name": "m", "alias": "champion"}, **spec}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "headgate.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_samples_are_accepted_as_they_are(client: LocalClient, sample: Path) -> None:
    obj = yaml.safe_load(sample.read_text(encoding="utf-8"))
    obj["metadata"]["namespace"] = "default"
    created = client.create(obj)
    defaults = {"replicas": 1, "paused": False}
    assert created["spec"] == {**defaults, **obj["spec"]}, "nothing is lost and only defaults are added"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"model": {"name": "m"}}, "exactly one of version, alias, stage and latest"),
        ({"model": {"name": "m", "alias": "a", "version": "1"}}, "exactly one of version, alias, stage and latest"),
        ({"model": {"name": "m", "alias": "a", "stage": "Staging"}}, "exactly one of"),
        ({"model": {"name": "m", "version": "1", "latest": {}}}, "exactly one of"),
        ({"model": {"name": "m", "version": "1", "alias": "a", "stage": "Staging", "latest": {}}}, "exactly one of"),
        ({"model": {"name": "m", "stage": "production"}}, "spec.model.stage"),
        ({"model": {"name": "m", "latest": {"tags": {"": "a"}}}}, "1 to 128 characters"),
        ({"model": {"name": "m", "latest": {"tags": {str(n): "" for n in range(9)}}}}, "spec.model.latest.tags"),
        ({"model": {"alias": "a"}}, "spec.model.name"),
        ({"model": {"name": "a/b", "alias": "a"}}, "spec.model.name"),
        ({"model": {"name": "m", "alias": "latest"}}, "set an alias of your own"),
        ({"model": {"name": "m", "alias": "v3"}}, "set an alias of your own"),
        ({"model": {"name": "m", "version": "v3"}}, "spec.model.version"),
        ({"model": {"name": "m", "alias": "a", "digest": "sha256:0"}}, "spec.model.digest"),
        ({"model": {"name": "m", "alias": "a", "registry": {"uri": "file:///x"}}}, "spec.model.registry.uri"),
        ({"replicas": -1}, "spec.replicas"),
        ({"replicas": 1001}, "spec.replicas"),
        ({"serving": {"env": [{"name": "HEADGATE_PORT", "value": "1"}]}}, "choose another name"),
        (
            {"serving": {"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]}},
            "not both",
        ),
        ({"serving": {"env": [{"name": "A"}, {"name": "A"}]}}, "spec.serving.env"),
        ({"rollout": {"strategy": "AllAtOnce"}}, "spec.rollout.strategy"),
        ({"rollout": {"steps": [{"weight": 50}, {"weight": 10}]}}, "must grow"),
        ({"rollout": {"steps": [{"weight": 10}, {"weight": 10}]}}, "must grow"),
        ({"rollout": {"steps": [{"weight": 75}]}}, "with pods alone"),
        ({"rollout": {"steps": []}}, "spec.rollout.steps"),
        ({"rollout": {"steps": [{"weight": 100, "minDuration": "1m"}]}}, "the switch itself"),
        ({"rollout": {"steps": [{"weight": 10, "approval": "Yes"}]}}, "spec.rollout.steps"),
        ({"rollout": {"maxDuration": "0s"}}, "from 1s to 720h"),
        ({"analysis": {"interval": "0s"}}, "from 1s to 720h"),
        ({"analysis": {"falseRollback": "0"}}, "give a probability"),
        ({"analysis": {"falsePromote": "0.6"}}, "give a probability"),
        ({"analysis": {"falsePromote": 0.05}}, "spec.analysis.falsePromote"),
        ({"analysis": {"errorRate": {"maxIncrease": "1"}}}, "give a share"),
        ({"analysis": {"errorRate": {"minRatio": "0.5"}}}, "give a ratio"),
        ({"analysis": {"latency": {"maxRatio": "1e9"}}}, "spec.analysis.latency.maxRatio"),
        ({"rollout": {"keepWarm": "soon"}}, "spec.rollout.keepWarm"),
        ({"rollout": {"keepWarm": "9000h"}}, "from 0s to 720h"),
        ({"rollout": {"progressDeadline": "0s"}}, "from 1s to 720h"),
        ({"rollout": {"historyLimit": 0}}, "spec.rollout.historyLimit"),
        ({"traffic": {"service": {"port": 70000}}}, "spec.traffic.service.port"),
        ({"traffic": {"service": {"type": "ExternalName"}}}, "spec.traffic.service.type"),
        ({"traffic": {"service": {"labels": {"headgate.dev/x": "y"}}}}, "choose others"),
        ({"traffic": {"service": {"labels": {"team": "a b"}}}}, "spec.traffic.service.labels"),
        ({"traffic": {"service": {"labels": {"team": "-a"}}}}, "spec.traffic.service.labels"),
        *(
            ({"traffic": {"service": {field: {key: "a"}}}}, "keys look like")
            for field in ("labels", "annotations")
            for key in ("", "a b", "/a", "a/", "a/b/c", "-a", "a_", "a" * 64, ".a/b", "a..b/c", "d" * 254 + "/a", "ä")
        ),
        ({"traffic": {"service": {"labels": {"Example.com/a": "a"}}}}, "keys look like"),
        *(
            ({"analysis": {"webhooks": [{"name": "bot", "url": "https://x", "when": "OnRollback", **wrong}]}}, says)
            for wrong, says in (
                ({"name": "A"}, "webhooks[0].name"),
                ({"url": "ftp://x"}, "webhooks[0].url"),
                ({"when": "Always"}, "webhooks[0].when"),
                ({"timeout": "1h"}, "from 1s to 30s"),
            )
        ),
        ({"analysis": {"source": "Elsewhere"}}, "spec.analysis.source"),
        ({"analysis": {"prometheus": {"url": "prometheus:9090"}}}, "spec.analysis.prometheus.url"),
        *(
            ({"analysis": {"metrics": [{"name": "m", "query": "q", "min": "1"} | wrong]}}, says)
            for wrong, says in (
                ({"name": "M"}, "metrics[0].name"),
                ({"query": "a{r='${candidat}'}"}, "metrics[0].query"),
                ({"query": "${}"}, "metrics[0].query"),
                ({"min": "1e3"}, "metrics[0].min"),
                ({"max": "0.5"}, "min must not be above max"),
                ({"for": "25h"}, "from 0s to 24h"),
                ({"onFailure": "Ignore"}, "metrics[0].onFailure"),
            )
        ),
        ({"analysis": {"metrics": [{"name": "m", "query": "q"}]}}, "give min, max or both"),
        ({"disruption": {"maxUnavailable": -1}}, "spec.disruption.maxUnavailable"),
        ({"disruption": {"maxUnavailable": 1001}}, "spec.disruption.maxUnavailable"),
        ({"disruption": {"maxUnavailable": "101%"}}, "spec.disruption.maxUnavailable"),
        ({"disruption": {"maxUnavailable": "2"}}, "spec.disruption.maxUnavailable"),
    ],
)
def test_a_spec_that_cannot_work_is_refused(client: LocalClient, spec: dict[str, Any], says: str) -> None:
    with pytest.raises(ApiError) as caught:
        client.create(described("refused", **spec))
    assert caught.value.status == 422
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("by-stage", {"stage": "None"}),
        ("by-newest", {"latest": {}}),
        ("by-tags", {"latest": {"tags": {"validation_status": "approved", "team/owner": ""}}}),
    ],
)
def test_each_way_to_name_a_version_is_taken(client: LocalClient, name: str, reference: dict[str, Any]) -> None:
    made = client.create(described(name, model={"name": "m", **reference}))
    assert made["spec"]["model"] == {"name": "m", **reference}


@pytest.mark.parametrize("key", ["a", "A_b.c-D", "a" * 63, "example.com/a", "e-x.a-1/A", "d" * 253 + "/a"])
def test_keys_that_a_service_can_carry_are_taken(client: LocalClient, key: str) -> None:
    service = {"labels": {key: ""}, "annotations": {key: "", key.upper(): "any text: ü"}}
    made = client.create(described(f"keys-{len(key)}-{key[0].lower()}{key[-1].lower()}", traffic={"service": service}))
    assert made["spec"]["traffic"]["service"] == service


@pytest.mark.parametrize("number", [0, 1, 1000, "0%", "7%", "100%"])
def test_a_budget_is_a_number_or_a_percentage(client: LocalClient, number: int | str) -> None:
    name = f"budget-{str(number).replace('%', 'p')}"
    client.create(described(name, disruption={"maxUnavailable": number}))


@pytest.mark.parametrize("name", ["i" * 53, "1iris", "a.b"])
def test_a_name_that_cannot_be_a_service_is_refused(client: LocalClient, name: str) -> None:
    with pytest.raises(ApiError, match=r"name of a Service"):
        client.create(described(name))
