"""The stock kubectl of this environment, and what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kube_manifests import Namespace, Obj
from kube_wire import Cluster

DEADLINE = 60

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def kubectl_command(cluster: Cluster, gadgets: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    # A cache of its own, so that what kubectl has learnt of another cluster does not count here.
    cache = tmp_path_factory.mktemp("kubectl-cache")
    program = Path(sys.executable).with_name("kubectl")
    return [str(program), f"--kubeconfig={cluster.kubeconfig}", f"--cache-dir={cache}"]


@pytest.fixture(scope="module")
def command(kubectl_command: list[str], ns: Namespace) -> list[str]:
    return [*kubectl_command, f"--namespace={ns.name}"]


@pytest.fixture(scope="module")
def kubectl(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    home = tmp_path_factory.mktemp("home")

    def run(*arguments: str, given: Obj | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*command, *arguments],
            input=json.dumps(given) if given is not None else None,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
            env={**os.environ, "HOME": str(home), "KUBECTL_EXTERNAL_DIFF": "diff -u"},
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def following(command: list[str]) -> Iterator[Callable[..., Iterator[str]]]:
    """Lines of a kubectl that does not end by itself, as they come."""
    started: list[subprocess.Popen[str]] = []

    def follow(*arguments: str) -> Iterator[str]:
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        return iter(process.stdout.readline, "")

    yield follow
    for process in started:
        process.terminate()
        process.communicate(timeout=DEADLINE)
