"""The two images as they were built: what is in them, who they run as, and how large they are packed.

Read from the archives that `tests/cluster/up` wrote, without a container engine.
"""

import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

TESTBED = Path(__file__).parent / "testbed" / "testbed"
MEGABYTE = 1_000_000
LIMITS = {"operator": 90 * MEGABYTE, "server": 150 * MEGABYTE}
PROCESSES = tuple(LIMITS)
# What only the other process needs, or nobody does.
FOREIGN = {
    "operator": {"fastapi", "uvicorn", "sklearn", "onnxruntime", "mlflow", "headgate_server", "pip"},
    "server": {"kopf", "kubernetes", "mlflow", "pandas", "headgate_operator", "pip"},
}


@dataclass(frozen=True)
class Image:
    """One image of an OCI archive."""

    packed: int
    config: dict[str, Any]
    files: frozenset[str]


def text(archive: tarfile.TarFile, name: str) -> Any:
    found: IO[bytes] | None = archive.extractfile(name)
    assert found is not None, name
    return json.load(found)


def blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def read(path: Path) -> Image:
    with tarfile.open(path) as archive:
        manifest = text(archive, blob(text(archive, "index.json")["manifests"][0]["digest"]))
        files: set[str] = set()
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=archive.extractfile(blob(layer["digest"]))) as content:
                files.update(member.name for member in content)
        packed = sum(layer["size"] for layer in manifest["layers"])
        return Image(packed, text(archive, blob(manifest["config"]["digest"]))["config"], frozenset(files))


@pytest.fixture(scope="module", params=PROCESSES)
def process(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def image(process: str, tmp_path_factory: pytest.TempPathFactory) -> Image:
    name = f"testbed.local/headgate-{process}:1"
    if os.environ.get("HEADGATE_CLUSTER") == "kind":
        pytest.skip("the archives are those of the testbed; Docker's differ in their packing")
    state = subprocess.run([TESTBED, "state"], capture_output=True, text=True, check=True).stdout.strip()
    path = Path(state) / "images" / (name.replace("/", "_").replace(":", "_") + ".tar")
    assert path.exists(), f"{name} was not built: make cluster-up"
    return read(path)


def test_an_image_is_no_larger_than_it_promises(process: str, image: Image) -> None:
    print(f"\nheadgate-{process}: {image.packed / MEGABYTE:.1f} MB packed")

    assert image.packed <= LIMITS[process]


def test_an_image_runs_as_nobody_and_its_process_directly(process: str, image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    assert image.config["Entrypoint"] == ["/opt/headgate/bin/python", "-m", f"headgate_{process}"]
    assert image.config["Env"].count("PYTHONDONTWRITEBYTECODE=1") == 1


def test_an_image_says_what_it_is_and_which_commit_made_it(process: str, image: Image) -> None:
    labels = image.config["Labels"]
    prefix = "org.opencontainers.image."

    assert labels[f"{prefix}title"] == f"headgate-{process}"
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert labels[f"{prefix}version"] not in {"", "0.0.0"}
    assert labels[f"{prefix}revision"] not in {"", "unknown"}


def test_an_image_holds_its_own_package_compiled_and_nothing_of_the_other_process(process: str, image: Image) -> None:
    site = "opt/headgate/lib/python3.13/site-packages/"
    packages = {name.removeprefix(site).split("/")[0] for name in image.files if name.startswith(site)}

    assert f"headgate_{process}" in packages
    assert not packages & FOREIGN[process]
    compiled = f"{site}headgate_{process}/__pycache__/"
    assert any(name.startswith(compiled) for name in image.files)


def test_no_cache_certificate_or_index_address_of_the_build_stays_in_an_image(image: Image) -> None:
    assert not [name for name in image.files if "/.cache/" in name or name.endswith("pip.conf")]
    assert not [pair for pair in image.config["Env"] if pair.startswith("PIP_")]
