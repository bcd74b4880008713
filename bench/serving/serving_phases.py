"""The three parts of a run: starts and memory one by one, the interleaved rounds, liveness under a busy model.

A server that fails in a part is reported with its error and left out of it; the others go on.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import serving_liveness as liveness
import serving_requests as requests
import serving_wrk as wrk
from serving_contenders import OURS, Contender, Place
from serving_models import Models
from serving_process import Reply, Server, ServerFailed, ask, free_ports
from serving_record import Record
from serving_samples import CELLS, MODELS, ROWS, Cell, Sample

FAILURES = (ServerFailed, requests.WrongAnswer, wrk.WrkFailed, OSError, http.client.HTTPException, ValueError)
STARTS = 5
LOOKS = 3
SOME_SPINS = 100_000


class Running:
    """A server that answers rightly, and the address and body of each load."""

    def __init__(self, contender: Contender, server: Server, ops_port: int) -> None:
        self.contender, self.server, self.ops_port = contender, server, ops_port
        self.loads: dict[int, tuple[str, Path]] = {}

    @property
    def probe_port(self) -> int:
        return self.ops_port if self.contender.live_on_ops else self.server.port


class Phases:
    def __init__(
        self, record: Record, programs: dict[str, Path], trained: Models, work: Path, say: Callable[[str], None]
    ) -> None:
        self._record, self._programs, self._models, self._work, self._say = record, programs, trained, work, say
        self._up: list[Server] = []
        self._lengths: dict[tuple[str, str, int], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for server in list(self._up):
            self._end(server)

    def starts(self, contenders: list[Contender]) -> list[Contender]:
        """Who starts and answers rightly. Each is alone on the machine; the first start only warms the disk's cache."""
        able = list(contenders)
        times = 1 + min(self._record.rounds, STARTS)
        for number in range(times):
            for contender in list(able):
                with self._trying(contender, "start") as tried:
                    self._start(contender, number, last=number == times - 1)
                if tried:
                    able.remove(contender)
        return able

    def _start(self, contender: Contender, number: int, *, last: bool) -> None:
        running, seconds = self._launch(contender, "lr")
        start = self._record.start(contender.name)
        if number:
            start.seconds.append(seconds)
        self._prepare(running, "lr")
        if last:
            self._load(running, Cell("lr", 1, 16), 0)
            start.rss_mib, start.pss_mib = running.server.weight()
        self._say(f"start {number}: {contender.name} {seconds:.2f} s")
        self._end(running.server)

    def rounds(self, contenders: list[Contender]) -> None:
        for model in MODELS:
            up = [running for contender in contenders if (running := self._brought_up(contender, model))]
            for number in range(1, self._record.rounds + 1):
                for cell in (cell for cell in CELLS if cell.model == model):
                    turn = number % len(up) if up else 0
                    for running in up[turn:] + up[:turn]:
                        with self._trying(running.contender, f"{model}, round {number}") as tried:
                            self._measure(running, cell, number)
                        if tried:
                            up.remove(running)
            for running in up:
                self._end(running.server)

    def _brought_up(self, contender: Contender, model: str) -> Running | None:
        with self._trying(contender, f"start with {model}"):
            running, _ = self._launch(contender, model)
            self._prepare(running, model)
            running.server.settle()
            running.server.pause()
            return running
        return None

    def _measure(self, running: Running, cell: Cell, number: int) -> None:
        running.server.resume()
        sample = self._load(running, cell, number)
        running.server.settle()
        running.server.pause()
        self._record.samples.append(sample)
        self._say(
            f"round {number}/{self._record.rounds}: {cell.model}, {cell.rows} rows, c = {cell.connections}: "
            f"{running.contender.name} {sample.rate:,.0f}/s"
            + (f", {sample.failed} FAILED of {sample.requests}" if sample.failed else "")
        )

    def liveness(self, contenders: list[Contender]) -> None:
        for contender in contenders:
            if contender.is_echo or contender.name == f"{OURS}-invocations":
                continue  # nothing to be busy with; the same process as the one before
            with self._trying(contender, "liveness"):
                running, _ = self._launch(contender, "busy")
                predict = self._busy(running)
                looks = [liveness.look(predict, running.probe_port, contender.live) for _ in range(LOOKS)]
                self._record.liveness[contender.name] = looks
                self._say(f"liveness: {contender.name} p99 {max(look.p99_ms for look in looks):.1f} ms")
                self._end(running.server)

    def _busy(self, running: Running) -> Callable[[], Reply]:
        """A request that keeps the model busy for two seconds."""
        contender, port = running.contender, running.server.port
        path = requests.PATHS[contender.protocol]
        if contender.peer != OURS:
            body = requests.body(contender.protocol, self._models.rows[:1])
            return lambda: ask(port, "POST", path, body)

        def spin(times: int) -> Reply:
            tensor = {"name": "spins", "shape": [1], "datatype": "INT64", "data": [times]}
            return ask(port, "POST", path, json.dumps({"inputs": [tensor]}).encode())

        began = time.monotonic()
        spin(SOME_SPINS)
        spins = round(SOME_SPINS * liveness.BUSY_SECONDS / (time.monotonic() - began))
        return lambda: spin(spins)

    def _launch(self, contender: Contender, model: str) -> tuple[Running, float]:
        work = self._work / "servers" / f"{contender.name}-{model}"
        work.mkdir(parents=True, exist_ok=True)
        port, ops_port = free_ports()
        programs = self._programs[contender.environment]
        place = Place(programs, self._models.folder / model / contender.form, work, port, ops_port)
        server = Server(contender.name, contender.command(place), work / "log.txt", programs, port)
        self._up.append(server)
        running = Running(contender, server, ops_port)
        return running, server.wait_ready(contender.ready, running.probe_port)

    def _prepare(self, running: Running, model: str) -> None:
        """The loads of this model, each asked once: a 200 with the right classes."""
        contender = running.contender
        for rows in ROWS:
            body = requests.body(contender.protocol, self._models.rows[:rows])
            file = self._work / f"{contender.protocol}-{rows}.json"
            file.write_bytes(body)
            if contender.is_echo:
                length = self._lengths[contender.against, model, rows]
                path = f"/{length}"
                reply = ask(running.server.port, "POST", path, body)
                requests.check_length(reply.status, reply.body, length)
            else:
                path = requests.PATHS[contender.protocol]
                reply = ask(running.server.port, "POST", path, body)
                requests.check(contender.protocol, reply.status, reply.body, self._models.answers[model][:rows])
                self._lengths[contender.name, model, rows] = len(reply.body)
            running.loads[rows] = (f"http://127.0.0.1:{running.server.port}{path}", file)

    def _load(self, running: Running, cell: Cell, number: int) -> Sample:
        url, body = running.loads[cell.rows]
        return wrk.load(running.contender.name, cell, number, url, body, self._record.seconds)

    def _end(self, server: Server) -> None:
        server.end()
        self._up.remove(server)

    @contextmanager
    def _trying(self, contender: Contender, what: str) -> Iterator[list[BaseException]]:
        """What goes wrong is reported and ends that contender's server; the list tells that it went wrong."""
        wrong: list[BaseException] = []
        try:
            yield wrong
        except FAILURES as error:
            wrong.append(error)
            self._record.failed(contender.name, what, error)
            self._say(f"{contender.name} FAILED, {what}: {error}")
            for server in [server for server in self._up if server.name == contender.name]:
                self._end(server)
