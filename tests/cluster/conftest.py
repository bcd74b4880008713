"""A real cluster for all end-to-end tests, one that runs already: `make cluster-up`, or kind.

These tests are collected only where the command line names this folder or a file in it: a plain run over all tests must
not take possession of a cluster that happens to be there.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_lab import Lab
from cluster_platform import Platform, platform_of
from cluster_record import TABLE, write_table
from cluster_subject import Subject
from cluster_trial import Trial
from kube_wire import Wire, read_kubeconfig

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = [(config.invocation_params.dir / arg.partition("::")[0]).resolve() for arg in config.args]
    asked = any(path == HERE or HERE in path.parents for path in named)
    return None if asked else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rights of the operator are judged by all that it did."""
    items.sort(key=lambda item: item.path.name == "test_cluster_rbac.py")


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """The cluster that --kubeconfig names, by default the testbed's."""
    found = platform_of(request.config.getoption("kubeconfig"))
    if found is None:
        pytest.fail("no cluster: start one with `make cluster-up`, or name one with --kubeconfig FILE")
    wire = Wire(read_kubeconfig(found.kubeconfig, tmp_path_factory.mktemp("kubeconfig")))
    try:
        wire.get("/readyz")
    except OSError as error:
        pytest.fail(f"the cluster of {found.kubeconfig.name} does not answer ({error}): `make cluster-up`")
    finally:
        wire.close()
    return found


@pytest.fixture(scope="session")
def lab(platform: Platform, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The operator from its chart, an MLflow server with trained models, and nothing of an earlier session."""
    with Lab(platform, tmp_path_factory.mktemp("lab")) as lab:
        yield lab
    file = request.config.getoption("reliability_table")
    write_table(Path(file) if file else TABLE)


@pytest.fixture
def trial(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Trial]:
    """A scenario with a subject of its own. What must hold when it is over is looked at where the test has passed."""
    with lab.namespace() as namespace:
        trial = Trial(request.function.__name__, Subject(lab, namespace))
        failed = request.session.testsfailed
        yield trial
        if request.session.testsfailed == failed:
            trial.finish()


@pytest.fixture
def iris(trial: Trial) -> Subject:
    return trial.subject
