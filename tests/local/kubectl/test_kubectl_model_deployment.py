"""What a user of Headgate does with kubectl. The objects are paused, so an operator of the cluster starts no pods."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from kube_manifests import Obj

Kubectl = Callable[..., CompletedProcess[str]]
SAMPLES = sorted((Path(__file__).parents[3] / "k8s" / "samples").glob("*.yaml"))
READY = {"type": "Ready", "reason": "Serving", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}

pytestmark = pytest.mark.usefixtures("model_deployments")


def iris(name: str, alias: str = "champion") -> Obj:
    return {
        "apiVersion": "headgate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": {"name": "iris-classifier", "alias": alias}, "paused": True},
    }


def report(kubectl: Kubectl, name: str, status: Obj) -> None:
    """What an operator would write."""
    patch = json.dumps({"status": status})
    kubectl("patch", "mdep", name, "--subresource=status", "--type=merge", "-p", patch)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_taken_by_the_server(kubectl: Kubectl, sample: Path) -> None:
    assert "(server dry run)" in kubectl("apply", "--dry-run=server", "-f", str(sample)).stdout


def test_apply_takes_the_smallest_object_and_its_change(kubectl: Kubectl) -> None:
    for wanted, outcome in (
        (iris("iris"), "created"),
        (iris("iris"), "unchanged"),
        (iris("iris", "next"), "configured"),
    ):
        done = kubectl("apply", "-f", "-", given=wanted)
        assert done.stdout == f"modeldeployment.headgate.dev/iris {outcome}\n"


def test_get_prints_what_the_operator_reports(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=iris("shown"))
    status = {"wanted": "4", "serving": "4", "ready": "2/2", "conditions": [{**READY, "status": "True"}]}
    report(kubectl, "shown", status)
    head, row = (line.split() for line in kubectl("get", "mdep", "shown").stdout.splitlines())
    assert head == ["NAME", "MODEL", "WANTED", "SERVING", "READY", "STATUS", "AGE"]
    assert row[:6] == ["shown", "iris-classifier", "4", "4", "2/2", "Serving"]


def test_wait_for_ready_ends_when_the_operator_says_so(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=iris("awaited"))
    report(kubectl, "awaited", {"conditions": [{**READY, "status": "False"}]})
    kubectl("wait", "mdep/awaited", "--for=condition=Ready", "--timeout=1s", code=1)
    report(kubectl, "awaited", {"conditions": [{**READY, "status": "True"}]})
    kubectl("wait", "mdep/awaited", "--for=condition=Ready", "--timeout=10s")


def test_scale_sets_the_replicas(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=iris("scaled"))
    assert kubectl("scale", "mdep/scaled", "--replicas=3").stdout == "modeldeployment.headgate.dev/scaled scaled\n"
    assert kubectl("get", "mdep", "scaled", "-o=jsonpath={.spec.replicas}").stdout == "3"


def test_explain_tells_what_a_field_means(kubectl: Kubectl) -> None:
    words = kubectl("explain", "mdep.spec.model.alias").stdout.split()
    assert "Moving it in the registry starts a rollout." in " ".join(words)


def test_a_refusal_says_what_to_do(kubectl: Kubectl) -> None:
    wanted = iris("both")
    wanted["spec"]["model"]["version"] = "3"
    done = kubectl("apply", "-f", "-", given=wanted, code=1)
    assert 'The ModelDeployment "both" is invalid' in done.stderr
    assert "give exactly one of version, alias, stage and latest" in done.stderr


def test_delete_takes_the_object_away(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=iris("passing"))
    assert kubectl("delete", "mdep", "passing").stdout.startswith('modeldeployment.headgate.dev "passing" deleted')
    assert kubectl("get", "mdep", "-o", "name", "--field-selector=metadata.name=passing").stdout == ""
