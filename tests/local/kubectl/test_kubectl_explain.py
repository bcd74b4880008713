"""`kubectl explain` of built-in kinds, of a custom one and of Headgate's own, from the server's own documents."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from kube_manifests import GROUP

Kubectl = Callable[..., CompletedProcess[str]]


def test_a_built_in_kind_is_described_with_its_fields(kubectl: Kubectl) -> None:
    text = kubectl("explain", "deployment").stdout
    assert text.startswith(
        "GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nDESCRIPTION:\n    Deployment enables"
    )
    assert "  spec\t<DeploymentSpec>\n    Specification of the desired behavior of the Deployment.\n" in text


def test_a_field_deep_inside_is_described_with_its_type(kubectl: Kubectl) -> None:
    text = kubectl("explain", "pod.spec.containers.ports.containerPort").stdout
    assert text == (
        "KIND:       Pod\nVERSION:    v1\n\nFIELD: containerPort <integer>\n\n\nDESCRIPTION:\n"
        "    Number of port to expose on the pod's IP address. This must be a valid port\n"
        "    number, 0 < x < 65536.\n    \n\n"
    )


def test_a_list_of_objects_is_described_by_what_is_in_it(kubectl: Kubectl) -> None:
    text = kubectl("explain", "service.spec.ports").stdout
    assert "FIELD: ports <[]ServicePort>" in text
    assert "  port\t<integer> -required-\n" in text
    assert "  targetPort\t<IntOrString>\n" in text


def test_the_values_of_an_enumeration_are_listed(kubectl: Kubectl) -> None:
    text = kubectl("explain", "deployment.spec.strategy.type").stdout
    assert "ENUM:\n    Recreate\n    RollingUpdate\n" in text


def test_a_budget_explains_what_it_cannot_have_together(kubectl: Kubectl) -> None:
    text = kubectl("explain", "pdb.spec.maxUnavailable").stdout
    assert "This is a mutually exclusive setting with" in text


def test_recursive_shows_every_field_below_and_no_description(kubectl: Kubectl) -> None:
    lines = kubectl("explain", "deployment.spec.strategy", "--recursive").stdout.splitlines()
    fields = lines[lines.index("FIELDS:") + 1 :]
    assert [line for line in fields if line] == [
        "  rollingUpdate\t<RollingUpdateDeployment>",
        "    maxSurge\t<IntOrString>",
        "    maxUnavailable\t<IntOrString>",
        "  type\t<string>",
        "  enum: Recreate, RollingUpdate",
    ]


def test_a_custom_kind_is_explained_by_its_definition(kubectl: Kubectl) -> None:
    text = kubectl("explain", "gadget.spec", f"--api-version={GROUP}/v1").stdout
    assert text.startswith(f"GROUP:      {GROUP}\nKIND:       Gadget\nVERSION:    v1\n")
    assert "  code\t<string> -required-\n" in text
    assert "  size\t<string>\n  enum: Small, Large\n" in text


@pytest.mark.parametrize("field", ["apiVersion", "kind", "metadata", "metadata.labels"])
def test_the_fields_every_object_has_are_described_for_a_custom_kind_too(kubectl: Kubectl, field: str) -> None:
    custom, built_in = (kubectl("explain", f"{kind}.{field}").stdout for kind in ("gadget", "configmap"))
    assert custom.partition("DESCRIPTION:")[2] == built_in.partition("DESCRIPTION:")[2]
    assert "<empty>" not in custom


def test_a_model_deployment_is_explained_down_to_its_leaves(kubectl: Kubectl, model_deployments: str) -> None:
    text = kubectl("explain", "modeldeployments.spec.model").stdout
    assert "KIND:       ModelDeployment" in text
    assert "  alias\t<string>\n    An alias of the model, like champion." in text
    lines = kubectl("explain", "modeldeployments", "--recursive").stdout.splitlines()
    assert "  spec\t<Object> -required-" in lines
    assert "      alias\t<string>" in lines


def test_a_field_that_is_not_there_is_an_error(kubectl: Kubectl) -> None:
    assert kubectl("explain", "deployment.spec.spoon", code=1).stderr == 'error: field "spoon" does not exist\n'


def test_a_kind_that_is_not_there_is_an_error(kubectl: Kubectl) -> None:
    done = kubectl("explain", "spoons", code=1)
    assert 'the server doesn\'t have a resource type "spoons"' in done.stderr
