"""A real server process on real sockets, for tests: started on free ports, asked over HTTP, ended by signal.

Waiting is always on a condition with a deadline; the log is read as it comes and shown when something fails.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

DEADLINE = 60.0
# Said by the process itself: between fork and exec of a process with threads nothing is safe to run.
LIMITED = (
    "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({0}, {0})); sys.argv[1:] = []; "
    "runpy.run_module('headgate_server', run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ServerProcess:
    """`python -m headgate_server` with the given settings (names without HEADGATE_, any case).

    `descriptors`: so many may it have open at once.
    """

    def __init__(self, *, descriptors: int | None = None, **settings: Any) -> None:
        self._command = [sys.executable, "-m", "headgate_server"]
        if descriptors is not None:
            self._command[1:] = ["-c", LIMITED.format(descriptors), "headgate_server"]
        given = {"host": "127.0.0.1", "port": 0, "ops_port": 0, "drain_delay": 0, "threads": 1} | settings
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HEADGATE_")}
        self._environment = kept | {f"HEADGATE_{name.upper()}": str(value) for name, value in given.items()}
        self._process: subprocess.Popen[str] | None = None
        self.log: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._reader: threading.Thread | None = None

    def start(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parent,
        )
        self._reader = threading.Thread(target=self._read, name="server log", daemon=True)
        self._reader.start()
        self.wait_for_log("starting")
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self.wait_for_log("starting")["port"])

    @property
    def ops_port(self) -> int:
        return int(self.wait_for_log("starting")["ops_port"])

    def wait_for_log(self, message: str) -> dict[str, Any]:
        """The first log line with that message."""

        def found() -> dict[str, Any] | None:
            return next((line for line in list(self.log) if line.get("message") == message), None)

        deadline = time.monotonic() + DEADLINE
        with self._changed:
            while (line := found()) is None:
                alive = self._process is not None and self._process.poll() is None
                if time.monotonic() > deadline or (not alive and not self._changed.wait(1)):
                    raise AssertionError(f"no log line {message!r}: {self.log}")
                self._changed.wait(0.5)
        return line

    def readyz(self) -> Reply:
        return self.request("GET", "/readyz", port=self.ops_port)

    def wait_ready(self) -> Self:
        self.wait_until(lambda: self.readyz().status == 200)
        return self

    def wait_for_reason(self, reason: str) -> dict[str, Any]:
        """The body of /readyz once it tells that reason."""
        self.wait_until(lambda: self.readyz().json.get("reason") == reason)
        body: dict[str, Any] = self.readyz().json
        return body

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            if time.monotonic() > deadline or (self._process is not None and self._process.poll() is not None):
                raise AssertionError(f"waited in vain: {self.log}")
            threading.Event().wait(0.02)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str | None] | None = None,
        port: int | None = None,
    ) -> Reply:
        """One request on its own connection; a body that is not bytes goes as JSON; a header of None is left out."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=DEADLINE)
        try:
            given = {"content-type": "application/json"} if body is not None else {}
            raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            sent = {name: value for name, value in {**given, **(headers or {})}.items() if value is not None}
            connection.request(method, path, raw, sent)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def post(self, path: str, body: Any, **given: Any) -> Reply:
        return self.request("POST", path, body, **given)

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(DEADLINE)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"message": line.rstrip()}
            with self._changed:
                self.log.append(entry)
                self._changed.notify_all()
