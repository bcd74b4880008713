"""The pages of protocols under docs/serving: each command runs as it is written, and prints what the page shows."""

import json
import re
import subprocess
from pathlib import Path

import pytest

import model_dirs
from server_process import ServerProcess

PAGES = sorted((Path(__file__).parents[2] / "docs" / "serving").glob("*.md"))
PROTOCOLS = [page for page in PAGES if page.stem != "onnx"]  # of Python: test_server_onnx_docs.py
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
# What no two runs share; the page shows one run's.
VOLATILE = {"request_id", "latency_ms"}


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    names = ["setosa", "versicolor", "virginica"]
    path = model_dirs.iris(tmp_path_factory.mktemp("docs") / "model", metadata={"class_names": names})
    with ServerProcess(model=path, model_name="iris", model_version="3") as server:
        yield server.wait_ready()


def commands(page):
    """(command, lines that the page shows under it)."""
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        joined = block.replace("\\\n", "")
        for part in re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown.strip()


def compared(text):
    """JSON without what changes from run to run; other text as it is."""
    try:
        found = json.loads(text, parse_float=lambda number: round(float(number), 6))
    except ValueError:
        return text.strip()
    return {k: v for k, v in found.items() if k not in VOLATILE} if isinstance(found, dict) else found


def test_there_is_a_page_a_protocol():
    assert [page.stem for page in PROTOCOLS] == ["mlflow", "predict", "v1", "v2"]


@pytest.mark.parametrize("page", PROTOCOLS, ids=lambda page: page.stem)
def test_each_command_prints_what_the_page_shows(iris, page):
    found = list(commands(page))
    assert found
    for command, shown in found:
        assert shown, f"{command!r} shows what it prints"
        done = subprocess.run(
            ["bash", "-c", command.replace("localhost:8080", f"127.0.0.1:{iris.port}")],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert compared(done.stdout) == compared(shown), command
