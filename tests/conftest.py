"""Options of the whole test tree. They live here because pytest reads options only from the top."""

import asyncio

import pytest
from hypothesis import settings

# A check of a commit says the same of it each time, on a slow machine, too; `make search` looks for the rest.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("search", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cluster", "the Kubernetes API that tests/local and tests/cluster are run against")
    group.addoption("--kubeconfig", help="a cluster to run against (default: start the embedded control plane)")
    group.addoption("--reliability-table", help="write the table of tests/cluster into this file, between its markers")
    group.addoption("--pod-image", help="an image with `sh` and `sleep` which that cluster's nodes have or can pull")


def pytest_sessionstart() -> None:
    # looptime asks for the current event loop before every test, synchronous ones included. Said once that there is
    # none, it is told so; otherwise Python makes a loop on the spot, which nobody closes.
    asyncio.set_event_loop(None)
