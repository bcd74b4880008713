"""What a user installs: one wheel with four packages and the CRD, from requirements without addresses."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_carries_every_package_and_the_crd(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"headgate_operator", "headgate_server", "headgate_cli", "headgate_local"}
    assert "headgate_local/crds/modeldeployments.headgate.dev.yaml" in names
    assert not any(name.endswith("operator/__init__.py") and "headgate" not in name for name in names)


def test_all_packages_have_the_version_of_the_distribution() -> None:
    versions = {
        path.parent.name: re.search(r'__version__ = "(.+)"', path.read_text())
        for path in ROOT.glob("*/headgate_*/__init__.py")
    }
    assert len(versions) == 4
    assert len({found.group(1) for found in versions.values() if found}) == 1


def test_requirements_are_pinned_by_hash_and_name_no_index() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, f"{path.name} names an address"
        assert "--index" not in text
        pins = re.findall(r"^([a-z0-9][\w.-]*)==", text, flags=re.MULTILINE)
        assert pins, path.name
        assert text.count("--hash=sha256:") >= len(pins), f"{path.name} has a pin without a hash"


def test_no_folder_called_operator_is_a_package() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not re.search(r"(^|/)operator/__init__\.py$", tracked, flags=re.MULTILINE)
