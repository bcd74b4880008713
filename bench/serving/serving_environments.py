"""Each peer's own environment, made by uv from its requirement file and kept in the user's cache folder.

The folder's name holds the digest of the file, so an environment is made anew exactly when the file changes. Which
registry is used is the machine's affair.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements")
WHOLE = ".whole"


class NotInstalled(Exception):  # noqa: N818 - the text of what went wrong
    pass


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headgate" / "bench-serving"


def folder(name: str, requirements: str, version: str) -> Path:
    digest = hashlib.sha256(f"{version}\n{requirements}".encode()).hexdigest()[:12]
    return cache() / f"{name}-{digest}"


def ready(name: str, say: Callable[[str], None]) -> Path:
    """The environment's folder, made if it is not there yet."""
    file = REQUIREMENTS / f"{name}.txt"
    made = folder(name, file.read_text(encoding="utf-8"), sys.version)
    if not (made / WHOLE).exists():
        say(f"installing {name} into {made}")
        shutil.rmtree(made, ignore_errors=True)
        made.parent.mkdir(parents=True, exist_ok=True)
        _run([uv(), "venv", "--quiet", "--python", sys.executable, str(made)])
        _run([uv(), "pip", "install", "--quiet", "--python", str(made / "bin" / "python"), "-r", str(file)])
        # Compiled before the first start, or that start would be the only one that pays for it.
        _run([str(made / "bin" / "python"), "-m", "compileall", "-q", "-j", "1", str(made / "lib")], anyhow=True)
        (made / WHOLE).touch()
    return made


def packages(python: Path) -> list[str]:
    """What is installed, as name==version."""
    done = subprocess.run([uv(), "pip", "freeze", "--python", str(python)], capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "==" in line and " " not in line]


def uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise NotInstalled("uv is not installed: `make install` brings it")
    return found


def _run(command: list[str], *, anyhow: bool = False) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 and not anyhow:
        raise NotInstalled((done.stderr or done.stdout).strip()[-600:])
