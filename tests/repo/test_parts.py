"""What CI runs, in parts: no test is left out, and a part that ran nothing is no success."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("parts_under_test", ROOT / "tests" / "parts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


def test_every_test_file_belongs_to_exactly_one_part_that_needs_no_cluster_or_to_the_cluster(parts: ModuleType) -> None:
    folders = [ROOT / path for paths in parts.UNIT.values() for path in paths]
    for file in (ROOT / "tests").rglob("test_*.py"):
        homes = [folder for folder in folders if folder in file.parents]

        assert len(homes) == (0 if (ROOT / "tests" / "cluster") in file.parents else 1), file


def test_every_part_names_what_exists(parts: ModuleType) -> None:
    named = [path for group in (parts.UNIT, parts.CLUSTER) for paths in group.values() for path in paths]

    assert all((ROOT / path).exists() for path in named if not path.startswith("-"))


def test_a_part_that_ran_no_test_has_failed(parts: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "test_none.py").write_text("import pytest\n\n\ndef test_a():\n    pytest.skip('no cluster')\n")

    part = parts.run("none", [str(tmp_path / "test_none.py"), "-p", "no:cacheprovider"])

    assert (part.code, part.counts["skipped"]) == (0, 1)
    assert not part.good


def test_a_part_whose_process_died_has_failed(parts: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "test_dies.py").write_text("import os\n\n\ndef test_a():\n    os._exit(0)\n")

    part = parts.run("dies", [str(tmp_path / "test_dies.py"), "-p", "no:cacheprovider"])

    assert not part.good


def test_the_closing_line_counts_all_parts_as_pytest_does(parts: ModuleType) -> None:
    made = [
        parts.Part("a", 0, 1.5, {"passed": 3, "failed": 0, "errors": 0, "skipped": 1}),
        parts.Part("b", 1, 2.0, {"passed": 2, "failed": 1, "errors": 0, "skipped": 0}),
    ]

    assert parts.closing_line(made).strip("=") == " 1 failed, 5 passed, 1 skipped in 3.50s "
