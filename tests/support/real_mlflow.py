"""A real MLflow server in a process of its own, on SQLite, and the few writes that tests make to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STARTS_WITHIN = 240  # importing it alone takes half a minute on a busy machine


class RealMlflow:
    def __init__(self, uri: str) -> None:
        self.uri = uri

    def post(self, call: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.uri}/api/2.0/mlflow/{call}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                answer: dict[str, Any] = json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{call} {body}: {error.read().decode()}") from error
        return answer

    def register(self, name: str, *, tags: dict[str, str] | None = None) -> str:
        pairs = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        answer = self.post("model-versions/create", name=name, source="s3://models/files", tags=pairs)
        return str(answer["model_version"]["version"])

    def create(self, name: str) -> None:
        self.post("registered-models/create", name=name)

    def stage(self, name: str, version: str, stage: str) -> None:
        self.post(
            "model-versions/transition-stage", name=name, version=version, stage=stage, archive_existing_versions=False
        )

    def tag(self, name: str, version: str, key: str, value: str) -> None:
        self.post("model-versions/set-tag", name=name, version=version, key=key, value=value)

    def alias(self, name: str, alias: str, version: str) -> None:
        self.post("registered-models/alias", name=name, alias=alias, version=version)


@contextmanager
def real_mlflow(folder: Path) -> Iterator[RealMlflow]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    # Its job runner adds six processes that a registry does not need.
    env = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "TMPDIR": str(folder)}
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **env}, cwd=folder, start_new_session=True
        )
        try:
            uri = f"http://127.0.0.1:{port}"
            _wait(uri, process, folder / "mlflow.log")
            yield RealMlflow(uri)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + STARTS_WITHIN
    while True:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < end, log.read_text(errors="replace")
            time.sleep(0.2)
