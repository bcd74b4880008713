"""A namespace for each file of checks, and the custom resource definition they share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kube_manifests import GADGETS, GROUP, RUN, Namespace, fresh, gadget_crd
from kube_wire import Wire, eventually

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="session", autouse=True)
def gadgets(api: Wire) -> Iterator[str]:
    """The path of the definition. It is made first, because a real cluster's controllers learn of kinds only slowly."""
    path = f"{CRDS}/gadgets.{GROUP}"
    api.create(CRDS, gadget_crd())
    eventually(lambda: api.get(GADGETS + "/gadgets").status == 200, "the custom resource is served")
    yield path
    assert api.delete(path).status == 200


@pytest.fixture(scope="module")
def ns(api: Wire) -> Iterator[Namespace]:
    name = fresh(f"conformance-{RUN}")
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield Namespace(name)
    assert api.delete(f"/api/v1/namespaces/{name}").status == 200
