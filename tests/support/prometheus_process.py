"""A real Prometheus (Debian's package, or any on PATH) that scrapes what a test tells it to, every second."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Event
from typing import Any, Self

DEADLINE = 60.0
PROGRAM = shutil.which("prometheus")
MISSING = "no prometheus on PATH (apt-get install prometheus)"
CONFIG = """\
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
"""


class PrometheusProcess:
    """`jobs`: the targets (host:port) of each job."""

    def __init__(self, folder: Path, jobs: Mapping[str, Iterable[str]]) -> None:
        self._folder = folder
        self._config = CONFIG + "".join(
            f"- {{job_name: {job}, static_configs: [{{targets: {json.dumps(list(targets))}}}]}}\n"
            for job, targets in jobs.items()
        )
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        assert PROGRAM is not None, MISSING
        config, log = self._folder / "prometheus.yml", self._folder / "prometheus.log"
        config.write_text(self._config)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    PROGRAM,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.wait_until("vector(1)", 1.0)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def wait_until(self, promql: str, value: float) -> None:
        """Until the query's only series has that value."""
        deadline = time.monotonic() + DEADLINE
        while (told := self._ask(promql)) != [value]:
            assert self._process is not None
            if time.monotonic() > deadline or self._process.poll() is not None:
                log = (self._folder / "prometheus.log").read_text()[-2000:]
                raise AssertionError(f"waited in vain for {promql} == {value}, it is {told}: {log}")
            Event().wait(0.05)

    def _ask(self, promql: str) -> list[float]:
        query = urllib.parse.urlencode({"query": promql})
        try:
            with urllib.request.urlopen(f"{self.uri}/api/v1/query?{query}", timeout=5) as answer:
                body: dict[str, Any] = json.load(answer)
        except OSError:
            return []
        return [float(one["value"][1]) for one in body["data"]["result"]]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
