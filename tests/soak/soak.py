"""Hours of mixed load on one server (every protocol, sizes, refusals, unkind clients) while its memory is sampled.

    make soak                                # an hour
    make soak ARGS="--minutes 5"

Exits with 1 where resident memory grew by 2 MiB or more over the last half of the time (at most 30 minutes of it), and
where an answer was not the one that it should have been. Growth is told between the medians of the first and the last
tenth of that time. No request is under way while a sample is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from soak_requests import Kind, kinds

import model_dirs
from hostile import memory
from server_process import ServerProcess

EVERY_SECONDS = 10.0
TELL_EVERY = 6
MOST_GROWN_MIB = 2.0
LAST_SECONDS = 30 * 60.0
WORKERS = 8
PATIENCE = 60.0
# Between the requests of one client: memory is looked at, not speed.
PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Sample:
    seconds: float
    resident_mib: float
    answered: int


class Load:
    """Clients that ask for whatever comes next, and what they were told."""

    def __init__(self, port: int, seed: int) -> None:
        self._port, self._random = port, random.Random(seed)
        self.told: Counter[tuple[str, str]] = Counter()
        self.wrong: Counter[str] = Counter()
        self._going = asyncio.Event()
        self._going.set()
        self._busy = 0
        self._quiet = asyncio.Event()

    @property
    def answered(self) -> int:
        return self.told.total()

    async def ask_on(self, asked: Sequence[Kind], until: float) -> None:
        weights = [kind.weight for kind in asked]
        while time.monotonic() < until:
            await self._going.wait()
            kind = self._random.choices(asked, weights)[0]
            self._busy += kind.busy
            await self._one(kind)
            self._busy -= kind.busy
            if not self._busy:
                self._quiet.set()
            await asyncio.sleep(self._random.random() * 2 * PAUSE_SECONDS)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Nothing is asked: what the server holds now, it keeps."""
        self._going.clear()
        while self._busy:
            self._quiet.clear()
            await self._quiet.wait()
        yield
        self._going.set()

    async def _one(self, kind: Kind) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                status = await said(self._port, kind.sent)
        except (OSError, TimeoutError) as error:
            status = type(error).__name__
        self.told[kind.name, status] += 1
        if status not in kind.answers:
            self.wrong[f"{kind.name}: {status}"] += 1


async def said(port: int, sent: bytes) -> str:
    """The status of the answer to these bytes; "closed" = there was none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        line = await reader.readline()
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass
        return line.split()[1].decode() if line.startswith(b"HTTP/1.1 ") else "closed"
    except ConnectionError:
        return "closed"
    finally:
        writer.close()


async def soak(server: ServerProcess, load: Load, asked: Sequence[Kind], seconds: float) -> list[Sample]:
    began = time.monotonic()
    clients = [asyncio.create_task(load.ask_on(asked, began + seconds)) for _ in range(WORKERS)]
    samples: list[Sample] = []
    due = began
    while due < began + seconds:
        due += EVERY_SECONDS
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        async with load.held():
            samples.append(Sample(time.monotonic() - began, memory(server), load.answered))
        if len(samples) % TELL_EVERY == 0:
            last = samples[-1]
            sys.stderr.write(f"{last.seconds / 60:.0f} min: {last.resident_mib:.1f} MiB, {last.answered} answered\n")
    await asyncio.gather(*clients)
    return samples


def growth(samples: Sequence[Sample]) -> float:
    """MiB, over the last half of the samples or the last 30 minutes, whichever is less."""
    end = samples[-1].seconds
    last = [s.resident_mib for s in samples if s.seconds > end - min(LAST_SECONDS, end / 2)]
    tenth = max(1, len(last) // 10)
    return statistics.median(last[-tenth:]) - statistics.median(last[:tenth])


def table(samples: Sequence[Sample], rows: int = 30) -> str:
    """At most so many rows, evenly spaced, the last one always there."""
    step = max(1, -(-len(samples) // rows))
    chosen = samples[::-1][::step][::-1]
    lines = ["| s | resident, MiB | answered |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {s.seconds:.0f} | {s.resident_mib:.1f} | {s.answered} |" for s in chosen)])


def answers(told: Mapping[tuple[str, str], int]) -> str:
    lines = ["| request | answers |", "|---|---|"]
    names = sorted({name for name, _ in told})
    of = {n: ", ".join(f"{s}: {c}" for (m, s), c in sorted(told.items()) if m == n) for n in names}
    return "\n".join([*lines, *(f"| {name} | {of[name]} |" for name in names)])


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description="Load a server for hours and look whether its memory grows.")
    made.add_argument("--minutes", type=float, default=60.0, help="how long (default: an hour)")
    made.add_argument("--seed", type=int, default=1, help="of the order of the requests")
    return made


def main() -> int:
    given = parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="headgate-soak-") as folder:
        model = model_dirs.onnx_iris(Path(folder) / "iris")
        # Whoever stops in the middle of a request is told so after 5 s.
        with ServerProcess(model=model, timeout=5) as server:
            server.wait_ready()
            load = Load(server.port, given.seed)
            samples = asyncio.run(soak(server, load, kinds(), 60 * given.minutes))
    return told(samples, load)


def told(samples: Sequence[Sample], load: Load) -> int:
    grown = growth(samples)
    sys.stdout.write(f"{answers(load.told)}\n\n{table(samples)}\n\n")
    peak = max(sample.resident_mib for sample in samples)
    sys.stdout.write(f"{load.answered} requests; at most {peak:.1f} MiB; grown by {grown:.2f} MiB in the last part\n")
    if load.wrong:
        sys.stdout.write(f"answers that should not have been: {json.dumps(load.wrong)}\n")
    return 1 if load.wrong or grown >= MOST_GROWN_MIB else 0


if __name__ == "__main__":
    sys.exit(main())
