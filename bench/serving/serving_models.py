"""The trained models: made once by train_models.py in its own environment, and the rows that are sent to them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import serving_environments as environments

SCRIPT = Path(__file__).with_name("train_models.py")


@dataclass(frozen=True)
class Models:
    folder: Path
    rows: list[list[float]]
    answers: dict[str, list[int]]


def ready(folder: Path, say: Callable[[str], None]) -> Models:
    environment = environments.ready("models", say)
    told = (environment.name + sha256(SCRIPT.read_bytes()).hexdigest()).encode()
    made = folder / sha256(told).hexdigest()[:12]
    rows = made / "rows.json"  # written last
    if not rows.exists():
        say("training the models")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        done = subprocess.run(
            [str(environment / "bin" / "python"), str(SCRIPT), str(made)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise environments.NotInstalled(done.stderr.strip()[-600:])
    document = json.loads(rows.read_text(encoding="utf-8"))
    return Models(made, document["rows"], document["answers"])
