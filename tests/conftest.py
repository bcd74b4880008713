"""Options of the whole test tree. They live here because pytest reads options only from the top."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cluster", "the Kubernetes API that tests/local is run against")
    group.addoption("--kubeconfig", help="a cluster to run against (default: start the embedded control plane)")
    group.addoption("--pod-image", help="an image with `sh` and `sleep` which that cluster's nodes have or can pull")
