"""The parent of several workers: it takes the ports, starts them, replaces one that dies, and ends with the last one.

It answers nothing and imports nothing heavy, so that it has no thread when it forks and nothing in it can fail as they
do. Whoever asks is answered by a worker, for the whole server.
"""

import os
import signal
import socket
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

from headgate_server import logs
from headgate_server.block import Block
from headgate_server.settings import Settings

SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 15.0
LONG_LIFE: Final = 60.0
LOOK_SECONDS: Final = 5.0


@dataclass
class Place:
    """Who has a slot, or when somebody gets it."""

    pid: int = 0
    began: float = 0.0
    due: float = 0.0
    failures: int = 0
    spent: float = 0.0  # seconds of the processor, of those that had it before
    note: str = ""


class Parent:
    """`run` returns the exit code when all workers have ended."""

    def __init__(self, config: Settings, http: socket.socket, ops: socket.socket) -> None:
        self._config = config
        self._sockets = (http, ops)
        self._block = Block(config.workers)
        self._places = [Place() for _ in range(config.workers)]
        self._started = time.monotonic()
        self._start_id = uuid.uuid4().hex
        # Its other end closes with this process, however that ends: no worker lives on and keeps the ports.
        self._lifeline, self._held = os.pipe()
        self._ending = False
        self._code = 0

    def run(self) -> int:
        with ExitStack() as stack:
            if self._config.model.startswith("models:") and self._config.cache_dir is None:
                # One download for all.
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="headgate-server-"))
                self._config = replace(self._config, cache_dir=Path(folder))
            # Taken by sigtimedwait one after the other: no handler, and nothing is interrupted by one.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            while not self._ending or any(place.pid for place in self._places):
                self._start_due()
                told = signal.sigtimedwait(SIGNALS, self._patience())
                if told is not None and told.si_signo != signal.SIGCHLD:
                    self._end(told.si_signo)
                self._bury()
        logs.event("all workers ended")
        return self._code

    # -- births -----------------------------------------------------------------------------------------------

    def _start_due(self) -> None:
        now = time.monotonic()
        for number, place in enumerate(self._places):
            if not self._ending and not place.pid and place.due <= now:
                self._start(number, place)

    def _patience(self) -> float:
        waits = [place.due - time.monotonic() for place in self._places if not place.pid and not self._ending]
        return max(0.0, min([LOOK_SECONDS, *waits]))

    def _start(self, number: int, place: Place) -> None:
        place.began = time.monotonic()
        self._block.slots[number].begin(place.began)
        pid = os.fork()
        if pid == 0:
            self._be_worker(number)
        place.pid, place.note = pid, ""
        self._tell(number)
        logs.event("worker started", worker=number, pid=pid)

    def _be_worker(self, number: int) -> NoReturn:
        """In the child. Nothing of the parent's goes on here."""
        code = 1
        try:
            os.close(self._held)
            # Ctrl-C in a terminal reaches the parent alone, which passes it on: told twice it would mean "at once".
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, _go)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            logs.always(worker=number)
            self._work(number)
            code = 0
        except BaseException:  # noqa: BLE001 - it must not come back into the parent's loop
            logs.failure("a worker failed", trace=True)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # A model call or a load that hangs in a thread must not keep a drained process alive.
            os._exit(code)

    def _work(self, number: int) -> None:
        from headgate_server import worker

        place = worker.Worker(self._block, number, self._started, self._start_id)
        worker.run(self._config, *self._sockets, place, self._lifeline, self._block.pin.read())

    # -- deaths -----------------------------------------------------------------------------------------------

    def _bury(self) -> None:
        """All that have ended, also strangers: the first process of a container inherits orphans."""
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if dead is None:
                return
            for number, place in enumerate(self._places):
                if place.pid == dead.si_pid:
                    self._mourn(number, place, dead)
            os.waitpid(dead.si_pid, 0)

    def _mourn(self, number: int, place: Place, dead: os.waitid_result) -> None:
        """Before it is let go of: until then the kernel tells what it has spent."""
        now = time.monotonic()
        place.spent += _processor_seconds(place.pid)
        place.pid = 0
        self._block.slots[number].begin(now)
        killed = dead.si_code != os.CLD_EXITED
        how = f"{'signal' if killed else 'code'} {dead.si_status}"
        if self._ending:
            self._tell(number)
            if killed or dead.si_status:
                self._code = 1
                logs.failure("a worker ended before it had drained", worker=number, how=how)
            return
        place.failures = 1 if now - place.began > LONG_LIFE else place.failures + 1
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (place.failures - 1))
        place.due = now + wait
        place.note = f"worker {number} ended with {how} and is started again"
        self._tell(number)
        logs.failure("a worker ended and is started again", worker=number, how=how, seconds=round(wait, 1))

    def _tell(self, number: int) -> None:
        place = self._places[number]
        self._block.slots[number].life.write({"pid": place.pid, "spent": place.spent, "note": place.note})

    # -- the end ----------------------------------------------------------------------------------------------

    def _end(self, number: int) -> None:
        """SIGTERM is passed on once, Ctrl-C every time: its second one means "at once"."""
        if not self._ending:
            self._ending = True
            self._block.drain()
            # The last worker that closes them ends the addresses.
            for listening in self._sockets:
                listening.close()
        elif number == signal.SIGTERM:
            return
        for place in self._places:
            if place.pid:
                os.kill(place.pid, number)


def _go(_number: int, _frame: object) -> None:
    os._exit(0)


def _processor_seconds(pid: int) -> float:
    """As `process_cpu_seconds_total` has it; of one that has ended and was not let go of, too."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    ticks = os.sysconf("SC_CLK_TCK")
    return int(words[11]) / ticks + int(words[12]) / ticks
