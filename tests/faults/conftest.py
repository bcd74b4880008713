"""One control plane, one operator and one registry for all faults; each test has a namespace and a model of its own."""

from collections.abc import Iterator

import pytest

from fault_lab import Lab, Subject


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("faults")) as lab:
        yield lab
        said = lab.log.read_text(errors="replace")
        assert "Traceback" not in said, said[said.index("Traceback") - 1000 :][:4000]


@pytest.fixture
def iris(lab: Lab) -> Iterator[Subject]:
    with lab.subject() as subject:
        yield subject
