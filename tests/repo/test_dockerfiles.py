"""The images as they are written down: what a build copies exists and is let in, and nothing else is."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROCESSES = ("operator", "server")


def instructions(process: str) -> list[str]:
    text = (ROOT / f"Dockerfile.{process}").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def copied(process: str) -> set[str]:
    lines = [line.split()[1:-1] for line in instructions(process) if re.match(r"COPY (?!--from)", line)]
    return {source for sources in lines for source in sources}


@pytest.mark.parametrize("process", PROCESSES)
def test_an_image_holds_its_own_package_and_requirements_only(process: str) -> None:
    package, requirements = f"{process}/headgate_{process}", f"requirements/{process}.txt"

    assert copied(process) == {package, requirements, "LICENSE", "NOTICE"}
    assert all((ROOT / source).exists() for source in copied(process))


def test_the_build_context_is_what_the_images_copy_and_nothing_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]

    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied("operator") | copied("server")


@pytest.mark.parametrize("process", PROCESSES)
def test_an_image_runs_its_process_directly_and_not_as_root(process: str) -> None:
    final = instructions(process)[-8:]

    # With a shell as process 1 SIGTERM would never arrive, and no pod would drain.
    (entry,) = [line for line in final if line.startswith("ENTRYPOINT")]
    assert json.loads(entry.removeprefix("ENTRYPOINT "))[1:] == ["-m", f"headgate_{process}"]
    assert "USER 65532:65532" in final


@pytest.mark.parametrize("process", PROCESSES)
def test_requirements_are_installed_by_hash(process: str) -> None:
    (install,) = [line for line in instructions(process) if "pip install" in line]

    assert "--require-hashes" in install
